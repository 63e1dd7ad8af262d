"""Runs of this machine's engine that are at work, and how to end them."""

import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass

import psutil

from steps.clients.local import daemon
from steps.clients.local.journal import LocalJournal
from steps.errors import Failed

POLL_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class Living:
    """``deployment`` as the run was asked for it."""

    name: str
    deployment: str


def living(journal: LocalJournal) -> tuple[Living, ...]:
    """By name."""
    names = sorted(path.parent.name for path in (journal.home / "runs").glob("*/alive.lock"))
    return tuple(Living(name, _deployment(journal, name)) for name in names if journal.alive(name))


def settled(journal: LocalJournal, patience_seconds: float) -> tuple[Living, ...]:
    """Those that still live when they have had so long to end."""
    deadline = time.monotonic() + patience_seconds
    while (runs := living(journal)) and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)
    return runs


def end(journal: LocalJournal, name: str, patience_seconds: float) -> None:
    """As Ctrl-C does: its exit handler brings back what served. Raises Failed for one that takes too long."""
    engines = tuple(_engines(journal, name))
    for process in engines:
        process.send_signal(signal.SIGTERM)
    deadline = time.monotonic() + patience_seconds
    while journal.alive(name) or any(map(daemon.lives, engines)):  # its last words come after its last step
        if time.monotonic() > deadline:
            raise Failed(f"run {name} is still at work after {patience_seconds:g} s; see what it waits for, try again")
        time.sleep(POLL_SECONDS)


def _engines(journal: LocalJournal, name: str) -> Iterator[psutil.Process]:
    """The first of those that hold the run's lock: its steps are their children, and are ended by it."""
    lock = str(journal.alive_lock(name).absolute())
    holders = {p.pid: p for p in psutil.process_iter() if _has_open(p, lock)}
    yield from (p for p in holders.values() if p.ppid() not in holders)


def _has_open(process: psutil.Process, path: str) -> bool:
    try:
        return any(f.path == path for f in process.open_files())
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return False


def _deployment(journal: LocalJournal, name: str) -> str:
    run = journal.run(name)
    return run.parameters.get("deployment", "") if run else ""
