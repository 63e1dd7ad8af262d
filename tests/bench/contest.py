"""Contestants take turns at the same work, several rounds; what counts are the medians within one contest."""

import shutil
import statistics
import subprocess
import sys
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.bench.measured import Command, FailedError, Measured, run

SMALL = 128 * 1024
"""Bytes of a file, on average."""


@dataclass(frozen=True)
class Contestant:
    """``commands`` gives what it runs, for an empty directory to copy to; ``promise`` is what one has after that."""

    name: str
    promise: str
    commands: Callable[[Path], Sequence[Command]]
    missing: str = ""
    """Why it cannot take part."""
    before: Callable[[Path], object] | None = None
    check: Callable[[Path], object] | None = None
    """These two in place of the contest's own, for one that begins or ends elsewhere than the others."""


@dataclass
class Result:
    """``failed`` says why there are no rounds."""

    name: str
    promise: str
    rounds: list[Measured] = field(default_factory=list)
    failed: str = ""

    @property
    def wall(self) -> float:
        return statistics.median(r.wall for r in self.rounds)

    @property
    def cpu(self) -> float:
        return statistics.median(r.cpu for r in self.rounds)

    @property
    def peak_mib(self) -> float:
        return max(r.peak_mib for r in self.rounds)


@dataclass(frozen=True)
class Contest:
    """``before`` and ``check`` are given the contestant's directory, and not measured; ``check`` raises FailedError."""

    contestants: Sequence[Contestant]
    environ: Mapping[str, str]
    directory: Path
    before: Callable[[Path], object]
    check: Callable[[Path], object]


def hold(contest: Contest, rounds: int) -> list[Result]:
    """Each round begins with another contestant. Who fails is out."""
    results = {c.name: Result(c.name, c.promise, failed=c.missing) for c in contest.contestants}
    for number in range(rounds):
        shift = number % len(contest.contestants)
        for contestant in [*contest.contestants[shift:], *contest.contestants[:shift]]:
            result = results[contestant.name]
            if result.failed:
                continue
            try:
                measured = _turn(contest, contestant)
            except FailedError as err:
                result.failed = str(err)
                _tell(f"{number + 1} {contestant.name:34} failed: {err}")
                continue
            result.rounds.append(measured)
            _tell(f"{number + 1} {contestant.name:34} {measured}")
    return list(results.values())


def _tell(line: str) -> None:
    print("   ", line, file=sys.stderr, flush=True)  # noqa: T201  # who waits for minutes wants to see something


def _turn(contest: Contest, contestant: Contestant) -> Measured:
    target = contest.directory / "target"
    target.mkdir(parents=True)
    try:
        (contestant.before or contest.before)(target)
        subprocess.run(["sync", "-f", str(target)], check=True)  # so that nobody pays for what others wrote
        measured = run(contestant.commands(target), contest.environ, contest.directory)
        (contestant.check or contest.check)(target)
    finally:
        _put_away(target)
    return measured


def _put_away(target: Path) -> None:
    """Large files are removed. Many small ones wait for the end of the contest: for minutes after so many removals ext4
    takes twice as long to make a file, and it is the next contestant who would pay for it."""
    files = [p for p in target.rglob("*") if p.is_file()]
    if sum(p.stat().st_size for p in files) > SMALL * len(files):
        shutil.rmtree(target)
    else:
        target.rename(target.with_name(f"target-{uuid.uuid4().hex}"))
