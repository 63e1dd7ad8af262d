"""One directory in the place of another, which is moved aside: in one call where the file system can do that.

A model server that has the old files open or mapped keeps them: a rename touches names alone, and nothing here deletes
what was moved. One that starts meanwhile finds the old directory or the new one. Local file systems exchange two names
in one call. NFS cannot: between its two renames, some milliseconds, the name is not there, and a server that starts
just then fails and is started again. Who is killed there leaves the good directory whole, below ``.staging``, for the
next attempt. Other nodes may see the old directory under the name for as long as they remember names, about a minute.
"""

import ctypes
import errno
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

AT_FDCWD = -100
EXCHANGE = 2
CANNOT = {errno.EINVAL, errno.ENOSYS, errno.ENOTSUP}

_libc = ctypes.CDLL(None, use_errno=True)


def swap(fresh: Path, name: Path, aside: Path, take_the_name: Callable[[], None]) -> None:
    """``fresh`` gets ``name``, what had it gets the name ``aside``. ``take_the_name`` renames ``fresh`` alone."""
    try:
        exchange(fresh, name)
    except OSError as err:
        if err.errno not in CANNOT:
            raise
        _one_after_the_other(name, aside, take_the_name)
    else:
        fresh.rename(aside)


def exchange(one: Path, other: Path) -> None:
    """Both names are there at every moment. Raises OSError, EINVAL where the file system cannot."""
    if _libc.renameat2(AT_FDCWD, os.fsencode(one), AT_FDCWD, os.fsencode(other), EXCHANGE):
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), str(one), None, str(other))


def _one_after_the_other(name: Path, aside: Path, take_the_name: Callable[[], None]) -> None:
    name.rename(aside)
    try:
        take_the_name()
    except OSError:
        with suppress(OSError):  # the failure itself is told; a damaged model is better than none
            aside.rename(name)
        raise
