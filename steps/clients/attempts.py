"""What attempts at a commit have on the volume, below ``.staging``: found, told, and removed when they are over."""

import logging
import os
import shutil
import stat
import time
import uuid
from contextlib import suppress
from pathlib import Path

from steps.clients import place as places
from steps.clients.place import Place
from steps.clients.volume_errors import translated

PARTIAL = ".partial-"
"""What is written still; a random part follows, so it is no file of the model."""
PAUSES = (0.0, 0.1, 0.4, 1.0)
"""Seconds before each try to remove a directory."""

log = logging.getLogger(__name__)


def of(place: Place) -> list[Path]:
    """What is there of attempts at this commit."""
    try:
        with translated("read", place.staging):
            return sorted(p for p in place.staging.iterdir() if p.name.startswith(f"{place.commit}."))
    except FileNotFoundError:
        return []


def is_directory(path: Path) -> bool:
    """Not a link to one, and not gone."""
    with translated("read", path), suppress(FileNotFoundError):
        return stat.S_ISDIR(path.lstat().st_mode)
    return False


def sweep(place: Place) -> None:
    """Remove what all attempts at this commit have left."""
    for attempt in of(place):
        remove(attempt)


def finished(place: Place) -> dict[str, int]:
    """Sizes by path of what attempts at this commit have finished; one of the sizes where they differ."""
    found: dict[str, int] = {}
    for attempt in filter(is_directory, of(place)):
        with suppress(FileNotFoundError):  # swept meanwhile
            found |= {path: size for path, size in places.entries(attempt).items() if size is not None}
    return {path: size for path, size in found.items() if not path.startswith(PARTIAL)}


def of_others(place: Place) -> dict[str, int]:
    """Bytes by directory, relative to the root, of attempts at other commits; a file that two share counts for each."""
    with translated("read", place.staging.parent):
        others = set(place.staging.parent.glob("*/*")) - set(of(place))
    found: dict[str, int] = {}
    for attempt in filter(is_directory, sorted(others)):
        with suppress(FileNotFoundError):  # swept meanwhile
            sizes = places.entries(attempt).values()
            found[str(attempt.relative_to(place.root))] = sum(size or 0 for size in sizes)
    return found


def remove(path: Path) -> None:
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
