"""What nobody does to a deployment, whoever asks: the guards of ``rollout`` that look at more than phase and owner.

Each raises where it does not hold: Conflict where somebody else is at it or knows better, Refused where policy says no.
"""

from collections.abc import Iterable

from steps.contracts import ANY
from steps.core.record import Record
from steps.core.release import Release
from steps.errors import Conflict, Refused


def check_allowed(deployment: str, record: Record, release_id: str) -> None:
    """Raises Refused for a release that failed by its own fault, or was rolled back by hand."""
    if release_id in record.refused:
        raise Refused(
            f"release {release_id} of {deployment} failed before or was rolled back by hand, "
            f"so it is not tried again by itself; {how_to_allow(deployment, release_id)}"
        )


def check_change(record: Record, target: str | None, release_id: str, replicas: int, *, anew: bool = False) -> None:
    """Raises Conflict for what a step of the same run would do that has not heard of its rollback.

    A candidate on its way back is not started; the live release is stopped only to make room or to be repaired.
    ``anew``: it is started again right after, which is how one that does not come back is helped. Whatever a person
    sends clients to (``target``) is stopped by nobody, whether it was live before or is not yet.
    """
    if replicas and record.phase == "rolling-back" and release_id == record.candidate:
        raise Conflict(f"release {release_id} is being rolled back, so it is not started; run again when that is over")
    may_stop = record.phase in ("swapping", "testing", "repairing") or anew
    if not replicas and release_id == record.live and not may_stop:
        raise Conflict(
            f"release {release_id} is live and the record {record.phase}, so it is not stopped; "
            "look at `python -m workflows.status` and run again"
        )
    if not replicas and release_id == target != record.live:
        raise Conflict(
            f"clients are sent to release {release_id}, which is not live, so it is not stopped: somebody moved the "
            "endpoint by hand; put it back and run again"
        )


def check_pointer(deployment: str, record: Record, target: str | None) -> None:
    """Raises Conflict where clients are sent elsewhere than the record says; our own writes move both at once."""
    if target != record.live:
        raise Conflict(
            f"the endpoint of {deployment} sends clients to {target or 'nobody'}, its record says "
            f"{record.live or 'nobody'}: somebody moved it by hand; put it back and run again"
        )


def check_proved(deployment: str, target: Release | None, proved_commit: str) -> None:
    """Raises Conflict where a rollback would go back to a commit that this run's ``checksum`` has not read."""
    commit = target.commit if target else ""
    if proved_commit not in (ANY, commit):
        raise Conflict(
            f"{commit or 'nothing'} serves as {deployment} now, and this run has proved {proved_commit or 'nothing'} "
            "as what to go back to: somebody promoted in between; start a new promotion"
        )


def check_served(deployment: str, record: Record, release_id: str, served: str) -> None:
    """``served`` was live when a person asked to go back to ``release_id``; empty where nobody says. Raises Conflict.

    A run that has waited for others would take for bad what that person has never seen.
    """
    if served and record.live not in (served, release_id):
        raise Conflict(
            f"what serves as {deployment} has changed since you asked: it was {served}, now "
            f"{record.live or 'nothing'}; nothing was moved: look at `python -m workflows.status --deployment "
            f"{deployment}`, and ask again"
        )


def unnamed(record: Record, release_ids: Iterable[str]) -> tuple[str, ...]:
    """Those that nothing needs any longer, and that may be removed."""
    return tuple(r for r in release_ids if r not in (record.live, record.previous, record.candidate))


def record_gone(deployment: str) -> str:
    """Of one that a run has read before: who deletes the Service takes its record with it."""
    return (
        f"the record of {deployment} is gone, on Kubernetes with its Service {deployment}: somebody has deleted it "
        "while this run was at work; bring it back from a backup, record and all, or promote again, as for the first "
        "time"
    )


def how_to_allow(deployment: str, release_id: str) -> str:
    """The end of a sentence that says no."""
    return f"if it should be, run `python -m workflows.allow --deployment {deployment} --release {release_id}`"
