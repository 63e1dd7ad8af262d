"""A copy of a commit made right again out of the other one: written anew beside what is there, never into it."""

import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from steps import copying, mirror, populate
from steps.core.audit import Findings
from steps.core.manifest import File, Manifest
from steps.core.names import Layout
from steps.errors import Corrupt, Missing, Refused
from steps.ports.hub import Hub, Ranges
from steps.ports.store import Store
from steps.ports.volume import AuditedVolume, Opened
from steps.progress import Progress

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class Means:
    """``hub`` is asked for only where the volume has no right copy of a file either."""

    store: Store
    volume: AuditedVolume
    hub: Callable[[], Hub]
    layout: Layout


def volume(means: Means, manifest: Manifest, found: Findings) -> None:
    """Publish again from the store; files that are right are read again, and shared. Raises as ``populate`` does."""
    populate.publish(means.store, means.volume, means.layout, manifest, None, instead=not found.absent)


def store(means: Means, manifest: Manifest, found: Findings) -> None:
    """Each object is replaced whole, from the volume's file once its sha256 is right, else from the Hub.

    The manifest comes after the files that it promises; what does not belong there goes last, for a key may do
    without the right to delete. Raises as ``mirror`` does.
    """
    left = [file for file in found.to_write(manifest) if not _from_volume(means, manifest, file)]
    if left:
        source = mirror.from_hub(means.hub(), means.store, means.layout, manifest)
        copying.all_files(left, source.start, source.where, Progress(None, 0))
    if found.whole:
        means.store.put(means.layout.manifest(manifest.model, manifest.commit), manifest.dump())
    for path in found.strangers(manifest):
        means.store.delete(means.layout.model_file(manifest.model, manifest.commit, path))


def _from_volume(means: Means, manifest: Manifest, file: File) -> bool:
    """The volume's word is not taken for it: what is read is hashed, and kept only where it is right."""

    @contextmanager
    def opened(file: File) -> Iterator[Ranges]:
        with means.volume.open(manifest.model, manifest.commit, file.path) as found:
            yield _Pieces(found, file)

    source = mirror.Source(opened, means.store, means.layout, manifest)
    try:
        copying.all_files([file], source.start, source.where, Progress(None, 0), fetches=1)
    except (Corrupt, Missing, Refused) as err:
        log.info("not from the volume: %s", err)
        return False
    return True


@dataclass(frozen=True)
class _Pieces(Ranges):
    opened: Opened
    file: File

    def read(self, start: int, end: int) -> bytes:
        pieces = []
        while start < end:
            piece = os.pread(self.opened.fileno(), end - start, start)
            if not piece:
                raise Corrupt(f"{self.file.path} on the volume is shorter than {end} bytes")
            pieces.append(piece)
            start += len(piece)
        return b"".join(pieces)
