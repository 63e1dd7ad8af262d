"""A deployment's state machine: every transition of its record, drawn with its name.

                  begin              ready              promote               drained
           idle --------> swapping --------> testing ------------> draining ----------> idle
            ^              |  ^ renew         |  ^ renew           ^  live = candidate
            |              |  | refuse        |  | refuse          |  previous = old live
            |              +--------+---------+                    take_over: of a dead owner's, to finish it
            |                       | roll_back: also of a dead owner's
            | rolled_back           v
            +----------------- rolling-back                        live and previous as they were
                                 ^   | roll_back: again, by whoever goes on with it
                                 +---+

                  repair               repaired
           idle --------> repairing --------------> idle           live itself is unhealthy: no pointer move, and
                            ^  renew, take_over                    nothing to go back to

renew: a retry that comes late gets time anew. refuse: the candidate failed by its own fault; the phase stays, and the
refusal outlasts the rollback until somebody says ``allow``.

A transition is a function Record -> Record. It is made from the phases that are drawn, by the owner of the record;
``begin`` and ``repair`` make one its owner, ``roll_back`` and ``take_over`` too, guarded by ``course.is_abandoned``.
Otherwise it raises Conflict: somebody else is at it. What more must hold is in ``guards``; which transition is next and
how unfinished work is put right, in ``course``. Adapters read and compare-and-swap, nothing else.

Invariants: the pointer is at ``live`` in every phase; what the record names is never removed.
"""

from dataclasses import dataclass, replace

from steps.core.budget import DRAIN
from steps.core.record import Phase, Record
from steps.core.release import Strategy
from steps.errors import Conflict


@dataclass(frozen=True, kw_only=True, slots=True)
class Claim:
    """What a run writes into the record when it begins. ``since`` is right before it touches anything.

    ``replicas`` are the live release's at that moment, 0 where it is gone and cannot be brought back.
    """

    owner: str
    since: float
    deadline: float
    replicas: int


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
    """A person lets it be tried again. Not under the hands of a run, which ends where it finds its record changed."""
    _require(record, "idle")
    return replace(record, refused=tuple(r for r in record.refused if r != release_id))


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
        replicas=claim.replicas,
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
