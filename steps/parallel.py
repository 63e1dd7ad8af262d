"""Work done side by side, its results taken in order, never more than so many of them in memory."""

import threading
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from typing import Generic, TypeVar

T = TypeVar("T")
R = TypeVar("R")


class _End:
    """There is no further item."""


_END = _End()


def in_order(work: Callable[[T], R], items: Iterable[T], workers: int, take: Callable[[R], object]) -> None:
    """Call ``take(work(item))`` for each item, ``work`` in threads and ``take`` here, one after the other.

    The next item is not begun before there is room for its result, so at most ``workers`` results exist at a time.
    When something is raised, what has begun is waited for: after the return nothing goes on.
    """
    if workers == 1:
        for item in items:
            take(work(item))
        return
    waiting: deque[Future[R]] = deque()
    with ThreadPoolExecutor(workers) as pool:
        for item in items:
            if len(waiting) == workers:
                take(waiting.popleft().result())
            waiting.append(pool.submit(work, item))
        while waiting:
            take(waiting.popleft().result())


def each(work: Callable[[T], object], items: Iterable[T], workers: int) -> None:
    """Call ``work`` for each item, in so many threads, each of which goes from one item to the next.

    Raises what the first failure raised, when what had begun by then is done.
    """
    if workers == 1:
        for item in items:
            work(item)
        return
    todo, taking, over = iter(items), threading.Lock(), threading.Event()

    def go_on() -> None:
        try:
            while not over.is_set():
                with taking:
                    item = next(todo, _END)
                if isinstance(item, _End):
                    return
                work(item)
        except BaseException:
            over.set()
            raise

    with ThreadPoolExecutor(workers) as pool:
        try:
            for ended in as_completed([pool.submit(go_on) for _ in range(workers)]):
                ended.result()
        finally:
            over.set()


def nothing(_result: object) -> None:
    """For work that is done for its effect."""


class Ordered(Generic[T]):
    """Calls ``take`` with what is brought under the numbers 1, 2, 3, …, in that order, one at a time.

    It is called in the thread of whoever brings what was waited for, and goes on there while the next ones are there.
    """

    def __init__(self, take: Callable[[T], object]) -> None:
        self._take = take
        self._brought: dict[int, T] = {}
        self._next = 1
        self._taking = False
        self._lock = threading.Lock()

    def bring(self, number: int, thing: T) -> None:
        """From any thread; each number once."""
        with self._lock:
            self._brought[number] = thing
            if self._taking or number != self._next:
                return
            self._taking = True
        while True:
            with self._lock:
                if self._next not in self._brought:
                    self._taking = False
                    return
                now = self._brought.pop(self._next)
                self._next += 1
            self._take(now)
