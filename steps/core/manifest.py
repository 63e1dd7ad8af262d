"""A model at one commit as a list of files with sizes and digests: the identity of the bytes."""

import json
import re
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from steps.core import canonical
from steps.core.names import check_commit, check_model, path_problem
from steps.errors import BadInput, Corrupt

VERSION = 1
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True, order=True)
class File:
    """``path`` is relative with ``/`` between segments, ``size`` in bytes, ``sha256`` 64 hex digits."""

    path: str
    size: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """``files`` are sorted by path (code points); ``parse`` and ``build`` see to it."""

    model: str
    commit: str
    files: tuple[File, ...]

    @cached_property
    def total_bytes(self) -> int:
        return sum(f.size for f in self.files)

    @cached_property
    def sha256(self) -> str:
        """Of the canonical form: what the rest of the system calls this set of bytes."""
        return canonical.digest(self.to_json())

    def dump(self) -> bytes:
        return canonical.dump(self.to_json())

    def to_json(self) -> dict[str, Any]:
        return {
            "version": VERSION,
            "model": self.model,
            "commit": self.commit,
            "files": [{"path": f.path, "size": f.size, "sha256": f.sha256} for f in self.files],
        }


def build(model: str, commit: str, files: tuple[File, ...]) -> Manifest:
    return Manifest(model=model, commit=commit, files=tuple(sorted(files)))


def parse(body: bytes, where: str) -> Manifest:
    """The manifest in a stored document. Raises Corrupt, naming ``where``, for what ``dump`` cannot have written."""
    try:
        manifest = from_json(json.loads(body))
    except KeyError as err:
        raise Corrupt(f"{where} is not a manifest: it has no {err}; delete it and run again") from err
    except (ValueError, TypeError, AttributeError, BadInput) as err:
        raise Corrupt(f"{where} is not a manifest: {err}; delete it and run again") from err
    if manifest.dump() != body:
        raise Corrupt(f"{where} is not in canonical form, so something else wrote it; delete it and run again")
    return manifest


def is_sha256(text: str) -> bool:
    """Whether it has the form of a digest: 64 lower-case hex digits."""
    return _SHA256.fullmatch(text) is not None


def from_json(value: Any) -> Manifest:
    """Raises ValueError, KeyError, TypeError or BadInput for what is no manifest."""
    if value["version"] != VERSION:
        raise ValueError(f"version is {value['version']!r}, this program reads {VERSION}")
    files = tuple(File(path=f["path"], size=f["size"], sha256=f["sha256"]) for f in value["files"])
    for f in files:
        if type(f.path) is not str or type(f.size) is not int or f.size < 0 or not is_sha256(f.sha256):
            raise ValueError(f"bad entry {f}")
        if problem := path_problem(f.path):
            raise ValueError(f"{f.path!r} is no name for a file: {problem}")
    manifest = build(check_model(value["model"]), check_commit(value["commit"]), files)
    if len({f.path for f in files}) != len(files):
        raise ValueError("a path occurs twice")
    return manifest
