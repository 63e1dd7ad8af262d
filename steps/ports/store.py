"""Documents and bulk bytes under keys, as the steps see them."""

from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, kw_only=True, slots=True)
class Object:
    """``sha256`` is what the writer said of the content, None where it said nothing."""

    size: int
    sha256: str | None


class Upload(Protocol):
    """An object in the making. Leaving the context without ``complete`` leaves nothing in the store."""

    def part(self, number: int, body: bytes) -> None:
        """Parts count from 1 and may be sent in any order, from several threads."""
        ...

    def complete(self) -> None:
        """From here on the object is there, whole."""
        ...


class Store(Protocol):
    """Documents and bulk bytes under keys. Raises Missing without rights or bucket, NoSpace when it is full."""

    def check_writable(self) -> None:
        """Leaves nothing behind. Raises Missing: no such bucket, or a key that may only read."""
        ...

    def get(self, key: str) -> bytes | None:
        """A small document, None where there is none."""
        ...

    def put(self, key: str, body: bytes) -> None:
        """Replaces what is there."""
        ...

    def create(self, key: str, body: bytes) -> bool:
        """Write where nothing is yet; False, and no change, where something is."""
        ...

    def list(self, prefix: str) -> Mapping[str, int]:
        """Size by key, in the order of the keys."""
        ...

    def stat(self, key: str) -> Object | None: ...

    def upload(self, key: str, size: int, sha256: str) -> AbstractContextManager[Upload]:
        """``complete`` ends every other unfinished upload to this key; whose upload was ended so meets Conflict."""
        ...

    def copy(self, source: str, key: str, size: int, sha256: str) -> bool:
        """Within the store, as ``upload`` would leave it. False, and no object, where it was not done.

        ``source`` is taken at its word: it must say this size and sha256 of itself.
        """
        ...

    def read(self, key: str, start: int, end: int) -> Iterable[bytes]:
        """Bytes ``start`` to ``end``, ``end`` excluded, in pieces. Raises Corrupt when the object is gone or short."""
        ...

    def read_into(self, key: str, start: int, body: memoryview) -> None:
        """Fill ``body`` with the bytes from ``start`` on. Raises Corrupt when the object is gone or short."""
        ...

    def delete(self, key: str) -> None: ...
