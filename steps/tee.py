"""What mirror has in memory goes to the volume as well: the second hop is done with the first.

A favour to populate, and never at mirror's cost. Whatever fails here is told in one line, and the volume is left to
populate, whose answer counts; what was finished by then waits for it where it may be of use, and goes where room is
short. The rules are those of populate: a file gets its name when its sha256 is right and it is on the disk, and what is
published is published whole. So is checksum's part: it reads all of it again.
"""

import logging
import threading
from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from steps import populate
from steps.core import space
from steps.core.manifest import File, Manifest
from steps.errors import StepError, Transient
from steps.nearby import OnVolume
from steps.ports.volume import Draft, Staging, WritableVolume

log = logging.getLogger(__name__)


@contextmanager
def beside(volume: WritableVolume | None, manifest: Manifest, coming: Collection[File]) -> Iterator["Tee"]:
    """``coming`` are the files that will come by; without a volume, or with nothing to do there, they just pass."""
    with ExitStack() as attempt:
        tee = Tee(manifest, attempt)
        if volume is not None:
            tee.begin(volume, coming)
        yield tee


class Tee:
    """One attempt on the volume. Thread-safe; nothing that the volume does is raised."""

    def __init__(self, manifest: Manifest, attempt: ExitStack) -> None:
        self._manifest = manifest
        self._attempt = attempt
        self._volume: WritableVolume | None = None
        self._staging: Staging | None = None
        self._wanted: frozenset[File] = frozenset()
        self._kept: list[File] = []
        self._over = False
        self._open = 0
        """Files that are being written: on NFS a directory cannot be removed while they are."""
        self._lock = threading.Lock()

    @property
    def copied_bytes(self) -> int:
        """Of what is on the volume now by this attempt, published or for populate to take over."""
        return sum(f.size for f in self._kept)

    def begin(self, volume: WritableVolume, coming: Collection[File]) -> None:
        """Nothing is written where the whole would not fit, nor what lies there already by its name and size."""
        manifest = self._manifest
        with self._forgiving():
            if populate.is_published(volume, manifest):
                return
            todo = populate.expected(volume, manifest)
            if wanted := frozenset(todo.copy).intersection(coming):
                left = volume.leftovers(manifest.model, manifest.commit)
                space.require(todo.copy_bytes, volume.free_bytes(), manifest.model, left)
                self._staging = self._attempt.enter_context(volume.stage(manifest))
                self._volume, self._wanted = volume, wanted

    @contextmanager
    def write(self, file: File) -> Iterator["Leg"]:
        """Leaving the context without ``keep`` leaves nothing of it."""
        with ExitStack() as opened:
            yield Leg(self, file, self._draft(file, opened))

    def part(self, draft: Draft, offset: int, body: memoryview) -> None:
        with self._forgiving():
            if not self._over:
                draft.write(offset, body)

    def keep(self, draft: Draft, file: File) -> None:
        """Not after any part of any file has failed: this one's may be what did."""
        with self._forgiving():
            if not self._over:
                draft.keep()
                with self._lock:
                    self._kept += [file] * (not self._over)

    def publish(self) -> None:
        """If all files are on the volume: those that came by, and what others left or published there."""
        if self._over or self._staging is None or self._volume is None:
            return
        with self._forgiving():
            if populate.is_published(self._volume, self._manifest):  # by somebody who was faster
                self._kept.clear()
            elif self._is_whole(self._volume, self._staging):
                self._staging.publish()
                log.info("published on the volume in the same pass")
            else:
                self._staging.leave()
                log.info("some files are not on the volume yet; populate brings them, and takes over the others")

    def leave(self) -> None:
        """What was brought to populate, which publishes it with what others bring."""
        if self._staging and not self._over:
            self._staging.leave()

    def _is_whole(self, volume: WritableVolume, staging: Staging) -> bool:
        """What is not ours is read, but only where that can make it whole: populate would read it once more."""
        if populate.expected(volume, self._manifest).copy:
            return False
        kept = frozenset(self._kept)
        rest = [file for file in self._manifest.files if file not in kept]
        near = OnVolume.of(volume, staging, self._manifest)
        return rest == populate.taken_over(staging, near, rest)

    def _draft(self, file: File, opened: ExitStack) -> Draft | None:
        with self._forgiving():
            if file in self._wanted and self._staging and self._entered():
                opened.callback(self._left)
                return opened.enter_context(self._staging.write(file))
        return None

    def _entered(self) -> bool:
        with self._lock:
            self._open += not self._over
            return not self._over

    def _left(self) -> None:
        with self._lock:
            self._open -= 1
            last = self._over and not self._open
        if last:
            self._attempt.close()

    @contextmanager
    def _forgiving(self) -> Iterator[None]:
        try:
            yield
        except (StepError, OSError) as err:  # of the latter what is no known state of a volume
            self._give_up(err)

    def _give_up(self, err: Exception) -> None:
        with self._lock:
            if self._over:
                return
            self._over = True
            last = not self._open
        log.warning("the volume is left to populate: %s", err)
        if isinstance(err, Transient) and self._staging:
            self._staging.leave()
        else:
            self._kept.clear()
        if last:
            self._attempt.close()


@dataclass(frozen=True, slots=True)
class Leg:
    """One file on its way to the volume; without a draft it is not going there."""

    tee: Tee
    file: File
    draft: Draft | None

    def part(self, offset: int, body: memoryview) -> None:
        """From several threads; it is done with the memory when it returns."""
        if self.draft and body:
            self.tee.part(self.draft, offset, body)

    def keep(self) -> None:
        """The whole is what it should be."""
        if self.draft:
            self.tee.keep(self.draft, self.file)
