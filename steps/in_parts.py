"""Large files, in parts that several threads fetch.

    all files' parts, in order -> readers: fetch, pass on -> each file's sha256, in order -> finishers: keep the file

All of them work side by side, so a file's last parts, its sync and its rename go on beside the first parts of the next
file. The memory that a part lies in is lent to it until it is hashed.
"""

import hashlib
import queue
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager

from steps.buffers import Buffers
from steps.core import parts
from steps.core.manifest import File
from steps.core.parts import Part
from steps.errors import Conflict
from steps.one_file import Copy, Fetches, Start
from steps.parallel import Ordered
from steps.progress import Progress

FINISHERS = 8
"""Files that are synced at once."""
OPEN = 48
"""Files begun and not finished."""


def copy(files: Iterable[File], start: Start, progress: Progress, fetches: Fetches) -> None:
    """Raises what the first failure raised. After the return nothing goes on."""
    todo = deque(files)
    if not todo:
        return
    with _run(start, progress) as run:
        while todo or run.jobs:
            if todo and len(run.jobs) < OPEN:
                run.begin(todo.popleft())
                continue
            job = run.ended()
            if not job.is_right:
                fetches.came_wrong(job.file, job.actual)
                todo.appendleft(job.file)


@contextmanager
def _run(start: Start, progress: Progress) -> Iterator["_Run"]:
    with (
        ExitStack() as unfinished,
        ThreadPoolExecutor(FINISHERS) as finishers,
        ThreadPoolExecutor(parts.MAX_WORKERS) as readers,
    ):
        run = _Run(start, progress, readers, finishers)
        try:
            yield run
        finally:
            run.stopped = True
            for job in run.jobs:
                unfinished.callback(job.close)


class _Run:
    def __init__(
        self, start: Start, progress: Progress, readers: ThreadPoolExecutor, finishers: ThreadPoolExecutor
    ) -> None:
        self.start = start
        self.progress = progress
        self.buffers = Buffers(parts.MEMORY)
        self.jobs: set[_Job] = set()
        self.stopped = False
        """What has not begun is not begun any more; what has begun goes on, and a file that is whole is kept."""
        self._readers = readers
        self._finishers = finishers
        self._failures: list[BaseException] = []
        self._ended: queue.SimpleQueue[_Job] = queue.SimpleQueue()

    def begin(self, file: File) -> None:
        """Returns when all its parts have their memory."""
        job = _Job(self, file)
        self.jobs.add(job)
        for part in parts.cut(file.size).parts():
            body = self.buffers.take(part.size)
            self._readers.submit(job.part, part, body).add_done_callback(self._look)

    def finish(self, job: "_Job") -> None:
        def ended(future: Future[None]) -> None:
            self._look(future)
            self._ended.put(job)

        self._finishers.submit(job.finish).add_done_callback(ended)

    def ended(self) -> "_Job":
        """The next one that is. Raises what the first failure raised."""
        job = self._ended.get()
        self.jobs.remove(job)
        if self._failures:
            raise self._failures[0]
        return job

    def _look(self, future: Future[None]) -> None:
        if err := future.exception():
            self._failures.append(err)
            self.stopped = True


class _Job:
    """One attempt at one file. Every part comes through, fetched or not, for there is memory to give back."""

    def __init__(self, run: _Run, file: File) -> None:
        self.file = file
        self.actual = ""
        """The sha256 of what came; empty where not all did."""
        self.is_right = False
        self._run = run
        self._digest = hashlib.sha256()
        self._in_order = Ordered(self._take)
        self._left = parts.cut(file.size).count
        self._whole = True
        self._context = ExitStack()
        self._copy: Copy | None = None
        self._opening = threading.Lock()

    def part(self, part: Part, body: memoryview) -> None:
        came = False
        try:
            if self._whole and not self._run.stopped:
                copy = self._opened()
                with self._heeding(copy):
                    copy.part(part, body)
                    came = True
        finally:
            self._whole &= came
            self._in_order.bring(part.number, body)

    def finish(self) -> None:
        """Keep it, if it is what it should be."""
        try:
            if self._whole and self._copy:
                self.actual = self._digest.hexdigest()
                if self.actual == self.file.sha256:
                    with self._heeding(self._copy):
                        self._copy.keep()
                        self.is_right = True
        finally:
            self.close()

    def close(self) -> None:
        self._context.close()

    def _opened(self) -> Copy:
        with self._opening:
            if self._copy is None:
                self._copy = self._context.enter_context(self._run.start(self.file))
            return self._copy

    @contextmanager
    def _heeding(self, copy: Copy) -> Iterator[None]:
        """Others: when one of them has brought the file, this attempt has come to a good end."""
        try:
            yield
        except Conflict as err:
            copy.overtaken(err)
            self.is_right = True

    def _take(self, body: memoryview) -> None:
        if self._whole:
            self._digest.update(body)
            self._run.progress.add(len(body))
        self._run.buffers.give(body)
        self._left -= 1
        if not self._left:
            self._run.finish(self)
