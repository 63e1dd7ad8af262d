"""A file as the disk or its server holds it, whatever this machine's cache says.

A large one is read past the cache (O_DIRECT), where its file system knows how: that takes half as much of a core, and
leaves the cache to those who need it.
"""

import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from io import FileIO
from pathlib import Path

from steps import memory
from steps.clients import direct
from steps.core.parts import MiB

PIECE = 4 * MiB
"""Read at a time, while the piece before it is hashed."""


class Fresh(FileIO):
    """Opened by ``open_fresh``."""

    def sha256(self) -> str:
        """Of the whole, in hex."""
        self.seek(0)
        size = os.fstat(self.fileno()).st_size
        if size < direct.LEAST or not direct.begin(self.fileno()):
            return hashlib.file_digest(self, "sha256").hexdigest()
        try:
            return self._digest(size)
        finally:
            direct.end(self.fileno())

    def _digest(self, size: int) -> str:
        digest = hashlib.sha256()
        with ExitStack() as lent, ThreadPoolExecutor(1) as ahead:
            now, later = (lent.enter_context(memoryview(memory.pages(PIECE))) for _ in range(2))
            coming = ahead.submit(self._fill, now)
            while size > 0 and (count := coming.result()):
                size -= count
                if size > 0:
                    coming = ahead.submit(self._fill, later)
                digest.update(now[:count])
                now, later = later, now
        return digest.hexdigest()

    def _fill(self, body: memoryview) -> int:
        try:
            return self.readinto(body) or 0
        except OSError as err:
            if err.errno not in direct.REFUSALS:
                raise
            direct.end(self.fileno())
            return self.readinto(body) or 0


def open_fresh(path: Path) -> Fresh:
    """For reading, and not through a link."""
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_SEQUENTIAL)
    return Fresh(fd, "rb")
