"""Turns itself into a daemon: ``python launch.py DIRECTORY NAME CWD PROGRAM ARG...`` takes NAME.lock, then execs.

The lock is held by an open file that survives the exec, so the kernel frees it when the program ends, however it ends.
NAME.pid is written between the lock and the exec: a starter that is killed at any moment leaves either nothing or a
daemon that can be found. Standard library only, nothing of ours: it runs with ``python -I -S`` in some 20 ms.
"""

import errno
import fcntl
import os
import signal
import sys
from pathlib import Path
from typing import NamedTuple

TAKEN = 3
"""Exit code: another daemon of this name runs, or is about to."""
NO_PROGRAM = 4
"""Exit code: the program is not there, or is none; the reason is on stderr, as it is of the following ones."""
NO_ROOM = 5
CANNOT_START = 6
"""Exit code: the machine is at fault, and not the program."""


FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
NOT_RUNNABLE = (errno.ENOENT, errno.EACCES, errno.ENOEXEC, errno.ENOTDIR)


class Identity(NamedTuple):
    """One process, and never another that is given its pid later."""

    pid: int
    ticks: str
    """When it started, in the kernel's ticks since boot; the same across exec."""
    boot: str
    """Differs after each start of the machine."""

    @property
    def alive(self) -> bool:
        """Zombies are not, unless threads of theirs still end."""
        return identify(self.pid) == self


def identify(pid: int) -> Identity | None:
    """None where there is no such process, or only a zombie of it.

    One that was killed may be a zombie by its first thread, while others still end: until then its files, a lock of
    ours among them, are open (proc_pid_stat(5), num_threads).
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    fields = stat.rpartition(")")[2].split()  # the name before it may hold spaces and brackets
    dead = fields[0] in ("Z", "X") and fields[17] in ("0", "1")
    return None if dead else Identity(pid, fields[19], boot())


def boot() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()


def read(pid_file: Path) -> Identity | None:
    """Who wrote the file; None where nobody did, or it holds something else."""
    try:
        pid, ticks, boot_id = pid_file.read_text(encoding="utf-8", errors="replace").split()
        return Identity(int(pid), ticks, boot_id)
    except (FileNotFoundError, ValueError):
        return None


def main(directory: Path, name: str, cwd: str, program: list[str]) -> int:
    """Fork, so that the daemon is nobody's child; return once it runs its program, or cannot."""
    reading, writing = os.pipe()  # closed by the exec: no word means that all went well
    if os.fork() == 0:
        os.close(reading)
        code, reason = become(directory, name, cwd, program)
        os.write(writing, f"{code} {reason}".encode())
        os._exit(code)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        code_text, _, reason = pipe.read().decode(errors="replace").partition(" ")
    sys.stderr.write(reason)
    return int(code_text or 0)


def become(directory: Path, name: str, cwd: str, program: list[str]) -> tuple[int, str]:
    """Lock, write the pid, exec. Returns only when that fails: exit code and reason."""
    try:
        take_place(directory, name, cwd)
    except BlockingIOError:
        return TAKEN, ""
    except OSError as err:
        return NO_ROOM if err.errno in FULL else CANNOT_START, str(err)
    try:
        os.execvp(program[0], program)  # noqa: S606  # argv, no shell
    except OSError as err:
        return NO_PROGRAM if err.errno in NOT_RUNNABLE else CANNOT_START, str(err)


def take_place(directory: Path, name: str, cwd: str) -> None:
    """Lock, write the pid, and be as a daemon is. Raises BlockingIOError where another is."""
    os.setsid()
    lock = os.open(directory / f"{name}.lock", os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    before = read(directory / f"{name}.pid")
    if before and before.alive:  # a program may close files it does not know, the lock among them
        raise BlockingIOError
    introduce(directory / f"{name}.pid")
    os.chdir(cwd)
    redirect(directory / f"{name}.log")
    os.set_inheritable(lock, True)


def introduce(pid_file: Path) -> None:
    """Say who holds the lock, whole or not at all."""
    aside = pid_file.with_suffix(".pid.aside")
    aside.write_text(" ".join(map(str, identify(os.getpid()) or ())), encoding="ascii")
    aside.rename(pid_file)


def redirect(log_file: Path) -> None:
    """Write to the log, and heed the signals that the starter ignored or blocked."""
    log = os.open(log_file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.dup2(log, 1)
    os.dup2(log, 2)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4:]))
