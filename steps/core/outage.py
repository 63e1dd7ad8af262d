"""How long clients had no answer because of a run; nobody can tell where another owner has ended it, or still will."""

from steps.contracts import DEPLOY, PROMOTE, ROLLBACK
from steps.core import rollout
from steps.core.outcome import Outcome, is_unended, release_id
from steps.core.record import Record
from steps.core.run import Run
from steps.step import decode


def seconds(run: Run, record: Record | None, outcome: Outcome) -> float | None:
    """How long clients had no answer; nothing was moved by a run that neither promoted nor rolled back."""
    if outcome == "rollback-failed":
        return None
    promote, rollback = told(run, PROMOTE.name, "outage_seconds"), told(run, ROLLBACK.name, "outage_seconds")
    if promote is None and record is not None and is_unended(run, record):
        return rounded(rollout.outage_seconds(record))
    if promote is None and _is_ended_by_another(run, record):
        return None
    if (promote, rollback) == (None, None):
        return None if outcome in ("promoted", "rolled-back") else 0.0
    return max(promote or 0.0, rollback or 0.0)


def _is_ended_by_another(run: Run, record: Record | None) -> bool:
    """Whether room may have been made by this run, whose own rollback then found nothing to do."""
    if run.output(ROLLBACK.name, "outcome") not in ("", "nothing"):
        return False
    deploy = run.node(DEPLOY.name)
    if deploy is not None and deploy.phase == "Succeeded":
        return True
    if record is None or record.phase == "idle" or record.candidate is None:
        return False
    return record.candidate == release_id(run)


def told(run: Run, node: str, name: str) -> float | None:
    """Of a step's output; None where the step has not told, or could not."""
    text = run.output(node, name)
    return rounded(decode(float, text)) if text else None


def rounded(seconds: float | None) -> float | None:
    """To the millisecond."""
    return None if seconds is None else round(seconds, 3)
