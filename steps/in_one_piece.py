"""Small files, each copied by one thread from its first byte to its last name.

Handing them from thread to thread, as large ones are, takes longer than copying them.
"""

import hashlib
from collections.abc import Sequence

from steps import parallel
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
"""Most of its time each waits: for a store that is 20 ms away, and for the disk. The clients keep as many connections;
memory is a few times ``LARGEST`` for each."""


def copy(files: Sequence[File], start: Start, progress: Progress, fetches: Fetches) -> None:
    """Raises what the first failure raised; what has begun then goes on to its end."""
    buffers = Buffers(WORKERS * LARGEST, least=LARGEST)

    def bring(file: File) -> None:
        body = buffers.take(file.size)
        try:
            while (actual := _fetch(file, start, body)) != file.sha256:
                fetches.came_wrong(file, actual)
        finally:
            buffers.give(body)
        progress.add(file.size)

    parallel.each(bring, files, WORKERS)


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
