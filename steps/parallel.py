"""Work done side by side, its results taken in order, never more than so many of them in memory."""

from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


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


def nothing(_result: object) -> None:
    """For work that is done for its effect."""
