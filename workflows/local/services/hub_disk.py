"""A Hub's repositories as plain directories.

    ROOT/
        tokens.json                 {"hf_x": ["org/gated", …]}: who may read what is gated or private; any other token
                                    is invalid. Without this file every token is valid and opens nothing.
        ORG--NAME/
            repository.json         {"gated", "private", "renamed_to"}; may be left out
            refs/BRANCH             a commit
            commits/COMMIT.json     {"message", "parent", "date",
                                     "files": [{"path", "size", "sha256", "blob_id", "lfs"}, …]}
            commits/COMMIT/PATH     the files

A commit is the sha1 of its message and of its files' names and digests, so publishing the same again changes nothing.
The digests are those of the time of publishing: damage a file below ``commits`` and the Hub serves wrong bytes.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, BinaryIO

from steps.clients.local.files import replace
from steps.core import canonical
from steps.core.names import check_model, check_revision, is_commit, slug

LFS_SUFFIXES = (".safetensors", ".bin", ".pt", ".pth", ".gguf", ".onnx", ".h5", ".msgpack", ".npz", ".model")
LFS_BYTES = 10 * 2**20
"""The Hub takes larger files through LFS only."""
_CHUNK = 2**20
EPOCH = "1970-01-01T00:00:00Z"
"""Of what was published before dates were kept."""


@dataclass(frozen=True, slots=True)
class Blob:
    """A file of a commit; ``blob_id`` is git's sha1 of it, of its pointer where it is in LFS."""

    path: str
    size: int
    sha256: str
    blob_id: str
    lfs: bool


@dataclass(frozen=True)
class Commit:
    id: str
    message: str
    parent: str | None
    files: tuple[Blob, ...]
    directory: Path
    date: str
    """When it was published first: ISO 8601, UTC."""

    def file(self, path: str) -> Blob | None:
        return self._by_path.get(path)

    @cached_property
    def _by_path(self) -> Mapping[str, Blob]:
        return {f.path: f for f in self.files}


@dataclass(frozen=True, slots=True)
class Repository:
    """As it is on disk at this moment; it may change between two calls."""

    model: str
    directory: Path
    gated: bool = False
    private: bool = False
    renamed_to: str | None = None

    def branches(self) -> dict[str, str]:
        refs = self.directory / "refs"
        return {str(p.relative_to(refs)): p.read_text().strip() for p in sorted(refs.rglob("*")) if p.is_file()}

    def commit(self, revision: str) -> Commit | None:
        """None where neither a branch nor a commit has that name."""
        name = revision if is_commit(revision) else self.branches().get(revision, "")
        described = self.directory / "commits" / f"{name}.json"
        if not name or not described.exists():
            return None
        return _commit(described, described.stat().st_mtime_ns)


@lru_cache(maxsize=4)
def _commit(described: Path, _written: int) -> Commit:
    """Asked for with each file: of a commit of 20,000 files reading it took longer than sending a file."""
    value = json.loads(described.read_text(encoding="utf-8"))
    files = tuple(Blob(**f) for f in value["files"])
    directory = described.with_suffix("")
    return Commit(directory.name, value["message"], value["parent"], files, directory, value.get("date", EPOCH))


def repository(root: Path, model: str) -> Repository | None:
    """None where there is none of that name."""
    directory = root / slug(model)
    if not directory.is_dir():
        return None
    return Repository(model=model, directory=directory, **_read(directory / "repository.json"))


def configure(root: Path, model: str, **keys: Any) -> None:
    """Set some of repository.json: ``gated``, ``private``, ``renamed_to``."""
    directory = root / slug(check_model(model))
    directory.mkdir(parents=True, exist_ok=True)
    _write(directory / "repository.json", {**_read(directory / "repository.json"), **keys})


def tokens(root: Path) -> dict[str, list[str]] | None:
    """What each token opens; None where every token is valid and opens nothing."""
    return _read(root / "tokens.json") or None


def publish(  # noqa: PLR0913  # the options are named where it is called
    root: Path, model: str, files: Path, *, branch: str = "main", message: str = "Upload", link: bool = False
) -> str:
    """Commit the content of a directory to a branch, and return the commit.

    With ``link`` the files are linked, not copied, where the file system can: for large ones that nobody writes again.
    """
    directory = root / slug(check_model(model))
    blobs = [_blob(files, path) for path in sorted(files.rglob("*")) if path.is_file()]
    identity = {"message": message, "files": [(b.path, b.sha256) for b in blobs]}
    commit = hashlib.sha1(canonical.dump(identity), usedforsecurity=False).hexdigest()
    ref = directory / "refs" / check_revision(branch)
    parent = ref.read_text().strip() if ref.exists() else None
    if not (directory / "commits" / f"{commit}.json").exists():
        _copy(files, directory / "commits" / commit, [b.path for b in blobs], link=link)
        now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        value = {"message": message, "parent": parent, "date": now, "files": [asdict(b) for b in blobs]}
        _write(directory / "commits" / f"{commit}.json", value)
    _replace(ref, commit)
    return commit


def _blob(root: Path, path: Path) -> Blob:
    size = path.stat().st_size
    sha256, git = hashlib.sha256(), hashlib.sha1(b"blob %d\0" % size, usedforsecurity=False)
    lfs = size > LFS_BYTES or path.name.endswith(LFS_SUFFIXES)
    with path.open("rb") as body:
        _feed(body, sha256, *(() if lfs else (git,)))
    if lfs:
        pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{sha256.hexdigest()}\nsize {size}\n".encode()
        git = hashlib.sha1(b"blob %d\0" % len(pointer) + pointer, usedforsecurity=False)
    return Blob(str(path.relative_to(root)), size, sha256.hexdigest(), git.hexdigest(), lfs)


def _feed(body: BinaryIO, *digests: Any) -> None:
    while chunk := body.read(_CHUNK):
        for digest in digests:
            digest.update(chunk)


def _copy(source: Path, target: Path, paths: list[str], *, link: bool) -> None:
    shutil.rmtree(target, ignore_errors=True)  # of a publisher that was killed
    for path in paths:
        copied = target / path
        copied.parent.mkdir(parents=True, exist_ok=True)
        if not (link and _linked(source / path, copied)):
            shutil.copyfile(source / path, copied)


def _linked(source: Path, target: Path) -> bool:
    try:
        os.link(source.resolve(), target)
    except OSError:  # another file system, or one without links
        return False
    return True


def _read(path: Path) -> dict[str, Any]:
    return dict(json.loads(path.read_text(encoding="utf-8"))) if path.exists() else {}


def _write(path: Path, value: Any) -> None:
    _replace(path, json.dumps(value, indent=1))


def _replace(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    replace(path, path.with_name(f".{path.name}.{os.getpid()}"), text.encode())
