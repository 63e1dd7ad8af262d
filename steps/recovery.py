"""Put right what a promotion left unfinished: undo it, or complete it where clients follow it already."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from steps import amends
from steps.candidate import complete
from steps.comeback import bring_back
from steps.contracts import RollbackOutputs
from steps.core import course, rollout
from steps.core.budget import ROLLBACK_PATIENCE, budget
from steps.core.guards import check_served
from steps.core.record import Record
from steps.core.release import Release
from steps.endpoint import wait_for_clients
from steps.errors import Conflict, Denied, Failed, Lingering, RollbackFailed, StepError, Transient
from steps.health import look
from steps.interference import require_pointer
from steps.pods import file_log
from steps.ports.serving import Held
from steps.stage import Stage
from steps.tries import Tries, not_brought_back, nothing_left

NOTHING = RollbackOutputs(outcome="nothing", outage_seconds=0.0)

log = logging.getLogger(__name__)


def settle(stage: Stage, release: Release, owner: str, served: str = "") -> Held:
    """The record, once the work of dead owners is out of the way of ``release``.

    Where somebody has deleted what has to be brought back, promoting that very release does bring it back. ``served``
    is of ``guards.check_served``, before anything else: to put right what is left moves something too, and leaves
    live what is. Raises Conflict naming a living owner, or who has moved the endpoint by hand; Refused for a release
    that is not to be tried; RollbackFailed.
    """
    held, release_id = stage.serving.read(), release.release_id
    check_served(stage.deployment, held.record, release_id, served)
    if _course(stage, held.record, release_id, owner) != "recover":
        require_pointer(stage, held)
        return held
    log.warning("run %s left %s %s: that is put right first", held.record.owner, stage.deployment, held.record.phase)
    done = recover(stage, owner, take_over=True, known=release)
    if held.record.owner != owner:  # of its own the run itself will tell
        amends.enter(stage, held.record, done)
    held = stage.serving.read()
    check_served(stage.deployment, held.record, release_id, served)
    if _course(stage, held.record, release_id, owner) == "recover":  # what the dead one refused stays refused
        raise Conflict(f"the work in flight on {stage.deployment} changed just now; run again")
    require_pointer(stage, held)
    return held


def _course(stage: Stage, record: Record, release_id: str, owner: str) -> course.Course:
    try:
        return course.choose(stage.deployment, record, release_id, owner, abandoned=is_abandoned(stage, record))
    except Conflict as err:
        raise Conflict(f"{err}{_theirs(stage, record)}") from err


def _theirs(stage: Stage, record: Record) -> str:
    """What a run at work brings in, and how it is stopped where its name is not what the record says."""
    theirs, run = stage.serving.release(record.candidate or ""), stage.serving.run_of(record.owner or "")
    what = f"{theirs.model} at {theirs.commit}" if theirs else ""
    how = f"`python -m workflows.stop --run {run}`" if run and run != record.owner else ""
    said = "; ".join(filter(None, (what, how)))
    return f" ({said})" if said else ""


def is_abandoned(stage: Stage, record: Record) -> bool:
    alive = record.owner is not None and stage.serving.owner_alive(record.owner)
    return course.is_abandoned(record, owner_alive=alive, now=stage.clock.now())


def recover(stage: Stage, owner: str, *, take_over: bool, known: Release | None = None) -> RollbackOutputs:
    """Leave the deployment idle: what is in flight is completed or undone. Tries again by itself where that may help.

    ``take_over``: also work of another owner that is dead. ``known`` is a release whose document the caller has, should
    it be the one to go back to and its pods be unknown here. Raises RollbackFailed; the record then still says what is
    in flight.
    """
    tries = Tries(stage)
    while True:
        tries.begin()
        try:
            held = stage.serving.read()
            if not _ours(stage, held.record, owner, take_over=take_over):
                return NOTHING
            return _recover(stage, held, owner, known, tries.failure)
        except (Transient, Conflict, Denied) as err:  # whether it is still ours, or allowed by now, the next look tells
            tries.let_down(err)
        except Failed as err:
            tries.failed(err)
        except StepError as err:
            raise RollbackFailed(not_brought_back(stage, err)) from err
        tries.pause()


def _ours(stage: Stage, record: Record, owner: str, *, take_over: bool) -> bool:
    if record.phase == "idle":
        return False
    return record.owner == owner or (take_over and is_abandoned(stage, record))


def _recover(stage: Stage, held: Held, owner: str, known: Release | None, failure: Failed | None) -> RollbackOutputs:
    match course.recovery(held.record):
        case "nothing":
            return NOTHING
        case "complete":
            return _complete(stage, _take_over(stage, held, owner), owner)
        case "leave":
            return _leave(stage, _take_over(stage, held, owner), owner)
        case _:
            return _go_back(stage, held, owner, _live(stage, held.record, known), failure)


def _take_over(stage: Stage, held: Held, owner: str) -> Held:
    """Also from oneself, where the deadline has passed: what is taken over has to be finished in peace."""
    record, now = held.record, stage.clock.now()
    if record.owner == owner and record.deadline is not None and now <= record.deadline:
        return held
    return stage.serving.swap(held, rollout.take_over(record, owner, now=now))


def _complete(stage: Stage, held: Held, owner: str) -> RollbackOutputs:
    log.info("clients follow release %s already: its promotion is completed", held.record.live)
    arrival = wait_for_clients(stage, held.record.live)
    complete(stage, held, owner)
    outage = arrival.prolonged(rollout.outage_seconds(held.record))
    return RollbackOutputs(outcome="completed", outage_seconds=outage, noticed=arrival.notice)


def _leave(stage: Stage, held: Held, owner: str) -> RollbackOutputs:
    """What its repair has ended and not started yet is started: nobody comes by again for a record that is idle.

    That it comes up is not waited for: there is nothing to go back to, and whoever promotes it again sees.
    """
    record, serving, noticed = held.record, stage.serving, ""
    log.warning("release %s was being repaired and may not serve; nothing is put in its place", record.live)
    live = serving.release(record.live) if record.live else None
    if live is not None and not serving.replicas(live.release_id):
        noticed = f"the repair of release {live.release_id} was cut off while none of it ran: it is started again, and "
        noticed += "nobody has waited until it serves; promote it again to see that it does"
        log.warning("%s", noticed)
        serving.ensure(live, record.replicas, owner)
    serving.swap(held, rollout.repaired(record, owner))
    return replace(NOTHING, noticed=noticed)


def _go_back(stage: Stage, held: Held, owner: str, live: Release | None, failure: Failed | None) -> RollbackOutputs:
    done = _undo(stage, held, owner, live, failure)
    if live is None and held.record.live is not None:
        raise RollbackFailed(nothing_left(stage.deployment, held.record.live))
    return done


def _undo(stage: Stage, held: Held, owner: str, live: Release | None, failure: Failed | None) -> RollbackOutputs:
    """A candidate that lingers on a lost node keeps nobody waiting: the scheduler gives its GPU to nobody else."""
    held = _enter(stage, held, live, owner)
    with _filed(stage, held.record.candidate):
        lingers = _end_candidate(stage, held.record, owner)
        noticed = bring_back(stage, held, live, owner, failure) if live else ""
    since = held.record.since if live else None
    outage = 0.0 if since is None else max(stage.clock.now() - since, 0.0)
    if lingers:  # it has had the time of a start since
        lingers = _end_candidate(stage, held.record, owner)
    if not lingers:
        _forget_candidate(stage, held.record, owner)
    stage.serving.swap(held, rollout.rolled_back(held.record, owner))
    noticed = "; ".join(filter(None, (noticed, lingers)))
    return RollbackOutputs(outcome="rolled-back" if live else "removed", outage_seconds=outage, noticed=noticed)


def _live(stage: Stage, record: Record, known: Release | None) -> Release | None:
    """With the replicas that it had before room was made. None where none was, nor any way to start one."""
    if record.live is None:
        return None
    live = stage.serving.release(record.live)
    if live is None and known is not None and known.release_id == record.live:
        live = known
    if live is None and record.replicas == 0:
        return None
    if live is None:
        raise RollbackFailed(
            f"{stage.deployment} no longer knows how its live release {record.live} is started; promote it again"
        )
    return replace(live, replicas=max(record.replicas, 1))


def _enter(stage: Stage, held: Held, live: Release | None, owner: str) -> Held:
    seconds = budget(live, live.replicas, stage.patience).total if live else ROLLBACK_PATIENCE
    since, deadline = _out_since(stage, held.record, live), stage.clock.now() + seconds
    return stage.serving.swap(held, rollout.roll_back(held.record, owner, since=since, deadline=deadline))


def _out_since(stage: Stage, record: Record, live: Release | None) -> float | None:
    """When clients lost what they had, None where they have it still: no room was made, or not yet.

    At the latest now, at the earliest when the work began: an outage is rather told too long than too short.
    """
    never_stopped = record.phase != "rolling-back" or record.since is None
    if live is not None and never_stopped and _runs(stage, live):
        return None
    return stage.clock.now() if record.since is None else record.since


def _runs(stage: Stage, live: Release) -> bool:
    """Busy or not: only what ended, is being ended, has no place to start, or serves other weights does not."""
    wanted = stage.serving.replicas(live.release_id) > 0
    return wanted and not {"serves", "silent"}.isdisjoint(look(stage, live))


@contextmanager
def _filed(stage: Stage, release_id: str | None) -> Iterator[None]:
    """What it said is filed meanwhile: its pods take it with them."""
    filing = file_log(stage, release_id) if release_id else None
    try:
        yield
    finally:
        if filing is not None:
            filing.end()


def _end_candidate(stage: Stage, record: Record, owner: str) -> str:
    """Why a pod of it may run still, though it is wanted no more; empty once none does.

    Its Deployment then stays, so that whoever looks finds whose pod that is, and a later promotion removes it.
    """
    if record.candidate is None:
        return ""
    try:
        stage.serving.stop(record.candidate, owner)
    except Lingering as err:
        log.warning("going back all the same: %s", err)
        return f"{err}; it stays at 0 replicas, and a later promotion removes it"
    return ""


def _forget_candidate(stage: Stage, record: Record, owner: str) -> None:
    """One that was merely interrupted stays at zero, for a retry; the next promotion sweeps it."""
    retried = record.live is not None and record.candidate not in record.refused
    if record.candidate is not None and record.candidate != record.previous and not retried:
        stage.serving.remove(record.candidate, owner)
