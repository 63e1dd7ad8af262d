"""Small files, each copied by one thread from its first byte to its last name.

Handing them from thread to thread, as large ones are, takes longer than copying them. So does waiting for Python's one
lock, which threads hand to each other all the time: many of them are spread over processes.
"""

import hashlib
import os
from collections.abc import Sequence

from steps import processes
from steps.buffers import Buffers
from steps.core import parts
from steps.core.manifest import File
from steps.core.parts import MiB
from steps.errors import Conflict
from steps.one_file import Fetches, Start
from steps.progress import Progress

LARGEST = MiB
"""Bytes."""
WORKERS = 4 * parts.MAX_WORKERS
"""Threads in all. Most of its time each waits: for a store that is 20 ms away, and for the disk. The clients keep as
many connections; memory is a few times ``LARGEST`` for each."""
MAX_PROCESSES = 4
MANY = 200
"""Files; fewer are copied before other processes would have begun."""


def copy(files: Sequence[File], start: Start, progress: Progress, fetches: Fetches, *, apart: bool = False) -> None:
    """Raises what the first failure raised; what has begun then goes on to its end.

    ``apart`` says that files may be copied in other processes: nothing that it leaves in memory is needed here.
    """
    buffers = Buffers(WORKERS * LARGEST, least=LARGEST)

    def bring(file: File) -> int:
        body = buffers.take(file.size)
        try:
            while (actual := _fetch(file, start, body)) != file.sha256:
                fetches.came_wrong(file, actual)
        finally:
            buffers.give(body)
        return file.size

    spread = _processes() if apart and len(files) >= MANY else 1
    processes.each(bring, files, spread, max(1, WORKERS // spread), progress.add)


def _processes() -> int:
    """One for each core that we may run on; a quota of their time is not seen."""
    return min(len(os.sched_getaffinity(0)), MAX_PROCESSES)


def _fetch(file: File, start: Start, body: memoryview) -> str:
    """Its sha256. If that is what it should be, the file is kept."""
    (whole,) = parts.cut(file.size).parts()
    with start(file) as copy:
        try:
            copy.part(whole, body)
            actual = hashlib.sha256(body).hexdigest()
            if actual == file.sha256:
                copy.keep()
        except Conflict as err:
            copy.overtaken(err)
            return file.sha256
    return actual
