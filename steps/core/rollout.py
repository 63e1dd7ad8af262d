"""A deployment's state machine: every transition of its record, and who may make it.

                begin           ready            promote             drained
        idle ----------> swapping -----> testing --------> draining ----------> idle
         ^                  |               |              live = candidate
         |                  +-------+-------+              previous = old live
         |  rolled_back             | roll_back
         +----------------- rolling-back                   refuse: the candidate failed by its own fault;
                                                                   in swapping and testing, phase unchanged
         |  repair                     repaired
        idle ----------> repairing ---------------> idle   live itself is unhealthy: no pointer move, no rollback

``take_over`` gives draining or repairing work of a dead owner to a new one, who finishes it; ``roll_back`` does so for
the other phases. A transition is a function Record -> Record that raises where its guard does not hold: Conflict where
somebody else is at it, Refused where policy says no. Adapters read and compare-and-swap, nothing else.

Invariants: the pointer is at ``live`` in every phase; what the record names is never removed.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

from steps.contracts import ANY
from steps.core.budget import DRAIN
from steps.core.record import Phase, Record
from steps.core.release import Release, Strategy
from steps.errors import Conflict, Failed, Refused

Course = Literal["begin", "continue", "finish", "repair", "settled", "recover"]
"""What a step that wants a release served does first.

* begin: nothing is in flight
* continue: an earlier step or attempt of this owner began to bring it in
* finish: this owner moved the pointer already; the old release is to be drained
* repair: this owner began to repair it
* settled: it is live and nothing is in flight; where it is unhealthy, repair it
* recover: there is unfinished work to complete or roll back before anything else
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Claim:
    """What a run writes into the record when it begins. ``since`` is right before it touches anything.

    ``replicas`` are the live release's at that moment.
    """

    owner: str
    since: float
    deadline: float
    replicas: int


def course(deployment: str, record: Record, release_id: str, owner: str, *, abandoned: bool) -> Course:
    """``abandoned`` is ``is_abandoned`` of the same record. Raises Conflict, Refused; Failed after its own refusal."""
    if record.phase == "idle":
        if record.live == release_id:
            return "settled"
        check_allowed(deployment, record, release_id)
        return "begin"
    if record.owner == owner:
        return _course_of_own_work(deployment, record, release_id)
    if abandoned:
        return "recover"
    raise Conflict(_in_flight(deployment, record))


def _course_of_own_work(deployment: str, record: Record, release_id: str) -> Course:
    match record.phase:
        case "draining" if record.live == release_id:
            return "finish"
        case "repairing" if record.live == release_id:
            return "repair"
        case "swapping" | "testing" if record.candidate == release_id:
            if release_id in record.refused:
                raise Failed(
                    f"release {release_id} has failed in this run already; {how_to_allow(deployment, release_id)}"
                )
            return "continue"
        case _:
            return "recover"


def is_abandoned(record: Record, *, owner_alive: bool, now: float) -> bool:
    """Whether work is in flight that its owner will not finish: it is dead, or past its deadline."""
    late = record.deadline is not None and now > record.deadline
    return record.phase != "idle" and (late or not owner_alive)


def check_allowed(deployment: str, record: Record, release_id: str) -> None:
    """Raises Refused for a release that failed by its own fault, or was rolled back by hand."""
    if release_id in record.refused:
        raise Refused(
            f"release {release_id} of {deployment} failed before or was rolled back by hand, "
            f"so it is not tried again by itself; {how_to_allow(deployment, release_id)}"
        )


def check_change(record: Record, release_id: str, replicas: int, *, anew: bool = False) -> None:
    """Raises Conflict for what a step of the same run would do that has not heard of its rollback.

    A candidate on its way back is not started; the live release is stopped only to make room or to be repaired.
    ``anew``: it is started again right after, which is how one that does not come back is helped.
    """
    if replicas and record.phase == "rolling-back" and release_id == record.candidate:
        raise Conflict(f"release {release_id} is being rolled back, so it is not started; run again when that is over")
    may_stop = record.phase in ("swapping", "testing", "repairing") or anew
    if not replicas and release_id == record.live and not may_stop:
        raise Conflict(
            f"release {release_id} is live and the record {record.phase}, so it is not stopped; "
            "look at `python -m workflows.status` and run again"
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


def begin(record: Record, candidate: str, claim: Claim) -> Record:
    _require(record, "idle")
    return _claimed(replace(record, phase="swapping", candidate=candidate), claim)


def renew(record: Record, owner: str, *, deadline: float) -> Record:
    """A retry that comes after its own deadline gets a new one; ``since`` stays, so that the outage stays honest."""
    _require(record, "swapping", "testing", "repairing", owner=owner)
    return replace(record, deadline=deadline)


def ready(record: Record, owner: str) -> Record:
    """The candidate's pods are up. Nothing changes where that is known."""
    _require(record, "swapping", "testing", owner=owner)
    return replace(record, phase="testing")


def refuse(record: Record, owner: str) -> Record:
    """The candidate failed by its own fault."""
    _require(record, "swapping", "testing", owner=owner)
    return replace(record, refused=_with(record.refused, record.candidate))


def promote(record: Record, owner: str, *, now: float, strategy: Strategy, refuse_live: bool = False) -> Record:
    """Written together with the pointer. ``refuse_live``: what served until now is bad, and not to be tried again.

    ``strategy`` is the candidate's: beside it the old release served all the while.
    """
    _require(record, "testing", owner=owner)
    nobody_waited = strategy == "blue-green" or record.live is None
    return replace(
        record,
        phase="draining",
        live=record.candidate,
        previous=record.live,
        since=now if nobody_waited else record.since,
        deadline=now + DRAIN,
        refused=_with(record.refused, record.live) if refuse_live else record.refused,
    )


def drained(record: Record, owner: str) -> Record:
    _require(record, "draining", owner=owner)
    return _idle(record)


def roll_back(record: Record, owner: str, *, since: float | None, deadline: float) -> Record:
    """Also takes over: ``owner`` is who rolls back, whoever began. Guarded by the caller with ``is_abandoned``.

    ``since`` when nothing serves; None: the live release was never stopped. Whoever goes on with it can tell from this
    whether the pods that run are those that clients had all the while.
    """
    _require(record, "swapping", "testing", "rolling-back")
    return replace(record, phase="rolling-back", owner=owner, since=since, deadline=deadline)


def rolled_back(record: Record, owner: str) -> Record:
    _require(record, "rolling-back", owner=owner)
    return _idle(record)


def take_over(record: Record, owner: str, *, now: float) -> Record:
    """Work that is finished rather than undone, in a time of its own. Guarded by the caller like ``roll_back``."""
    _require(record, "draining", "repairing")
    taken = replace(record, owner=owner, deadline=now + DRAIN)
    return replace(taken, since=now - outage_seconds(record)) if record.phase == "draining" else taken


def repair(record: Record, claim: Claim) -> Record:
    """The live release is to be started again, in its place."""
    _require(record, "idle")
    return _claimed(replace(record, phase="repairing"), claim)


def repaired(record: Record, owner: str) -> Record:
    """Also where it could not be repaired: no other release is put in its place."""
    _require(record, "repairing", owner=owner)
    return _idle(record)


def allow(record: Record, release_id: str) -> Record:
    """A person has decided that it may be tried again."""
    return replace(record, refused=tuple(r for r in record.refused if r != release_id))


def how_to_allow(deployment: str, release_id: str) -> str:
    """The end of a sentence that says no."""
    return f"if it should be, run `python -m workflows.allow --deployment {deployment} --release {release_id}`"


def unnamed(record: Record, release_ids: Iterable[str]) -> tuple[str, ...]:
    """Those that nothing needs any longer, and that may be removed."""
    return tuple(r for r in release_ids if r not in (record.live, record.previous, record.candidate))


def outage_seconds(record: Record) -> float:
    """How long nothing served in a promotion, of its draining record: from making room until the pointer moved.

    0 where the old release served all the while, or where there was none. ``promote`` and ``take_over`` keep it between
    ``since`` and ``deadline``, which is always DRAIN after the moment that ends it.
    """
    _require(record, "draining")
    if record.since is None or record.deadline is None:
        return 0.0
    return max(record.deadline - DRAIN - record.since, 0.0)


def _claimed(record: Record, claim: Claim) -> Record:
    return replace(
        record,
        owner=claim.owner,
        since=claim.since,
        deadline=claim.deadline,
        replicas=max(claim.replicas, 1),  # a rollback that restores nobody would leave nobody serving
    )


def _idle(record: Record) -> Record:
    return replace(record, phase="idle", candidate=None, owner=None, since=None, deadline=None)


def _with(refused: tuple[str, ...], release_id: str | None) -> tuple[str, ...]:
    return refused if release_id is None or release_id in refused else (*refused, release_id)


def _require(record: Record, *phases: Phase, owner: str | None = None) -> None:
    if record.phase not in phases:
        raise Conflict(
            f"the record is {record.phase} where this step knew it as {' or '.join(phases)}: "
            "somebody else has changed it; look at `python -m workflows.status` and run again"
        )
    if owner is not None and record.owner != owner:
        raise Conflict(f"run {record.owner} has taken over the work of run {owner}, which changes nothing more")


def _in_flight(deployment: str, record: Record) -> str:
    return (
        f"run {record.owner} is {record.phase} release {record.candidate or record.live} of {deployment}; "
        "wait until it has ended, or stop it"
    )
