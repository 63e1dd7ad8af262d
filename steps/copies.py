"""The two copies of a commit as an audit reads them: its objects in the store, its directory on the volume."""

import hashlib
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from steps import copying, parallel
from steps.checksum import READERS
from steps.core import manifest as manifests
from steps.core import parts
from steps.core.audit import Copy, Place, Subject
from steps.core.manifest import File, Manifest
from steps.core.names import Layout
from steps.core.parts import Part
from steps.errors import Corrupt, Transient
from steps.ports.store import Store
from steps.ports.volume import AuditedVolume

UNREADABLE = "cannot be read"
READS = 2
"""Of an object that seems wrong: a bit may flip on the way to us."""

log = logging.getLogger(__name__)


class Side(Protocol):
    """One of the two. Nothing is changed."""

    @property
    def place(self) -> Place: ...

    def subjects(self) -> Sequence[Subject]:
        """Every commit that lies there."""
        ...

    def copy(self, subject: Subject) -> Copy: ...

    def digests(self, manifest: Manifest, files: Sequence[File]) -> dict[str, str]:
        """sha256 by path of what was read anew, or a word for what went away meanwhile."""
        ...


@dataclass(frozen=True)
class InStore(Side):
    store: Store
    layout: Layout

    @property
    def place(self) -> Place:
        return "store"

    def subjects(self) -> Sequence[Subject]:
        keys = self.store.list(self.layout.all_manifests)
        return [Subject(*found) for found in map(self.layout.of_manifest, keys) if found]

    def copy(self, subject: Subject) -> Copy:
        prefix, key = (of(subject.model, subject.commit) for of in (self.layout.model_prefix, self.layout.manifest))
        entries = {path.removeprefix(prefix): size for path, size in self.store.list(prefix).items()}
        body = self.store.get(key)
        return _held(subject, entries, lambda: None if body is None else manifests.parse(body, key))

    def digests(self, manifest: Manifest, files: Sequence[File]) -> dict[str, str]:
        """Small files side by side, of a large one the parts."""
        found: dict[str, str] = {}

        def read(file: File) -> tuple[str, str]:
            return file.path, self._digest(manifest, file)

        ordered = sorted(files, key=lambda f: f.size)
        small = [f for f in ordered if parts.cut(f.size).count == 1]
        parallel.in_order(read, small, parts.MAX_WORKERS, lambda seen: found.update([seen]))
        found.update(map(read, ordered[len(small) :]))
        return found

    def _digest(self, manifest: Manifest, file: File) -> str:
        actual, key = UNREADABLE, copying.key(self.layout, manifest, file)
        for _ in range(READS):
            try:
                actual = self._read(key, file.size)
            except Corrupt as err:
                log.warning("%s", err)
                return UNREADABLE
            except Transient as err:
                if not self._answers(key):
                    raise
                log.warning("of %s nothing comes, or not all, though the store answers: %s", key, err)
                return UNREADABLE
            if actual == file.sha256:
                break
        return actual

    def _answers(self, key: str) -> bool:
        """Whether only the object's bytes do not come: then it is the object that is damaged, and not the way to it."""
        try:
            self.store.stat(key)
        except Transient:
            return False
        return True

    def _read(self, key: str, size: int) -> str:
        digest, cut = hashlib.sha256(), parts.cut(size)

        def read(part: Part) -> tuple[bytes, ...]:
            return tuple(self.store.read(key, part.start, part.end))

        def take(pieces: tuple[bytes, ...]) -> None:
            for piece in pieces:
                digest.update(piece)

        parallel.in_order(read, cut.parts(), parts.MAX_WORKERS, take)
        return digest.hexdigest()


@dataclass(frozen=True)
class OnVolume(Side):
    volume: AuditedVolume

    @property
    def place(self) -> Place:
        return "volume"

    def subjects(self) -> Sequence[Subject]:
        self.volume.free_bytes()  # one that is not mounted is no empty one
        return [Subject(model, commit) for model, commit in self.volume.published()]

    def copy(self, subject: Subject) -> Copy:
        self.volume.free_bytes()
        try:
            entries = self.volume.entries(subject.model, subject.commit)
        except Corrupt as err:  # no directory of ours
            return Copy(problem=str(err))
        return _held(subject, entries, lambda: self.volume.manifest(subject.model, subject.commit))

    def digests(self, manifest: Manifest, files: Sequence[File]) -> dict[str, str]:
        found: dict[str, str] = {}

        def read(file: File) -> tuple[str, str]:
            try:
                with self.volume.open(manifest.model, manifest.commit, file.path) as opened:
                    return file.path, opened.sha256()
            except Corrupt as err:
                log.warning("%s", err)
                return file.path, UNREADABLE

        parallel.in_order(read, files, READERS, lambda seen: found.update([seen]))
        return found


def _held(subject: Subject, entries: Mapping[str, int | None], read: Callable[[], Manifest | None]) -> Copy:
    """What lies there, and its manifest: a damaged one, or another commit's, is a problem and not a manifest."""
    try:
        found = read()
    except Corrupt as err:
        return Copy(problem=str(err), entries=entries)
    return Copy(manifest=_own(found, subject), problem=_stranger(found, subject), entries=entries)


def _own(manifest: Manifest | None, subject: Subject) -> Manifest | None:
    return None if _stranger(manifest, subject) else manifest


def _stranger(manifest: Manifest | None, subject: Subject) -> str:
    """A manifest that is good, and another commit's."""
    if manifest is None or (manifest.model, manifest.commit) == (subject.model, subject.commit):
        return ""
    return f"its manifest is that of {manifest.model} at {manifest.commit}"
