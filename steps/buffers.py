"""Memory that is lent out and comes back: so much in all, whatever is done with it.

New memory costs: the kernel clears each page of it first. So what came back is lent again.
"""

import mmap
import threading

from steps import memory
from steps.core import parts


class Buffers:
    """``total`` bytes at a time, in pieces of ``least`` or more. Thread-safe."""

    def __init__(self, total: int, least: int = parts.PREFERRED) -> None:
        self._room = total
        self._least = least
        self._idle: list[mmap.mmap] = []
        self._changed = threading.Condition()

    def take(self, size: int) -> memoryview:
        """Exactly so many bytes; their content is anything. Waits until there is room."""
        least = max(size, self._least)
        with self._changed:
            self._changed.wait_for(lambda: self._room >= least)
            self._room -= least
            found = self._idle.pop() if self._idle else None
        if found is None or len(found) < least:
            found = memory.pages(least)  # outside of the lock; one that is too small is let go
        return memoryview(found)[:size]

    def give(self, body: memoryview) -> None:
        """Back what was taken. Nobody uses it any more."""
        found = body.obj
        assert isinstance(found, mmap.mmap)
        with self._changed:
            self._room += max(len(body), self._least)
            self._idle.append(found)
            self._changed.notify()
