"""A piece of work in a process of its own, in which the kernel refuses, or never returns from, a call of our choice.

The process is forked here, with all its modules loaded, and waits until strace holds it; so the calls that are counted
are those of the work alone, and the same each time, as long as it keeps to one thread.
"""

import ctypes
import os
import re
import select
import signal
import socket
import subprocess
import sys
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

FILES = (
    "openat,close,pwrite64,write,read,pread64,fsync,fdatasync,rename,renameat,renameat2,link,linkat,symlink,unlink,"
    "unlinkat,rmdir,mkdir,mkdirat,stat,lstat,newfstatat,fstat,statx,statfs,fstatfs,getdents64,readlink,fadvise64,lseek"
)
"""What a program asks of a file system."""
CALL = re.compile(r"(?:\d+ +)?([a-z0-9_]+)\((.*)")
PATIENCE_SECONDS = 60
TRIES = 3
PR_SET_PTRACER, ANYBODY = 0x59616D61, ctypes.c_ulong(-1)
"""Where the kernel lets only a parent trace, and strace is none: Yama's."""


@dataclass(frozen=True, slots=True)
class Call:
    """``number`` counts the calls of this name from 1."""

    name: str
    number: int
    text: str
    injected: bool

    def failing(self, error: str) -> str:
        """What strace must be told for this call to fail so, undone."""
        return f"{self.name}:error={error}:when={self.number}"

    def deadly(self) -> str:
        """What strace must be told for the process to be killed just before this call."""
        return f"{self.name}:signal=SIGKILL:when={self.number}"


@dataclass(frozen=True)
class Traced:
    """``code`` is the exit code, negative for a signal."""

    code: int
    calls: tuple[Call, ...]

    @property
    def injected(self) -> tuple[Call, ...]:
        return tuple(c for c in self.calls if c.injected)

    @property
    def killed(self) -> bool:
        return self.code == -signal.SIGKILL

    def touching(self, path: Path) -> tuple[Call, ...]:
        return tuple(c for c in self.calls if str(path) in c.text)


def traced(work: Callable[[], int], log: Path, calls: str = FILES, inject: str = "") -> Traced:
    """Run ``work``, whose result is the exit code, and see each of ``calls``; its stderr goes beside the log."""
    ours, theirs = socket.socketpair()
    pid = _fork(work, theirs, log.with_suffix(".stderr"))
    with ours, theirs:
        ours.recv(1)
        command = ["strace", "-f", "-y", "-s", "64", "-o", str(log), "-p", str(pid), "-e", f"trace={calls}"]
        with subprocess.Popen([*command, *_injecting(inject)], stderr=subprocess.PIPE, text=True) as strace:
            assert strace.stderr is not None
            line = strace.stderr.readline()
            assert "attached" in line, f"strace cannot hold the process: {line}{strace.stderr.read()}"
            ours.sendall(b"go")
            code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
            strace.communicate(timeout=PATIENCE_SECONDS)
    return Traced(code, tuple(_calls(log.read_text(errors="replace"))))


def failing(
    run: Callable[[str], Traced], error: str, calls: Iterable[Call], place: Path
) -> Iterator[tuple[Call, Traced]]:
    """A run for each call, which is at something below ``place``: this one fails, and no other.

    ``run`` begins anew each time. One in some thousands comes to no such call, and says nothing: it is made again.
    """
    for call in calls:
        seen = next((s for s in (run(call.failing(error)) for _ in range(TRIES)) if _met(s, call, place)), None)
        assert seen is not None, f"{TRIES} runs did not come to {call}"
        assert error in seen.injected[0].text
        yield call, seen


def killed(run: Callable[[str], Traced], calls: Iterable[Call]) -> Iterator[tuple[Call, Traced]]:
    """The same, and the run ends just before the call."""
    for call in calls:
        seen = next((s for s in (run(call.deadly()) for _ in range(TRIES)) if s.killed), None)
        assert seen is not None, f"{TRIES} runs did not come to {call}"
        yield call, seen


def _met(seen: Traced, call: Call, place: Path) -> bool:
    return [c.name for c in seen.injected] == [call.name] and str(place) in seen.injected[0].text


def said(log: Path) -> str:
    """What the process wrote to stderr."""
    return log.with_suffix(".stderr").read_text()


def _injecting(what: str) -> list[str]:
    return ["-e", f"inject={what}"] if what else []


def _fork(work: Callable[[], int], told: socket.socket, stderr: Path) -> int:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # fork beside threads: none of them holds a lock of ours
        pid = os.fork()
    if pid == 0:
        code = 1
        try:
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.alarm(PATIENCE_SECONDS)
            os.dup2(os.open(stderr, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 2)
            sys.stderr = os.fdopen(2, "w", buffering=1)
            ctypes.CDLL(None).prctl(PR_SET_PTRACER, ANYBODY, 0, 0, 0)
            told.sendall(b".")
            select.select([told], [], [])  # a read would be counted when strace comes
            code = work()
        except BaseException:  # noqa: BLE001  # a child must never go on as if it were the tests
            traceback.print_exc()
        finally:
            os._exit(code)
    return pid


def _calls(log: str) -> Iterator[Call]:
    numbers: Counter[str] = Counter()
    for line in log.splitlines():
        if found := CALL.match(line):
            name, text = found.groups()
            numbers[name] += 1
            yield Call(name, numbers[name], text, injected=text.endswith("(INJECTED)"))
