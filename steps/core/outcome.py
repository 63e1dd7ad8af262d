"""How a run ended: told from its nodes, its rollback and the record, never from the engine's phase alone.

A run may fail and its model serve all the same (the pod of ``promote`` was lost after it had moved the pointer), and
a rollback may fail that had nothing to bring back. The record says which it was.
"""

from typing import Literal

from steps.contracts import DEPLOY, PREFLIGHT, PROMOTE, SMOKE
from steps.core.record import Record
from steps.core.run import FINISHED, Run
from steps.errors import Refused, RollbackFailed

Outcome = Literal["promoted", "live", "refused", "failed", "rolled-back", "rollback-failed"]
GOOD: frozenset[Outcome] = frozenset({"promoted", "live"})

PROMOTED_EXIT = 0
FAILED_EXIT = 1
"""A step failed or refused; the previous model serves, or nothing does as before."""
ROLLBACK_FAILED_EXIT = 4
TIMED_OUT_EXIT = 124
INTERRUPTED_EXIT = 130
LOST = (None, -1, 128 + 9, 128 + 15)
"""Exit codes of an attempt that could not say how it ended: its pod is gone, or it was killed."""
TOUCHING = frozenset(step.name for step in (PREFLIGHT, DEPLOY, SMOKE, PROMOTE))
"""Steps that may change the record: preflight rolls back the work of a dead owner."""


def decide(run: Run, record: Record | None) -> Outcome:
    """``record`` as it is now, None where it could not be read."""
    if is_unended(run, record):
        return "promoted"
    if _rollback_failed(run, record):
        return "rollback-failed"
    back = run.output("rollback", "outcome")
    if back in ("rolled-back", "removed"):
        return "rolled-back"
    done = back == "completed" or _ended_well(run) or _promoted_after_all(run, record)
    if done and _serves(run, record):
        return "live" if run.output("preflight", "state") == "live" else "promoted"
    failure = run.failure()
    return "refused" if failure and failure[1].exit_code == Refused.exit_code else "failed"


def is_unended(run: Run, record: Record | None) -> bool:
    """Clients follow this run's release, the old one has not ended, and nothing of the run is left to wait for that.

    There was nothing to go back to, so no rollback failed; whoever comes next completes it.
    """
    if record is None or record.phase != "draining" or record.live != release_id(run):
        return False
    promote, rollback = run.node("promote"), run.node("rollback")
    over = run.phase in FINISHED or (rollback is not None and rollback.phase in ("Failed", "Error"))
    return over and (record.owner == run.uid or (promote is not None and bool(promote.attempts)))


def exit_code(outcome: Outcome, *, interrupted: bool = False, timed_out: bool = False) -> int:
    """Of the command that followed the run: design section 9. A failed rollback needs a person, so it comes first."""
    if outcome == "rollback-failed":
        return ROLLBACK_FAILED_EXIT
    if interrupted:
        return INTERRUPTED_EXIT
    if outcome in GOOD:
        return PROMOTED_EXIT
    return TIMED_OUT_EXIT if timed_out else FAILED_EXIT


def release_id(run: Run) -> str | None:
    """The release that the run was about; None before ``resolve`` has told."""
    return run.output("resolve", "release_id") or run.parameters.get("release_id") or None


def _rollback_failed(run: Run, record: Record | None) -> bool:
    """Whether the work of this run is still in flight, with nobody at it; or the rollback itself says so."""
    rollback = run.node("rollback")
    ours = record is not None and record.phase != "idle" and record.owner == run.uid
    if run.phase in FINISHED and ours:  # also where the rollback was not allowed to begin
        return True
    if rollback is None or rollback.phase not in ("Failed", "Error"):
        return False
    if rollback.attempts and rollback.attempts[-1].exit_code == RollbackFailed.exit_code:
        return True
    if record is None:  # it may be in flight, where this run came so far as to touch it
        return any(n.attempts for n in run.nodes if n.name in TOUCHING)
    return ours


def _ended_well(run: Run) -> bool:
    """Asked while the exit handler still runs, too: then the nodes tell."""
    if run.phase in FINISHED:
        return run.phase == "Succeeded"
    return all(n.phase in ("Succeeded", "Skipped") for n in run.nodes if not n.on_exit)


def _promoted_after_all(run: Run, record: Record | None) -> bool:
    """``promote`` did its work, and was lost afterwards or something else failed. One that failed says so itself.

    Of a repair the record tells nothing: its release is live from the start.
    """
    promote = run.node("promote")
    if promote is None or not promote.attempts or record is None or record.phase != "idle":
        return False
    return promote.attempts[-1].exit_code in (0, *LOST)


def _serves(run: Run, record: Record | None) -> bool:
    """Where the record cannot be read the run's own word counts."""
    return record is None or release_id(run) is None or record.live == release_id(run)
