"""One file while it is written: under a name of its own, until it is whole and on the disk."""

import os
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from pathlib import Path

from steps.clients.direct import Writer
from steps.ports.volume import Bytes, Draft


def create(path: Path) -> int:
    """An open file that nobody else made."""
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)


class FileDraft(Draft):
    """Of ``size`` bytes. Thread-safe, as each write says where it goes. What fails is told by ``guarded``."""

    def __init__(
        self, guarded: Callable[[], AbstractContextManager[None]], size: int, aside: Path, final: Path
    ) -> None:
        self._guarded = guarded
        self._aside = aside
        self._final = final
        self._is_kept = False
        with guarded():
            self._fd = create(aside)
            try:
                self._writer = Writer(self._fd, size)
            except OSError:
                self.end()
                raise

    def write(self, offset: int, body: Bytes) -> None:
        with self._guarded():
            self._writer.write(offset, body)

    def keep(self) -> None:
        """What went through the cache NFS tells of a full disk here, and not before: at the sync, or at the close."""
        with self._guarded():
            self._writer.finish()
            os.fsync(self._fd)
            fd, self._fd = self._fd, -1
            os.close(fd)
            self._aside.rename(self._final)
            self._is_kept = True

    def end(self) -> None:
        """Leave nothing, unless it was kept."""
        with suppress(OSError):  # it is thrown away, and the error that led here is the one to tell
            if self._fd >= 0:
                os.close(self._fd)
            if not self._is_kept:
                self._aside.unlink(missing_ok=True)
