"""Processes that outlive the one that started them: model servers, the forwarder, the embedded services.

Each lives in a directory, under a name that may hold dots:

    NAME.lock   locked by the running daemon: never two of one name
    NAME.pid    its pid, when it started, and in which boot: another process with that pid is never taken for it
    NAME.log    its stdout and stderr, appended
    NAME.json   what its starter wants to remember of it; nothing here reads it

It leads a session of its own, so its children are found even when it was killed and left them behind.
"""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from steps.clients.local import files, launch
from steps.errors import Failed, NoSpace, StepError, Transient

TAIL_BYTES = 256 * 1024
POLL_SECONDS = 0.02
CHILDREN_GRACE_SECONDS = 2.0
"""What the leader leaves behind may still free its GPU."""
KILL_ROUNDS = 3
KILL_SECONDS = 15.0
"""SIGKILL works at once, unless a process hangs in the kernel."""
LAUNCH_SECONDS = 30.0


@dataclass(frozen=True)
class Daemon:
    directory: Path
    name: str

    def file(self, kind: str) -> Path:
        """``kind`` is lock, pid, log or json."""
        return self.directory / f"{self.name}.{kind}"


def start(daemon: Daemon, argv: Sequence[str], environ: Mapping[str, str], cwd: Path | None = None) -> None:
    """Run ``argv`` with this environment, not ours, unless the daemon runs already; return once it does.

    Raises Failed when the program cannot be run, Transient when the name stays taken by a process we cannot see, and
    NoSpace, BadInput or Transient when the machine is at fault.
    """
    with files.translated(daemon.directory):
        daemon.directory.mkdir(parents=True, exist_ok=True)
    before = launch.read(daemon.file("pid"))
    if before and before.alive:
        return
    _end(_orphans(daemon, before), CHILDREN_GRACE_SECONDS)  # they would hold its port or its GPU
    code, word = _launch(daemon, argv, environ, cwd or Path.cwd())
    if code == launch.TAKEN and not _appears(daemon):
        raise Transient(f"{daemon.file('lock')} is held, and not by a process of this machine; end its holder")
    if code not in (0, launch.TAKEN):
        raise _not_started(daemon, argv[0], code, word or f"exit code {code}")


def running(daemon: Daemon) -> int | None:
    """The pid of the live process, else None."""
    leader = launch.read(daemon.file("pid"))
    return leader.pid if leader and leader.alive else None


def stop(daemon: Daemon, grace_seconds: float) -> None:
    """End it and its children; return when none is left.

    SIGTERM goes to the leader alone, as to the first process of a container: it knows how to end its children, and
    they may hold requests in flight. After the grace, SIGKILL goes to all. Raises Transient when one survives that.
    """
    leader = launch.read(daemon.file("pid"))
    group = _session(leader)
    _end([p for p in group if leader and p.pid == leader.pid], grace_seconds)
    for _ in range(KILL_ROUNDS):  # one may fork while another is killed
        if not (left := {p for p in (*group, *_orphans(daemon, leader)) if lives(p)}):
            return
        _end(left, CHILDREN_GRACE_SECONDS)
    if pids := sorted(p.pid for p in left if lives(p)):
        raise Transient(f"processes {pids} of {daemon.name} survive SIGKILL; look at them, then restart the machine")


def tail(daemon: Daemon, lines: int) -> str:
    """The last lines of its log, without a final newline; empty where there is no log."""
    try:
        with daemon.file("log").open("rb") as log:
            log.seek(max(0, log.seek(0, os.SEEK_END) - TAIL_BYTES))
            return "\n".join(log.read().decode(errors="replace").splitlines()[-lines:])
    except FileNotFoundError:
        return ""


def head(daemon: Daemon, size: int) -> str:
    """The first bytes of its log as text; empty where there is no log."""
    try:
        with daemon.file("log").open("rb") as log:
            return log.read(size).decode(errors="replace")
    except FileNotFoundError:
        return ""


def found(directory: Path) -> tuple[Daemon, ...]:
    """Every daemon that ever was in the directory, by name."""
    return tuple(Daemon(directory, path.stem) for path in sorted(directory.glob("*.pid")))


def _not_started(daemon: Daemon, program: str, code: int, why: str) -> StepError:
    """Only where the program itself is at fault has a candidate failed by it."""
    if code == launch.NO_PROGRAM:
        return Failed(f"{program} cannot be started: {why}; see that it is installed")
    if code == launch.NO_ROOM:
        return NoSpace(
            f"{daemon.name} cannot be started in {daemon.directory}: {why}; make room on its disk, run again"
        )
    return Transient(f"{daemon.name} cannot be started in {daemon.directory}: {why}; run it again")


def _launch(daemon: Daemon, argv: Sequence[str], environ: Mapping[str, str], cwd: Path) -> tuple[int, str]:
    # Its own session already here: a Ctrl-C meant for the starter must not end a launch half-way.
    command = [sys.executable, "-I", "-S", launch.__file__, str(daemon.directory.resolve()), daemon.name, str(cwd)]
    try:
        done = subprocess.run(
            [*command, *argv],
            env=dict(environ),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            start_new_session=True,
            timeout=LAUNCH_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as err:
        raise Transient(f"{daemon.name} was not launched within {LAUNCH_SECONDS:g} s; run it again") from err
    return done.returncode, done.stderr.decode(errors="replace").strip()


def _appears(daemon: Daemon) -> bool:
    """Whether the holder of the lock introduces itself: it does so within milliseconds."""
    deadline = time.monotonic() + 1.0
    while not running(daemon):
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_SECONDS)
    return True


def _session(leader: launch.Identity | None) -> list[psutil.Process]:
    """The leader and all that it started; nothing once it is gone, as its number may have been given anew."""
    if leader is None:
        return []
    members = [p for p in psutil.process_iter() if _session_of(p.pid) == leader.pid]
    return members if leader.alive else []  # asked last: alive now, so its session was its own until now


def _orphans(daemon: Daemon, leader: launch.Identity | None) -> list[psutil.Process]:
    """What a dead leader left of its session: proved to be so by the daemon's lock or log, which it has open."""
    if leader is None or leader.alive or leader.boot != launch.boot():
        return []
    return [p for p in psutil.process_iter() if _session_of(p.pid) == leader.pid and _has_open(p, daemon)]


def _session_of(pid: int) -> int | None:
    try:
        return os.getsid(pid)
    except OSError:
        return None


def _has_open(process: psutil.Process, daemon: Daemon) -> bool:
    ours = [(s.st_dev, s.st_ino) for s in map(_stat, (daemon.file("lock"), daemon.file("log"))) if s]
    try:
        files = list(Path(f"/proc/{process.pid}/fd").iterdir())
    except OSError:
        return False
    return any((s.st_dev, s.st_ino) in ours for s in map(_stat, files) if s)


def _stat(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except OSError:
        return None


def _end(processes: Collection[psutil.Process], grace_seconds: float) -> None:
    """SIGTERM, SIGKILL after the grace; psutil signals only the very process that it was made for."""
    for number, seconds in ((signal.SIGTERM, grace_seconds), (signal.SIGKILL, KILL_SECONDS)):
        for process in filter(lives, processes):
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(number)
        _wait(processes, seconds)


def _wait(processes: Collection[psutil.Process], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while any(map(lives, processes)) and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)


def lives(process: psutil.Process) -> bool:
    """Whether the very process that this was made for is there, and more than a zombie: see `launch.identify`."""
    return process.is_running() and launch.identify(process.pid) is not None
