"""One attempt's own directory on the volume, out of which a published one is made by a rename.

A file is written under a name of its own, synced, closed, and only then gets its name in the model: what has a name is
finished, and never opened for writing again. So finished files of other attempts, dead or alive, and of other commits
can be shared by hard links, and an attempt that is killed at any moment leaves nothing outside ``.staging``.

Two commits that share a file have it once: it takes no room and no time again, and it rots in both. So the rollback
target is read as well before anything is changed, and the store has a copy of its own for each commit.
"""

import errno
import hashlib
import itertools
import logging
import os
import shutil
import stat
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path, PurePath

from steps.clients import place as places
from steps.clients import replacing
from steps.clients.place import Place, open_fresh
from steps.clients.volume_errors import translated
from steps.core.manifest import File, Manifest
from steps.core.transfer import differences
from steps.errors import Conflict, Corrupt, Missing, Refused, Transient
from steps.ports.volume import Draft
from steps.ports.volume import Staging as StagingPort

SHOWN = 3
WRITE = 128 * 1024
"""Bytes in one call. For megabytes at once the kernel takes large pieces of memory for its cache, which a virtual
machine may have given back to its host: that has cost up to five times as much of a core."""
PARTIAL = ".partial-"
"""What is written still; a random part follows, so it is no file of the model."""

PAUSES = (0.0, 0.1, 0.4, 1.0)
"""Seconds before each try to remove a directory."""

log = logging.getLogger(__name__)


@contextmanager
def stage(place: Place, manifest: Manifest) -> Iterator["Staging"]:
    """After a failure nothing of the attempt is left, except finished files for the next one when that is to come."""
    staging = Staging(place, manifest)
    keep = False
    try:
        yield staging
    except Transient:
        keep = True
        raise
    finally:
        if not keep:
            staging.remove()


def sweep(place: Place) -> None:
    """Remove what all attempts at this commit have left."""
    for attempt in _attempts(place):
        _remove(attempt)


def finished(place: Place) -> dict[str, int]:
    """Sizes by path of what attempts at this commit have finished; one of the sizes where they differ."""
    found: dict[str, int] = {}
    for attempt in filter(_is_directory, _attempts(place)):
        with suppress(FileNotFoundError):  # swept meanwhile
            found |= {path: size for path, size in places.entries(attempt).items() if size is not None}
    return {path: size for path, size in found.items() if not path.startswith(PARTIAL)}


def of_others(place: Place) -> dict[str, int]:
    """Bytes by directory, relative to the root, of attempts at other commits; a file that two share counts for each."""
    with translated("read", place.staging.parent):
        others = set(place.staging.parent.glob("*/*")) - set(_attempts(place))
    found: dict[str, int] = {}
    for attempt in filter(_is_directory, sorted(others)):
        with suppress(FileNotFoundError):  # swept meanwhile
            sizes = places.entries(attempt).values()
            found[str(attempt.relative_to(place.root))] = sum(size or 0 for size in sizes)
    return found


class Staging(StagingPort):
    """Raises Conflict when another attempt has published the commit, and so removed this directory."""

    def __init__(self, place: Place, manifest: Manifest) -> None:
        self._place = place
        self._manifest = manifest
        self._numbers = itertools.count()
        self._directory = place.staging / f"{place.commit}.{uuid.uuid4().hex}"
        with translated("write", self._directory):
            for directory in (place.staging.parent, place.staging, self._directory):
                _own(directory)

    def adopt(self, file: File) -> bool:
        others = [attempt for attempt in _attempts(self._place) if attempt != self._directory]
        return any(self._take(file, other, file.path) for other in (*others, self._place.published))

    def share(self, file: File, commit: str, path: str) -> bool:
        return self._take(file, replace(self._place, commit=commit).published, path)

    @contextmanager
    def write(self, file: File) -> Iterator[Draft]:
        final = places.below(self._directory, file.path)
        aside = self._aside()
        with self.guarded(final):
            _make_folders(self._directory, file.path)
            fd = _create(aside)
        draft = FileDraft(self, fd, aside, final)
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

    def remove(self) -> None:
        """Give its space back."""
        _remove(self._directory)

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

    def _take(self, file: File, other: Path, path: str) -> bool:
        """A hard link, and not a rename: whoever made the file may be alive and need it."""
        if not _is_directory(other):
            return False
        ours = places.below(self._directory, file.path)
        with self.guarded(ours):
            _make_folders(self._directory, file.path)
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
        with os.fdopen(_create(aside), "wb") as manifest:
            manifest.write(self._manifest.dump())
            manifest.flush()
            os.fsync(manifest.fileno())
        aside.rename(place.manifest)
        sync(place.manifest.parent)
        sync(place.manifest.parent.parent)

    def _aside(self) -> Path:
        """Inside the attempt, so that it goes when the attempt does."""
        return self._directory / f"{PARTIAL}{next(self._numbers)}-{uuid.uuid4().hex}"


class FileDraft(Draft):
    """Thread-safe, as each write says where it goes."""

    def __init__(self, staging: Staging, fd: int, aside: Path, final: Path) -> None:
        self._staging = staging
        self._fd = fd
        self._aside = aside
        self._final = final

    def write(self, offset: int, pieces: Sequence[bytes | memoryview]) -> None:
        with self._staging.guarded(self._final):
            for piece in pieces:
                _write(self._fd, piece, offset)
                offset += len(piece)

    def keep(self) -> None:
        """NFS tells of a full disk here, and not before: at the sync, or at the close."""
        with self._staging.guarded(self._final):
            os.fsync(self._fd)
            fd, self._fd = self._fd, -1
            os.close(fd)
            self._aside.rename(self._final)

    def end(self) -> None:
        """Leave nothing, unless it was kept."""
        with suppress(OSError):  # it is thrown away, and the error that led here is the one to tell
            if self._fd >= 0:
                os.close(self._fd)
            self._aside.unlink(missing_ok=True)


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


def _attempts(place: Place) -> list[Path]:
    """What is there of attempts at this commit."""
    try:
        with translated("read", place.staging):
            return sorted(p for p in place.staging.iterdir() if p.name.startswith(f"{place.commit}."))
    except FileNotFoundError:
        return []


def _is_directory(path: Path) -> bool:
    """Not a link to one, and not gone."""
    with translated("read", path), suppress(FileNotFoundError):
        return stat.S_ISDIR(path.lstat().st_mode)
    return False


def _create(path: Path) -> int:
    """An open file that nobody else made."""
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)


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
        return hashlib.file_digest(f, "sha256").hexdigest() == file.sha256


def _write(fd: int, piece: bytes | memoryview, offset: int) -> None:
    left = memoryview(piece)
    while left:
        written = os.pwrite(fd, left[:WRITE], offset)
        left, offset = left[written:], offset + written


def _remove(path: Path) -> None:
    """First by name, at once, so that who still uses it meets a missing directory and never half of one.

    What cannot be removed now (NFS keeps the names of open files) the next run removes.
    """
    swept = path.with_name(f"{path.name.partition('.')[0]}.swept-{uuid.uuid4().hex}")
    try:
        path.rename(swept)
        if stat.S_ISDIR(swept.lstat().st_mode):
            _remove_tree(swept)
        else:
            swept.unlink()
    except FileNotFoundError:  # somebody else removes it as well
        return
    except OSError as err:
        log.warning("%s cannot be removed: %s", path, err)
        return
    if os.path.lexists(swept):
        log.warning("%s cannot be removed whole", swept)


def _remove_tree(directory: Path) -> None:
    """Over NFS a file whose writes are still on the way keeps a name for a moment after it was closed and removed."""
    for pause in PAUSES:
        time.sleep(pause)
        shutil.rmtree(directory, ignore_errors=True)
        if not os.path.lexists(directory):
            return
