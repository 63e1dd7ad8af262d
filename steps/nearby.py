"""Files that another commit of the model has already: copied within the store, shared within the volume."""

import hashlib
import logging
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from steps import copying, parallel
from steps.core import delta
from steps.core import manifest as manifests
from steps.core.delta import Twin
from steps.core.manifest import File, Manifest
from steps.core.names import Layout
from steps.errors import Corrupt, Missing
from steps.ports.store import Store
from steps.ports.volume import Staging, WritableVolume
from steps.progress import Progress

WORKERS = 8
"""Requests at once; the bytes are the store's business."""
COPIERS = 2
"""Files that are read and hashed at once."""
PIECE = 1024 * 1024

log = logging.getLogger(__name__)


def in_store(store: Store, layout: Layout, manifest: Manifest, files: Sequence[File]) -> Mapping[str, tuple[Twin, ...]]:
    """By path, as far as the manifests of other commits tell."""
    return delta.twins(files, manifest, _mirrored(store, layout, manifest.model)) if files else {}


def copied_in_store(
    store: Store, layout: Layout, manifest: Manifest, files: Sequence[File], progress: Progress
) -> tuple[File, ...]:
    """Those of ``files`` that are there afterwards; the others must be fetched."""
    near = in_store(store, layout, manifest, files)
    done: list[File] = []

    def copy(file: File) -> File | None:
        key = copying.key(layout, manifest, file)
        sources = (layout.model_file(manifest.model, t.commit, t.path) for t in near[file.path])
        return file if any(store.copy(source, key, file.size, file.sha256) for source in sources) else None

    def take(file: File | None) -> None:
        if file is not None:
            progress.add(file.size)
            done.append(file)

    parallel.in_order(copy, [f for f in files if f.path in near], WORKERS, take)
    if done:
        log.info("%d of %d files are copies of another commit's", len(done), len(files))
    return tuple(done)


def _mirrored(store: Store, layout: Layout, model: str) -> list[Manifest]:
    """Of the commits that are in the store whole; what is no manifest is passed over."""
    found: list[Manifest] = []

    def read(key: str) -> Manifest | None:
        with suppress(Corrupt):
            return manifests.parse(store.get(key) or b"", key)
        return None

    def take(manifest: Manifest | None) -> None:
        if manifest is not None and manifest.model == model:
            found.append(manifest)

    parallel.in_order(read, store.list(layout.manifests_prefix(model)), WORKERS, take)
    return found


@dataclass(frozen=True)
class OnVolume:
    """A new commit in the making, and what published ones have of it."""

    volume: WritableVolume
    staging: Staging
    manifest: Manifest
    near: Mapping[str, tuple[Twin, ...]]

    @classmethod
    def of(cls, volume: WritableVolume, staging: Staging, manifest: Manifest) -> "OnVolume":
        return cls(volume, staging, manifest, delta.twins(manifest.files, manifest, volume.commits(manifest.model)))

    def share(self, file: File) -> bool:
        """Nothing is written: the same file gets a second name, once its content is proved."""
        return any(self.staging.share(file, twin.commit, twin.path) for twin in self.near.get(file.path, ()))

    def without(self, files: Sequence[File], progress: Progress) -> tuple[File, ...]:
        """Those of ``files`` that no published commit has. The others are copied: here no file can have two names.

        Hashed while it is copied, and kept only where that is right.
        """
        far: list[File] = []

        def copy(file: File) -> File | None:
            if any(self._copy(file, twin) for twin in self.near.get(file.path, ())):
                progress.add(file.size)
                return None
            return file

        def take(file: File | None) -> None:
            if file is not None:
                far.append(file)

        parallel.in_order(copy, files, COPIERS, take)
        return tuple(far)

    def _copy(self, file: File, twin: Twin) -> bool:
        digest = hashlib.sha256()
        try:
            with (
                self.volume.open(self.manifest.model, twin.commit, twin.path) as source,
                self.staging.write(file) as draft,
            ):
                offset = 0
                while piece := source.read(PIECE):
                    draft.write(offset, piece)
                    digest.update(piece)
                    offset += len(piece)
                if digest.hexdigest() == file.sha256:
                    draft.keep()
                    return True
        except (Corrupt, Missing) as err:
            log.warning("not taken from another commit: %s", err)
        return False
