"""The files of the local adapter: written so that a power cut leaves the old one or the new one, failures in our words.

A trouble of the machine is never told as a fault of the release that was to be served.
"""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from steps.errors import BadInput, NoSpace, StepError, Transient

FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
CLOSED = {errno.EROFS, errno.EACCES, errno.EPERM, errno.EISDIR, errno.ENOTDIR, errno.ELOOP}


def replace(path: Path, aside: Path, body: bytes) -> None:
    """Write the file whole; ``aside`` is beside it, and one caller's at a time."""
    with aside.open("wb") as file:
        file.write(body)
        file.flush()
        os.fsync(file.fileno())
    aside.rename(path)
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


@contextmanager
def translated(where: Path | None = None) -> Iterator[None]:
    """Around what uses these files, or over a function that does. ``where`` is for errors that name no file."""
    try:
        yield
    except OSError as err:
        raise _ours(err, str(where or err.filename or "a file of the deployment")) from err


def _ours(err: OSError, path: str) -> StepError:
    said = f"{path} cannot be used: {err.strerror or type(err).__name__}"
    if err.errno in FULL:
        return NoSpace(f"{said}; make room on its disk and run it again")
    if err.errno in CLOSED:
        return BadInput(f"{said}; see whose directory it is")
    return Transient(f"{said}; this machine is short of something, so run it again")
