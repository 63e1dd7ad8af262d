"""One file while it is written: under a name of its own, until it is whole and on the disk."""

import os
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, suppress
from pathlib import Path

from steps.ports.volume import Draft

WRITE = 128 * 1024
"""Bytes in one call. For megabytes at once the kernel takes large pieces of memory for its cache, which a virtual
machine may have given back to its host: that has cost up to five times as much of a core."""


def create(path: Path) -> int:
    """An open file that nobody else made."""
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)


class FileDraft(Draft):
    """Thread-safe, as each write says where it goes. What fails is told by ``guarded``."""

    def __init__(self, guarded: Callable[[], AbstractContextManager[None]], fd: int, aside: Path, final: Path) -> None:
        self._guarded = guarded
        self._fd = fd
        self._aside = aside
        self._final = final

    def write(self, offset: int, pieces: Sequence[bytes | memoryview]) -> None:
        with self._guarded():
            for piece in pieces:
                _write(self._fd, piece, offset)
                offset += len(piece)

    def keep(self) -> None:
        """NFS tells of a full disk here, and not before: at the sync, or at the close."""
        with self._guarded():
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


def _write(fd: int, piece: bytes | memoryview, offset: int) -> None:
    left = memoryview(piece)
    while left:
        written = os.pwrite(fd, left[:WRITE], offset)
        left, offset = left[written:], offset + written
