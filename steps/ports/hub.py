"""Where models come from, as the steps see it."""

from dataclasses import dataclass
from typing import Protocol

from steps.core.manifest import File


@dataclass(frozen=True, kw_only=True, slots=True)
class HubFile:
    """A file in the Hub's tree. ``sha256`` is known for LFS and Xet files, ``blob_id`` (git's sha1) for the others."""

    path: str
    size: int
    blob_id: str
    sha256: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Tree:
    """A model at one commit, as the Hub lists it."""

    model: str
    commit: str
    files: tuple[HubFile, ...]


class Ranges(Protocol):
    """A file that is read by ranges, from several threads."""

    def read(self, start: int, end: int) -> bytes:
        """Bytes ``start`` to ``end``, ``end`` excluded; never fewer."""
        ...


class Hub(Protocol):
    """Where models come from."""

    def commit(self, model: str, revision: str) -> str:
        """The commit that a branch or tag is at now. Raises Missing: gated, unknown, private, renamed, no revision."""
        ...

    def committed(self, model: str, commit: str) -> float | None:
        """When it was made, in seconds since the epoch; None where the Hub does not tell. Raises nothing."""
        ...

    def tree(self, model: str, commit: str) -> Tree:
        """Raises Missing."""
        ...

    def small_file(self, model: str, commit: str, file: HubFile) -> bytes:
        """A whole file that is not in LFS, checked against its blob id. Raises Missing, Corrupt."""
        ...

    def open(self, model: str, commit: str, file: File) -> Ranges:
        """Raises Missing."""
        ...
