"""The switch on one machine, killed and frozen at its calls: real files, real processes, the stub for a model server.

Each moment is gone on from in one of the ways in turn; the calls are those by which the adapter changes anything, or
waits for others. What must hold is what ``tests.stubs.aftermath`` asks of a cluster.
"""

import fcntl
import os
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import IO, Any

import psutil
import pytest

from steps import reconcile
from steps.clients.local.serving import LocalServing
from steps.contracts import DeployInputs, PromoteInputs, RollbackInputs, SmokeInputs
from steps.core.names import Layout
from steps.core.release import Release, Strategy
from steps.deploy import deploy
from steps.errors import StepError
from steps.promote import promote
from steps.rollback import rollback
from steps.settings import from_environment
from steps.smoke import smoke
from steps.stage import Stage, connect
from tests.stubs.exploring import Explored
from tests.stubs.killed import frozen_at, killed_at
from tests.stubs.leftovers import arguments, processes_of
from tests.stubs.local import Place, a_release, commit_served, place_at
from tests.stubs.store import FakeStore

CALLS: tuple[tuple[Any, str], ...] = (
    (os, "rename"),
    (os, "unlink"),
    (fcntl, "flock"),
    (subprocess, "run"),
    (psutil.Process, "send_signal"),
)
VERBS: tuple[tuple[Any, str], ...] = tuple((LocalServing, v) for v in ("ensure", "stop", "swap", "point", "pods"))
"""Ahead of them no lock is held."""
BLOCKED_SECONDS = 1.0
PATIENCE = {"SMOKE_TIMEOUT": "10", "STARTUP_BUDGET": "60", "RETRY_BASE": "0.05"}


class Machine:
    """Two releases that take turns, and a third one."""

    def __init__(self, place: Place, strategy: Strategy) -> None:
        self.place, self.number = place, 0
        self.releases = [replace(place.publish(a_release(n)), strategy=strategy) for n in (1, 2, 3)]

    def stage(self) -> Stage:
        return connect(from_environment(self.place.environ), "chat")

    def owner(self, prefix: str = "run") -> str:
        self.number += 1
        return f"{prefix}-{self.number}"

    @contextmanager
    def living(self, owner: str) -> Iterator[IO[bytes]]:
        """As its engine, or its step, would have it."""
        path = self.place.home / "runs" / owner / "alive.lock"
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield lock

    def promote(self, release: Release, owner: str) -> None:
        with self.living(owner):
            named: dict[str, Any] = {
                "deployment": "chat",
                "release_id": release.release_id,
                "run": owner,
                "owner": owner,
            }
            stage = self.stage()
            deploy(DeployInputs(**named), stage, release)
            proof = smoke(SmokeInputs(**named), stage, release, FakeStore, Layout("")).proof
            promote(PromoteInputs(**named, proof=proof), stage, release)

    def roll_back(self, owner: str) -> None:
        with self.living(owner):
            rollback(RollbackInputs(deployment="chat", run=owner, owner=owner), self.stage())

    def reconcile(self) -> None:
        with self.living(owner := self.owner("reconcile")):
            reconcile.settle(self.stage(), owner)

    @property
    def live(self) -> str | None:
        return self.stage().serving.read().record.live

    def next(self) -> Release:
        return next(r for r in self.releases if r.release_id != self.live)

    def check(self) -> None:
        """Nothing is in flight, clients are answered by what the record says, and no other server runs."""
        serving = self.stage().serving
        held = serving.read()
        assert (held.record.phase, held.record.owner, held.record.candidate) == ("idle", None, None)
        assert held.target == held.record.live
        release = next(r for r in self.releases if r.release_id == held.record.live)
        assert commit_served(serving.url) == release.commit
        lines = [" ".join(arguments(p)) for p in processes_of(self.place.home)]
        assert [line for line in lines if "--served-model-name" in line and release.commit not in line] == []

    def check_nothing_is_left(self) -> None:
        serving = self.stage().serving
        record = serving.read().record
        assert set(serving.releases()) <= {record.live, record.previous}
        assert list(self.place.directory.glob("*.aside")) == []


@pytest.fixture(params=["recreate", "blue-green"])
def machine(request, tmp_path):
    environ = {f"VLLM_PROMOTE_{name}_SECONDS": seconds for name, seconds in PATIENCE.items()}
    with place_at(tmp_path / "home", **environ) as place:
        made = Machine(place, request.param)
        made.promote(made.releases[0], "first")
        yield made


def its_retry(machine: Machine, release: Release, owner: str) -> None:
    machine.promote(release, owner)
    assert machine.live == release.release_id


def its_exit_handler(machine: Machine, _release: Release, owner: str) -> None:
    machine.roll_back(owner)


def a_reconciler(machine: Machine, _release: Release, _owner: str) -> None:
    machine.reconcile()


def a_new_promotion(machine: Machine, release: Release, _owner: str) -> None:
    other = next(r for r in machine.releases if r.release_id not in (machine.live, release.release_id))
    machine.promote(other, machine.owner())
    assert machine.live == other.release_id


NEXT: tuple[Callable[[Machine, Release, str], None], ...] = (
    its_retry,
    its_exit_handler,
    a_reconciler,
    a_new_promotion,
)


@pytest.mark.exhaustive
@pytest.mark.timeout(300)
def test_a_promotion_that_is_killed_at_a_sample_of_its_calls_is_put_right_by_whoever_comes_next(machine, told):
    points = 0
    for nth in range(2, 400, 5):
        release, owner = machine.next(), machine.owner()
        when, go_on = ("before", "after")[nth % 2], NEXT[points % len(NEXT)]
        if not killed_at(nth, when, lambda: machine.promote(release, owner), CALLS):  # noqa: B023  # called at once
            break
        go_on(machine, release, owner)
        machine.check()
        machine.promote(machine.next(), machine.owner())
        machine.check()
        machine.check_nothing_is_left()
        points += 1
    told(Explored(points, points, points), moments=6, states=6, what="crash points on one machine")


def files(machine: Machine, older: int) -> dict[str, bytes]:
    """What decides, and what runs besides the ``older`` run; not what is said, nor who may lock what."""
    kept = (p for p in Path(machine.place.home / "serving").rglob("*") if p.suffix in (".json", ".pid"))
    running = sorted(f"{p.pid} {' '.join(arguments(p))}" for p in processes_of(machine.place.home) if p.pid != older)
    return {str(p): p.read_bytes() for p in kept} | {"running": "\n".join(running).encode()}


@pytest.mark.exhaustive
@pytest.mark.timeout(300)
def test_a_promotion_that_is_frozen_at_a_sample_of_its_calls_changes_nothing_when_it_wakes_up(machine, told):
    """Frozen with a lock of this machine in its hand it keeps others waiting, and then goes first."""
    points = waited = 0
    for nth in range(8, 400, 6):
        release, owner = machine.next(), machine.owner()
        pid = frozen(machine, release, owner, nth)
        if not pid:
            break
        blocks = holds_a_lock(machine, pid)
        taken_over = threading.Thread(target=machine.reconcile)
        taken_over.start()
        taken_over.join(BLOCKED_SECONDS if blocks else None)
        waited += blocks
        before = None if blocks else files(machine, pid)
        os.kill(pid, signal.SIGCONT)
        os.waitpid(pid, 0)
        taken_over.join()
        after = files(machine, pid)
        changed = {n for n in after.keys() | (before or after).keys() if after.get(n) != (before or after).get(n)}
        assert not changed, f"woken up ahead of call {nth}, it changed {changed}"
        machine.reconcile()
        machine.check()
        points += 1
    assert points > waited + 2
    told(Explored(points, points, points), moments=5, states=5, what="moments of an older run on one machine")


def holds_a_lock(machine: Machine, pid: int) -> bool:
    """Of those that keep two changers of this deployment apart; see proc_locks(5)."""
    locks = {str((machine.place.directory / f"{name}.lock").stat().st_ino) for name in ("record", "processes")}
    held = (line.split() for line in Path("/proc/locks").read_text().splitlines())
    return any(f[1] == "FLOCK" and f[4] == str(pid) and f[5].rpartition(":")[2] in locks for f in held)


def frozen(machine: Machine, release: Release, owner: str, nth: int) -> int:
    """Its engine is gone by then, as far as others see."""

    def work() -> None:
        with suppress(StepError):
            machine.promote(release, owner)

    return frozen_at(nth, work, (*CALLS, *VERBS), (machine.place.home / "runs" / owner / "alive.lock").unlink)
