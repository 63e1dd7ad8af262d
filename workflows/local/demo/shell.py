"""Run this project's commands as a person would type them, in the open, and read what they left."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from steps.errors import Failed
from workflows.checkout import CHECKOUT, typed
from workflows.command import say


@dataclass(frozen=True, kw_only=True, slots=True)
class Serving:
    """A deployment that serves, as `status` tells it. ``refused`` are release ids."""

    url: str
    commit: str
    refused: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Attempt:
    """A line of report.json. ``exit_code`` is None for an attempt that was lost."""

    step: str
    attempt: int
    exit_code: int | None
    seconds: float | None
    message: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Report:
    """What report.json says of a run. ``release_id`` is None when it ended before that was known."""

    run: str
    release_id: str | None
    outcome: str
    outage_seconds: float | None
    attempts: tuple[Attempt, ...]

    @property
    def seconds(self) -> dict[str, float]:
        """Of each step, all its attempts together."""
        total: dict[str, float] = {}
        for attempt in self.attempts:
            total[attempt.step] = total.get(attempt.step, 0.0) + (attempt.seconds or 0.0)
        return total

    @property
    def stopped_by(self) -> Attempt | None:
        """The attempt that ended the run; None when none failed."""
        return next((a for a in reversed(self.attempts) if a.exit_code and a.step != "rollback"), None)


@dataclass(frozen=True)
class Shell:
    """``home`` is the local engine's directory."""

    home: Path

    def show(self, module: str, *args: str) -> int:
        """Run it on this terminal, below the line that a person would have typed; its exit code."""
        say(f"$ {typed(module, *args)}")
        with _interrupts_left_to_the_child():
            return subprocess.run(_argv(module, *args), check=False, cwd=CHECKOUT).returncode

    def read(self, module: str, *args: str) -> Any:
        """What it prints, as JSON. Raises Failed."""
        argv = [*_argv(module, *args), "-o", "json"]
        done = subprocess.run(argv, check=False, cwd=CHECKOUT, stdout=subprocess.PIPE)
        if done.returncode:
            raise Failed(f"`{typed(module, *args)}` ended with {done.returncode}; its reason is above")
        return json.loads(done.stdout)

    def serving(self, deployment: str) -> Serving:
        """Raises Failed when nothing serves under that name."""
        found = self.read("workflows.status", "--local", "--deployment", deployment)
        if not found or not found[0]["live"]:
            raise Failed(f"nothing serves as {deployment}; run `make demo` first")
        entry = found[0]
        return Serving(url=entry["url"], commit=entry["live"]["commit"], refused=tuple(entry["refused"]))

    def reported(self) -> frozenset[str]:
        """The runs that have left a report."""
        return frozenset(path.parent.name for path in (self.home / "reports").glob("*/report.json"))

    def newest_report(self) -> Report:
        """Of the run that ended last. Raises Failed when none has left one."""
        found = sorted((self.home / "reports").glob("*/report.json"), key=lambda path: path.stat().st_mtime_ns)
        if not found:
            raise Failed(f"no run left a report in {self.home / 'reports'}; its output above says why")
        value = json.loads(found[-1].read_bytes())
        return Report(
            run=value["run"],
            release_id=value["release_id"],
            outcome=value["outcome"],
            outage_seconds=value["outage_seconds"],
            attempts=tuple(Attempt(**line) for line in value["steps"]),
        )


def _argv(module: str, *args: str) -> list[str]:
    return [sys.executable, "-m", module, *args]


@contextmanager
def _interrupts_left_to_the_child() -> Iterator[None]:
    """Ctrl-C reaches the whole process group: the child rolls back, and we must not kill it while it does."""
    before = signal.signal(signal.SIGINT, lambda _signal, _frame: None)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
