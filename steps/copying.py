"""Many files copied within bounded memory, each proved by its sha256: what mirror and populate have in common."""

import hashlib
import logging
from collections.abc import Callable, Iterable, Sequence

from steps import parallel
from steps.core import parts
from steps.core.manifest import File, Manifest
from steps.core.names import Layout
from steps.core.parts import Part
from steps.errors import Corrupt
from steps.progress import Progress

FETCHES = 3
"""Of one file: a bit that flips once on the way is not the end; a source that stays wrong is."""

log = logging.getLogger(__name__)


def key(layout: Layout, manifest: Manifest, file: File) -> str:
    """Of the file's object in the store."""
    return layout.model_file(manifest.model, manifest.commit, file.path)


def move(size: int, part: Callable[[Part], Sequence[bytes]], progress: Progress) -> str:
    """Call ``part`` for each part of a file, several at a time; return the sha256 of all that they returned."""
    digest = hashlib.sha256()

    def take(pieces: Sequence[bytes]) -> None:
        for piece in pieces:
            digest.update(piece)
            progress.add(len(piece))

    cut = parts.cut(size)
    parallel.in_order(part, cut.parts(), cut.workers, take)
    return digest.hexdigest()


def all_files(files: Iterable[File], fetch: Callable[[File], str], source: Callable[[File], str]) -> None:
    """Small files side by side, then large ones one after the other, whose parts go side by side.

    ``fetch`` returns the sha256 of what it read, and has kept it only if that is the file's. Raises Corrupt when it is
    not, time after time; ``source`` says where the bytes come from and what to do about them.
    """

    def proved(file: File) -> None:
        for attempt in range(1, FETCHES + 1):
            actual = fetch(file)
            if actual == file.sha256:
                return
            log.warning("%s has sha256 %s, expected %s (attempt %d)", file.path, actual, file.sha256, attempt)
        raise Corrupt(f"{file.path} has sha256 {actual}, expected {file.sha256}, {FETCHES} times over: {source(file)}")

    ordered = sorted(files, key=lambda f: f.size)
    small = [f for f in ordered if parts.cut(f.size).count == 1]
    parallel.in_order(proved, small, parts.MAX_WORKERS, parallel.nothing)
    for file in ordered[len(small) :]:
        proved(file)
