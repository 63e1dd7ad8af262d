"""A large file past the kernel's page cache (O_DIRECT), where its file system knows how.

Copying the bytes there takes as much of a core as hashing them. The next to read them is checksum, which asks the disk,
on whichever node; what a model server will map is read ahead by deploy, where it will run. And a full disk is told by
the write, not only by the sync.

What such a write asks of the memory, the offset and the length differs between file systems. Where one is not met, the
file is written through the cache from then on, as a small one is from the beginning.
"""

import errno
import fcntl
import os
import threading

from steps.core.parts import MiB
from steps.ports.volume import Bytes

LEAST = MiB
"""A smaller file is written through the cache, which does not wait for the disk before the sync."""
REFUSALS = {errno.EINVAL, errno.EOPNOTSUPP}
"""That a file system, or this memory, offset or length, knows no such way."""
BLOCK = 4096
"""What offsets and lengths are multiples of; the memory that parts lie in is, too."""
PIECE = 128 * 1024
"""Bytes in one call, through the cache. For megabytes at once the kernel takes large pieces of memory for it, which a
virtual machine may have given back to its host: that has cost up to five times as much of a core."""


def begin(fd: int) -> bool:
    """Whether this open file is past the cache from now on: some file systems know no such way."""
    try:
        fcntl.fcntl(fd, fcntl.F_SETFL, fcntl.fcntl(fd, fcntl.F_GETFL) | os.O_DIRECT)
    except OSError as err:
        if err.errno not in REFUSALS:
            raise
        return False
    return True


def end(fd: int) -> None:
    fcntl.fcntl(fd, fcntl.F_SETFL, fcntl.fcntl(fd, fcntl.F_GETFL) & ~os.O_DIRECT)


class Writer:
    """Of a new file of ``size`` bytes, from several threads."""

    def __init__(self, fd: int, size: int) -> None:
        self._fd = fd
        self._is_direct = size >= LEAST and begin(fd)
        self._ends: list[tuple[int, bytes]] = []
        self._giving_up = threading.Lock()

    def write(self, offset: int, body: Bytes) -> None:
        """Raises OSError. What is less than a block waits for ``finish``: the last bytes of a file mostly are."""
        left = memoryview(body)
        while self._is_direct and len(left) >= BLOCK:
            try:
                written = os.pwrite(self._fd, left[: len(left) - len(left) % BLOCK], offset)
            except OSError as err:
                if err.errno not in REFUSALS:
                    raise
                self._give_up()
            else:
                left, offset = left[written:], offset + written
        if not self._is_direct:
            _through_the_cache(self._fd, offset, left)
        elif left:
            self._ends.append((offset, bytes(left)))

    def finish(self) -> None:
        """Once every write has returned. Raises OSError."""
        self._give_up()
        for offset, left in self._ends:
            _through_the_cache(self._fd, offset, memoryview(left))

    def _give_up(self) -> None:
        with self._giving_up:
            if self._is_direct:
                end(self._fd)
                self._is_direct = False


def _through_the_cache(fd: int, offset: int, left: memoryview) -> None:
    while left:
        written = os.pwrite(fd, left[:PIECE], offset)
        left, offset = left[written:], offset + written
