"""One attempt's own directory on the volume, out of which a published one is made by a rename.

A file is written under a name of its own, synced, closed, and only then gets its name in the model: what has a name is
finished, and never opened for writing again. So finished files of other attempts, dead or alive, and of other commits
can be shared by hard links, and an attempt that is killed at any moment leaves nothing outside ``.staging``.

Two commits that share a file have it once: it takes no room and no time again, and it rots in both. So the rollback
target is read as well before anything is changed, and the store has a copy of its own for each commit.
"""

import errno
import itertools
import logging
import os
import stat
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path, PurePath

from steps.clients import attempts, replacing
from steps.clients import place as places
from steps.clients.draft import FileDraft, create
from steps.clients.fresh import open_fresh
from steps.clients.place import Place
from steps.clients.volume_errors import translated
from steps.core.manifest import File, Manifest
from steps.core.transfer import differences
from steps.errors import Conflict, Corrupt, Missing, Refused, Transient
from steps.ports.volume import Draft
from steps.ports.volume import Staging as StagingPort

SHOWN = 3
log = logging.getLogger(__name__)


@contextmanager
def stage(place: Place, manifest: Manifest) -> Iterator["Staging"]:
    """After a failure nothing of the attempt is left, except finished files for the next one when that is to come."""
    staging = Staging(place, manifest)
    try:
        yield staging
    except Transient:
        staging.leave()
        raise
    finally:
        staging.end()


class Staging(StagingPort):
    """Raises Conflict when another attempt has published the commit, and so removed this directory."""

    def __init__(self, place: Place, manifest: Manifest) -> None:
        self._place = place
        self._manifest = manifest
        self._numbers = itertools.count()
        self._folders: set[PurePath] = set()
        """Made, and seen to be in the attempt's directory."""
        self._is_left = False
        self._directory = place.staging / f"{place.commit}.{uuid.uuid4().hex}"
        with translated("write", self._directory):
            for directory in (place.staging.parent, place.staging, self._directory):
                _own(directory)

    def adopt(self, file: File) -> bool:
        return any(self._take(file, other, file.path) for other in self._others)

    def share(self, file: File, commit: str, path: str) -> bool:
        other = replace(self._place, commit=commit).published
        return attempts.is_directory(other) and self._take(file, other, path)

    @contextmanager
    def write(self, file: File) -> Iterator[Draft]:
        final, aside = self._final(file.path), self._aside()
        draft = FileDraft(partial(self.guarded, final), file.size, aside, final)
        try:
            yield draft
        finally:
            draft.end()

    def publish(self) -> None:
        """Everything is on the disk before the name is: the order of the lines is the point of this function."""
        place = self._place
        with self.guarded(self._directory):
            self._settle()
            self._take_the_name()
        _keep_names(place.published.parent)

    def replace(self) -> None:
        place = self._place
        aside = place.trash / self._directory.name
        with self.guarded(self._directory):
            self._settle()
            for directory in (place.trash.parent, place.trash):
                _own(directory)
            replacing.swap(self._directory, place.published, aside, self._take_the_name)
        _keep_names(place.published.parent, place.trash)
        log.warning("%s was damaged and is replaced; what it was lies at %s", place.published, aside)

    def leave(self) -> None:
        self._is_left = True

    def end(self) -> None:
        """Give its space back, unless it was left for others."""
        if not self._is_left:
            attempts.remove(self._directory)

    @contextmanager
    def guarded(self, path: Path) -> Iterator[None]:
        """A directory of ours that is gone was swept by who published first; or by us, if a rename was sent twice.

        Over NFSv3 it is a stale handle that tells of it, when a file was open.
        """
        gone = f"{self._directory} was removed by another attempt at the same commit"
        try:
            with translated("write", path):
                yield
        except FileNotFoundError as err:
            raise Conflict(gone) from err
        except Transient as err:
            with suppress(Corrupt, Missing, Transient):  # that it is gone is not known then
                if not places.is_there(self._directory):
                    raise Conflict(gone) from err
            raise

    @cached_property
    def _others(self) -> Sequence[Path]:
        """Where finished files of this commit may lie."""
        found = [other for other in attempts.of(self._place) if other != self._directory]
        return [other for other in (*found, self._place.published) if attempts.is_directory(other)]

    def _final(self, path: str) -> Path:
        """A file's name, in a folder that is there. Where that leads is looked up once: it takes as long as a file."""
        places.check_path(path)
        full, folder = self._directory / path, PurePath(path).parent
        if folder not in self._folders or not attempts.is_directory(full.parent):
            places.below(self._directory, path)
            with self.guarded(full):
                _make_folders(self._directory, path)
            self._folders.add(folder)
        return full

    def _take(self, file: File, other: Path, path: str) -> bool:
        """A hard link, and not a rename: whoever made the file may be alive and need it."""
        ours = self._final(file.path)
        with self.guarded(ours):
            try:
                os.link(places.below(other, path), ours, follow_symlinks=False)
            except (OSError, Refused):  # it has no such file, or may not share it: then it is fetched
                return False
            if _holds(ours, file):
                return True
            ours.unlink()
        return False

    def _settle(self) -> None:
        """Everything is on the disk before the name is."""
        if wrong := differences(self._manifest, places.entries(self._directory)):
            raise Conflict(f"somebody changed {self._directory}: {'; '.join(wrong[:SHOWN])}")
        self._write_manifest()
        for directory, _, _ in os.walk(self._directory, topdown=False):
            sync(Path(directory))
        _own(self._place.published.parent)
        sync(self._place.root)

    def _take_the_name(self) -> None:
        published = self._place.published
        try:
            self._directory.rename(published)
        except OSError as err:
            if err.errno in (errno.ENOTEMPTY, errno.EEXIST):
                raise Conflict(f"{published} was published by another attempt; look at it") from err
            raise

    def _write_manifest(self) -> None:
        place, aside = self._place, self._aside()
        for directory in (place.manifest.parent.parent, place.manifest.parent):
            _own(directory)
        with os.fdopen(create(aside), "wb") as manifest:
            manifest.write(self._manifest.dump())
            manifest.flush()
            os.fsync(manifest.fileno())
        aside.rename(place.manifest)
        sync(place.manifest.parent)
        sync(place.manifest.parent.parent)

    def _aside(self) -> Path:
        """Inside the attempt, so that it goes when the attempt does."""
        return self._directory / f"{attempts.PARTIAL}{next(self._numbers)}-{uuid.uuid4().hex}"


def sync(directory: Path) -> None:
    """Have the names in it on the disk."""
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _keep_names(*directories: Path) -> None:
    """After a rename of ours: that the attempt's own directory is not there any more is no sign of another one now."""
    for directory in directories:
        with translated("write", directory):
            sync(directory)


def _own(directory: Path) -> None:
    """A directory of that name, and not a link to one."""
    with suppress(FileExistsError):
        directory.mkdir()
    if not stat.S_ISDIR(directory.lstat().st_mode):
        raise Corrupt(f"{directory} is not a directory, so this program did not make it; move it away and run again")


def _make_folders(top: Path, path: str) -> None:
    """Those above a file, and never ``top`` itself: once it was swept, it must not come back."""
    for folder in reversed(PurePath(path).parents):
        if folder != PurePath():
            (top / folder).mkdir(exist_ok=True)


def _holds(path: Path, file: File) -> bool:
    """Whether this is a regular file with exactly that content, all of it on the disk."""
    found = path.lstat()
    if not stat.S_ISREG(found.st_mode) or found.st_size != file.size:
        return False
    with open_fresh(path) as f:
        os.fsync(f.fileno())
        return f.sha256() == file.sha256
