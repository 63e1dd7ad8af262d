"""Work for all cores: Python's one lock lets the threads of a process take turns only.

The processes are forked: each has what it works with as it was at that moment, and what it changes in memory nobody
else sees. So this is for work that is done for its effect on the outside. None of them outlives the thread that asked.
"""

import ctypes
import gc
import mmap
import os
import pickle
import select
import signal
import threading
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from itertools import takewhile
from typing import NoReturn, TypeVar

from steps import parallel
from steps.errors import Transient

LOOK_MILLISECONDS = 200
"""Between two looks at how much is done."""
PR_SET_PDEATHSIG = 1

T = TypeVar("T")

_libc = ctypes.CDLL(None)


def each(
    work: Callable[[T], int], items: Sequence[T], processes: int, threads: int, tell: Callable[[int], object]
) -> None:
    """Call ``work`` for each item, in so many processes of so many threads; what it returns is summed up for ``tell``.

    ``tell`` is called here; where there is one process only, by its threads. Raises what the first failure raised, when
    what had begun by then is done, and Transient where one of the processes was killed. Nothing else may be at work in
    this process when it is forked.
    """
    if processes == 1:
        parallel.each(lambda item: tell(work(item)), items, threads)
        return
    board = _Board(processes)
    with ExitStack() as ended:
        children: list[_Child] = []
        for number in range(processes):
            share = partial(_share, work, items[number::processes], threads, board, number)
            children.append(_Child(share))
            ended.callback(children[-1].end)
        _listen(children, board, tell)
    if (first := board.failed) is not None:
        failure = children[first].failure
        assert failure
        raise failure


class _Board:
    """Memory that all of them see: who failed first, and how much each has done."""

    def __init__(self, processes: int) -> None:
        self._words = memoryview(mmap.mmap(-1, 8 * (processes + 1))).cast("Q")

    @property
    def failed(self) -> int | None:
        """The number of the first that did; the others begin nothing more."""
        return self._words[0] - 1 if self._words[0] else None

    @property
    def done(self) -> int:
        return sum(self._words[1:])

    def fail(self, number: int) -> None:
        if not self._words[0]:
            self._words[0] = number + 1

    def add(self, number: int, amount: int) -> None:
        self._words[number + 1] += amount


class _Child:
    """A process that does its share and then sends what it raised; one that sends nothing did not come to its end."""

    def __init__(self, share: Callable[[], BaseException | None]) -> None:
        self.failure: BaseException | None = None
        self._sent = bytearray()
        parent = os.getpid()
        with _beginning():
            self._pipe, theirs = os.pipe()
        try:
            with _beginning():
                self._pid = _fork()
        except Transient:
            os.close(self._pipe)
            os.close(theirs)
            raise
        if not self._pid:
            _live(parent, theirs, share)
        os.close(theirs)

    def fileno(self) -> int:
        return self._pipe

    def hear(self) -> bool:
        """Whether that was all, and it has ended."""
        piece = os.read(self._pipe, 64 * 1024)
        self._sent += piece
        if not piece:
            _, status = os.waitpid(self._pid, 0)
            self._pid = 0
            self.failure = _failure(bytes(self._sent), os.waitstatus_to_exitcode(status))
        return not piece

    def end(self) -> None:
        """Whatever it does."""
        os.close(self._pipe)
        if self._pid:
            os.kill(self._pid, signal.SIGKILL)
            os.waitpid(self._pid, 0)


@contextmanager
def _beginning() -> Iterator[None]:
    try:
        yield
    except OSError as err:
        raise Transient(f"no more processes may be begun here ({err.strerror}); run it again") from err


def _fork() -> int:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # beside a thread that waits and holds no lock of ours
        return os.fork()


def _listen(children: Sequence[_Child], board: _Board, tell: Callable[[int], object]) -> None:
    """Until all have ended."""
    poll, told = select.poll(), 0
    left = {child.fileno(): number for number, child in enumerate(children)}
    for pipe in left:
        poll.register(pipe, select.POLLIN)
    while left:
        for pipe, _ in poll.poll(LOOK_MILLISECONDS):
            if children[left[pipe]].hear():
                poll.unregister(pipe)
                if children[left[pipe]].failure:
                    board.fail(left[pipe])
                del left[pipe]
        done = board.done
        tell(done - told)
        told = done


def _failure(sent: bytes, code: int) -> BaseException | None:
    if code or not sent:
        how = f"killed by signal {-code}" if code < 0 else f"ended with code {code}"
        return Transient(f"one of the processes that share this work was {how}; run it again")
    raised: BaseException | None = pickle.loads(sent)  # noqa: S301  # from a process of our own
    return raised


def _live(parent: int, pipe: int, share: Callable[[], BaseException | None]) -> NoReturn:
    """All that the new process does; it tells nobody of a signal, for its parent does."""
    try:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() == parent:  # else it died before that was said
            gc.freeze()  # what is shared with the parent stays shared
            sent = memoryview(_packed(share()))
            while sent:
                sent = sent[os.write(pipe, sent) :]
            os._exit(0)
    finally:
        os._exit(1)


def _share(
    work: Callable[[T], int], items: Sequence[T], threads: int, board: _Board, number: int
) -> BaseException | None:
    """Of one process; what it raised."""
    adding = threading.Lock()

    def one(item: T) -> None:
        try:
            amount = work(item)
        except BaseException:
            board.fail(number)
            raise
        with adding:
            board.add(number, amount)

    try:
        parallel.each(one, takewhile(lambda _: board.failed is None, items), threads)
    except BaseException as err:  # noqa: BLE001  # the parent raises it
        return err
    return None


def _packed(raised: BaseException | None) -> bytes:
    """With its trace as a note. What is no value becomes one that says as much."""
    if raised is None:
        return pickle.dumps(None)
    raised.add_note("".join(traceback.format_exception(raised)))
    with suppress(Exception):
        packed = pickle.dumps(raised)
        pickle.loads(packed)  # noqa: S301  # whether that is possible
        return packed
    told = RuntimeError(f"{type(raised).__name__}: {raised}")
    told.__notes__ = raised.__notes__
    return pickle.dumps(told)
