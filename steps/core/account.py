"""The account of one run: what the report, the history and the command's last words are all made from."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

from steps.contracts import DEPLOY, PREFLIGHT, PROMOTE, REPORT, ROLLBACK, SMOKE
from steps.core import outage
from steps.core.history import Entry
from steps.core.installed import ROLLBACK_TEMPLATE
from steps.core.outcome import GOOD, Outcome, decide, is_unended, release_id
from steps.core.record import Phase, Record
from steps.core.run import Run

NOTICING = (PREFLIGHT, SMOKE, PROMOTE, ROLLBACK)
"""In this order their notices are told."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Named:
    """A release as people know it; model and commit are None where its document is lost."""

    release_id: str
    model: str | None = None
    commit: str | None = None

    def __str__(self) -> str:
        return f"{self.model} at {self.commit[:12]}" if self.model and self.commit else f"release {self.release_id}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Line:
    """One attempt of one step. ``seconds`` and ``exit_code`` are None for an attempt that was lost."""

    step: str
    attempt: int
    exit_code: int | None
    seconds: float | None
    message: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Surroundings:
    """What is true beside the run when the account is drawn up.

    ``record`` is None where it could not be read, ``names`` holds the releases that it and the run speak of, ``flag``
    is what each command of ours needs to act on the same place (``--local``), ``answers`` is of ``Account``.
    """

    record: Record | None = None
    names: Mapping[str, Named] = field(default_factory=dict)
    url: str = ""
    flag: str = ""
    answers: bool | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Account:
    """``at`` is when the last step before the report ended, in seconds since the epoch."""

    run: str
    by_hand: bool
    """A rollback that a person asked for, not a promotion."""
    deployment: str
    release: Named | None
    """What the run was about; None when it ended before that was known."""
    model: str
    """As it was asked for."""
    revision: str
    outcome: Outcome
    outage_seconds: float | None
    """None where nobody can tell: it is not over, or another owner has ended it, or will."""
    startup_seconds: float | None
    started: float
    at: float
    lines: tuple[Line, ...]
    failed_step: str
    """Empty when none did."""
    failure: str
    """The failed step's own sentence."""
    live: Named | None
    """What serves now."""
    previous: Named | None
    """The rollback target now."""
    refused: bool
    """The release will not be tried again until a person allows it."""
    previous_refused: bool
    """Nor will the rollback target, so there is no way back to it."""
    answers: bool | None
    """Whether a server of what is live is ready; None where nobody has looked."""
    record_known: bool
    url: str
    flag: str
    phase: Phase = "idle"
    """The record's, now."""
    noticed: tuple[str, ...] = ()
    """What passed, or was not asked, and a person should know all the same."""
    evidence: Any = None
    """The smoke test's own JSON."""
    repaired: bool = False
    """It was live before, and was started again in its place: as the history tells, which is looked at later."""
    server_log: str = ""
    """Where in the store it is kept what the model server said; empty where nothing is."""
    server_log_uri: str = ""
    """The same, with the bucket."""
    server_said: tuple[str, ...] = ()
    """The last lines of it."""

    @property
    def removed(self) -> bool:
        """The rollback had nothing to go back to."""
        return self.outcome == "rolled-back" and self.live is None

    def to_json(self) -> dict[str, Any]:
        """``report.json``; the keys are fixed by design section 9."""
        return {
            "run": self.run,
            "deployment": self.deployment,
            "release_id": self.release.release_id if self.release else None,
            "model": (self.release and self.release.model) or self.model,
            "commit": self.release.commit if self.release else None,
            "outcome": self.outcome,
            "outage_seconds": self.outage_seconds,
            "steps": [asdict(line) for line in self.lines],
            "evidence": self._evidence(),
        }

    def _evidence(self) -> Any:
        """With where the model server's own words are, which no smoke test may have asked for, and all notices."""
        beside = {"server_log": self.server_log, "notices": [*self.noticed]}
        told = {name: value for name, value in beside.items() if value}
        return {**(self.evidence or {}), **told} if told else self.evidence

    def history(self) -> Entry:
        """The entry of this run in the deployment's history."""
        return Entry(
            run=self.run,
            deployment=self.deployment,
            release_id=self.release.release_id if self.release else None,
            model=(self.release and self.release.model) or self.model,
            commit=self.release.commit if self.release else None,
            outcome="repaired" if self.repaired else self.outcome,
            at=iso(self.at),
            outage_seconds=self.outage_seconds,
            startup_seconds=self.startup_seconds,
            message=self.failure,
            previous=self.previous.release_id if self.previous else None,
            by_hand=self.by_hand,
        )


def draw_up(run: Run, around: Surroundings) -> Account:
    """Of a run that has ended, or of which only the report is still running."""
    record, outcome, about = around.record or Record(), decide(run, around.record), release_id(run)
    failed_step, failure = _failure(run, outcome)
    return Account(
        run=run.name,
        by_hand=run.template == ROLLBACK_TEMPLATE,
        deployment=run.output("resolve", "deployment") or run.parameters.get("deployment", ""),
        release=_subject(run, about, around.names) if about else None,
        model=run.parameters.get("model", ""),
        revision=run.parameters.get("revision", ""),
        outcome=outcome,
        outage_seconds=outage.seconds(run, around.record, outcome),
        startup_seconds=outage.told(run, DEPLOY.name, "startup_seconds"),
        started=run.started,
        at=_ended(run),
        lines=_lines(run),
        failed_step=failed_step,
        failure=failure,
        live=_named(record.live, around.names),
        previous=_named(record.previous, around.names),
        refused=about in record.refused,
        previous_refused=record.previous in record.refused,
        answers=around.answers,
        record_known=around.record is not None,
        url=around.url,
        flag=around.flag,
        phase=record.phase,
        noticed=tuple(filter(None, (*(run.output(step.name, "noticed") for step in NOTICING), _unended(run, around)))),
    )


def iso(seconds: float) -> str:
    """UTC to the second: ``2026-11-22T03:04:05Z``."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def sortable(seconds: float) -> str:
    """UTC to the millisecond, so that names which begin with it sort by time: ``20261122T030405.678Z``."""
    return f"{datetime.fromtimestamp(seconds, UTC):%Y%m%dT%H%M%S}.{int(seconds * 1000) % 1000:03d}Z"


def _failure(run: Run, outcome: Outcome) -> tuple[str, str]:
    """The step whose sentence tells why, and the sentence; where no step told, what the engine said."""
    if outcome in GOOD:
        return "", ""
    rollback = run.node("rollback")
    if outcome == "rollback-failed" and rollback:
        return rollback.name, rollback.attempts[-1].message if rollback.attempts else rollback.message
    if failed := run.failure():
        return failed[0].name, failed[1].message or failed[0].message
    unrun = next((n for n in run.nodes if n.phase in ("Failed", "Error") and not n.on_exit), None)
    return (unrun.name, unrun.message) if unrun else ("", run.message or f"the run ended as {run.phase}")


def _unended(run: Run, around: Surroundings) -> str:
    """Of a promotion whose old release has not ended: why, and who ends it."""
    record = around.record
    if record is None or not is_unended(run, record):
        return ""
    promote = run.node(PROMOTE.name)
    told = promote.attempts[-1].message if promote and promote.attempts else ""
    why = f" ({told.rstrip('. ')})" if told else ""
    what = f"{_named(record.previous, around.names) or 'what served before'} has not ended yet{why}"
    deployment = run.output("resolve", "deployment") or run.parameters.get("deployment", "")
    command = " ".join(filter(None, (f"python -m workflows.reconcile --deployment {deployment}", around.flag)))
    if around.flag:  # no clock runs on one machine
        return f"{what}: `{command}` completes it"
    return f"{what}: the reconciler completes it, every ten minutes, or `{command}` now"


def _lines(run: Run) -> tuple[Line, ...]:
    return tuple(
        Line(step=n.name, attempt=a.number, exit_code=a.exit_code, seconds=outage.rounded(a.seconds), message=a.message)
        for n in run.nodes
        for a in n.attempts
        if n.name != REPORT.name  # it is being written by that one
    )


def _ended(run: Run) -> float:
    """The same for a report that is written twice, another for a run that was continued."""
    ends = (a.finished for n in run.nodes for a in n.attempts if n.name != REPORT.name)
    return max((end for end in ends if end is not None), default=run.started)


def _subject(run: Run, about: str, names: Mapping[str, Named]) -> Named:
    model, commit = run.output("resolve", "model"), run.output("resolve", "commit")
    if model and commit:
        return Named(release_id=about, model=model, commit=commit)
    return names.get(about) or Named(release_id=about)


def _named(release: str | None, names: Mapping[str, Named]) -> Named | None:
    return names.get(release, Named(release_id=release)) if release else None
