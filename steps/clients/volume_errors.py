"""What the file system raises, in our words, by errno. What is none of these stays what it was, a bug.

On NFS they come late for what goes through the cache: a full disk is reported by fsync or close, not by write.
"""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from steps.errors import Corrupt, Missing, NoSpace, Transient

FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
CLOSED = {errno.EROFS, errno.EACCES, errno.EPERM}
LATER = {errno.EIO, errno.ESTALE, errno.ETIMEDOUT, errno.EREMOTEIO, errno.EINTR, errno.EAGAIN}
NOT_OURS = {errno.ELOOP, errno.ENOTDIR, errno.EISDIR}


@contextmanager
def translated(verb: str, path: Path) -> Iterator[None]:
    """``verb`` and ``path`` say what is tried: write /models/..."""
    try:
        yield
    except OSError as err:
        said = f"cannot {verb} {path}: {err.strerror}"
        if err.errno in FULL:
            raise NoSpace(f"{said}; make room on the volume or raise its quota, then run again") from err
        if err.errno in CLOSED:
            raise Missing(f"{said}; the volume must be mounted so that uid {os.geteuid()} may {verb} there") from err
        if err.errno in LATER:
            raise Transient(f"{said}; the volume's server may be away for a while") from err
        if err.errno in NOT_OURS:
            raise Corrupt(f"{said}; what is there was not made by this program: move it away and run again") from err
        raise
