"""Work in a process of its own that is killed, as by SIGKILL, before or after one of its calls."""

import itertools
import os
import signal
import warnings
from collections.abc import Callable, Iterable
from typing import Any

KILLED = 9
CALLS = tuple((os, name) for name in ("close", "fsync", "link", "mkdir", "open", "pwrite", "rename", "rmdir", "unlink"))
"""Where a call that changes a volume, or finishes a change, is found, and by which name."""


def killed_at(number: int, when: str, work: Callable[[], object], calls: Iterable[tuple[Any, str]] = CALLS) -> bool:
    """Whether there was such a call: ``when`` is ``before`` or ``after`` it."""
    pid = _forked(lambda: _die_at(number, when, calls), work)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == KILLED


def frozen_at(
    number: int, work: Callable[[], object], calls: Iterable[tuple[Any, str]], first: Callable[[], object]
) -> int:
    """The pid of a process that is stopped ahead of that call, as by SIGSTOP, after it has done ``first``.

    0 where there was no such call.
    """
    pid = _forked(lambda: _stand_still_at(number, calls, first), work)
    _, status = os.waitpid(pid, os.WUNTRACED)
    return pid if os.WIFSTOPPED(status) else 0


def _forked(prepare: Callable[[], object], work: Callable[[], object]) -> int:
    """The pid of a process that does the two."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # fork beside threads: none of them holds a lock of ours
        pid = os.fork()
    if pid == 0:
        try:
            prepare()
            work()
        finally:
            os._exit(0)
    return pid


def _stand_still_at(number: int, calls: Iterable[tuple[Any, str]], first: Callable[[], object]) -> None:
    counted = itertools.count(1)

    def halting(call: Callable[..., Any]) -> Callable[..., Any]:
        def instead(*args: Any, **kwargs: Any) -> Any:
            if next(counted) == number:
                first()
                os.kill(os.getpid(), signal.SIGSTOP)
            return call(*args, **kwargs)

        return instead

    for holder, name in calls:
        setattr(holder, name, halting(getattr(holder, name)))


def _die_at(number: int, when: str, calls: Iterable[tuple[Any, str]]) -> None:
    """Nothing is cleaned up."""
    counted = itertools.count(1)

    def deadly(call: Callable[..., Any]) -> Callable[..., Any]:
        def instead(*args: Any, **kwargs: Any) -> Any:
            last = next(counted) == number
            if last and when == "before":
                os._exit(KILLED)
            try:
                return call(*args, **kwargs)
            finally:
                if last:
                    os._exit(KILLED)

        return instead

    for holder, name in calls:
        setattr(holder, name, deadly(getattr(holder, name)))
