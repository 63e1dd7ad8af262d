"""Work in a process of its own that is killed, as by SIGKILL, before or after one of its calls."""

import itertools
import os
import warnings
from collections.abc import Callable, Iterable
from typing import Any

KILLED = 9
CALLS = tuple((os, name) for name in ("close", "fsync", "link", "mkdir", "open", "pwrite", "rename", "rmdir", "unlink"))
"""Where a call that changes a volume, or finishes a change, is found, and by which name."""


def killed_at(number: int, when: str, work: Callable[[], object], calls: Iterable[tuple[Any, str]] = CALLS) -> bool:
    """Whether there was such a call: ``when`` is ``before`` or ``after`` it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # fork beside threads: none of them holds a lock of ours
        pid = os.fork()
    if pid == 0:
        try:
            _die_at(number, when, calls)
            work()
        finally:
            os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == KILLED


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
