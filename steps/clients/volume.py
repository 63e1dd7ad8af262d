"""The volume that models are served from: directories that are published by rename and never written again.

    SLUG/COMMIT/PATH               published
    .manifests/SLUG/COMMIT.json    what is in it, written just before
    .staging/SLUG/COMMIT.ATTEMPT/  in the making, see ``staging``
    .trash/SLUG/COMMIT.ATTEMPT/    was damaged, and was replaced

No locks: they do not hold on every NFS, and nothing here needs them. Links are never followed below the root.
"""

import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from steps.clients import attempts, staging
from steps.clients import place as places
from steps.clients.fresh import Fresh, open_fresh
from steps.clients.place import Place
from steps.clients.volume_errors import translated
from steps.core import manifest as manifests
from steps.core.manifest import Manifest
from steps.core.names import is_commit, model_of, slug
from steps.errors import BadInput, Corrupt, Missing
from steps.ports.volume import AuditedVolume, Staging

log = logging.getLogger(__name__)


class Directory(AuditedVolume):
    """``root`` is where the volume is mounted: ``/models`` in a pod."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def manifest(self, model: str, commit: str) -> Manifest | None:
        place = Place.of(self._root, model, commit)
        if not place.is_published():
            return None
        try:
            with translated("read", place.manifest), open_fresh(place.manifest) as file:
                return manifests.parse(file.read(), str(place.manifest))
        except FileNotFoundError as err:
            raise Corrupt(
                f"{place.published} is there but {place.manifest} is not, so nobody knows what should be in it; "
                "`python -m workflows.audit --all --repair` publishes it anew where the store knows; else move it away "
                "and promote again"
            ) from err

    def sizes(self, model: str, commit: str) -> Mapping[str, int]:
        return {path: size for path, size in self.entries(model, commit).items() if size is not None}

    def entries(self, model: str, commit: str) -> Mapping[str, int | None]:
        place = Place.of(self._root, model, commit)
        return places.entries(place.published) if place.is_published() else {}

    def published(self) -> Sequence[tuple[str, str]]:
        with translated("read", self._root):
            found = sorted(self._root.glob("*/*"))
        return [(model_of(p.parent.name), p.name) for p in found if is_commit(p.name) and _is_slug(p.parent.name)]

    def commits(self, model: str) -> Sequence[Manifest]:
        commits = [commit for found, commit in self.published() if found == model]
        return [m for commit in commits if (m := self._readable(model, commit)) and m.commit == commit]

    def staged(self, model: str, commit: str) -> Mapping[str, int]:
        return attempts.finished(Place.of(self._root, model, commit))

    def leftovers(self, model: str, commit: str) -> Mapping[str, int]:
        return attempts.of_others(Place.of(self._root, model, commit))

    def free_bytes(self) -> int:
        try:
            with translated("read", self._root):
                found = os.statvfs(self._root)
        except FileNotFoundError as err:
            raise Missing(f"there is no volume at {self._root}; mount it, or set VLLM_PROMOTE_VOLUME") from err
        return found.f_bavail * found.f_frsize

    @contextmanager
    def open(self, model: str, commit: str, path: str) -> Iterator[Fresh]:
        full = Place.of(self._root, model, commit).file(path)
        try:
            with translated("read", full), open_fresh(full) as file:
                yield file
        except FileNotFoundError as err:
            raise Corrupt(f"{full} is gone; a published directory is never changed, so see who did it") from err

    def _readable(self, model: str, commit: str) -> Manifest | None:
        try:
            return self.manifest(model, commit)
        except Corrupt as err:
            log.warning("passed over: %s", err)
            return None

    def stage(self, manifest: Manifest) -> AbstractContextManager[Staging]:
        self.free_bytes()  # a volume that is not mounted is never made up for by a directory in the container
        return staging.stage(Place.of(self._root, manifest.model, manifest.commit), manifest)

    def sweep(self, model: str, commit: str) -> None:
        attempts.sweep(Place.of(self._root, model, commit))


def _is_slug(name: str) -> bool:
    """Our own directories begin with a dot, which no model's name does."""
    try:
        return slug(model_of(name)) == name
    except BadInput:
        return False
