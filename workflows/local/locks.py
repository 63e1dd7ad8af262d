"""Locks that the kernel frees when the last process that has them open ends, however it ends.

Steps inherit them. So what a killed engine's steps still do is not disturbed by the next run.
"""

import fcntl
import os
from pathlib import Path


class Lock:
    """An exclusive lock on a file, whose text says who holds it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._fd: int | None = None

    @property
    def fd(self) -> int:
        """To be handed to the processes that hold the lock as well."""
        assert self._fd is not None, "not taken"
        return self._fd

    def take(self, holder: str) -> bool:
        """False, at once, while another process holds it."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(fd)
            return False
        os.ftruncate(fd, 0)
        os.write(fd, holder.encode())
        self._fd = fd
        return True

    def holder(self) -> str:
        """Who took it last."""
        return self.path.read_text(encoding="utf-8", errors="replace") if self.path.exists() else ""

    def let_go(self) -> None:
        """By closing it, not by unlocking: a step that still runs keeps it."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None
