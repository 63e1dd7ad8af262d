"""Put right what a promotion left unfinished: undo it, or complete it where clients follow it already."""

import logging
from dataclasses import replace
from itertools import count

from steps.candidate import complete
from steps.contracts import RollbackOutputs
from steps.core import rollout
from steps.core.budget import ROLLBACK_PATIENCE, backoff, budget
from steps.core.record import Record
from steps.core.release import Release
from steps.core.rollout import Course
from steps.errors import Conflict, Failed, RollbackFailed, StepError, Transient
from steps.pods import keep_log, wait_ready
from steps.ports import Held
from steps.proof import prove_again
from steps.stage import Stage

FRESH_STARTS = 2
"""Times that a release which does not come back is stopped and started once more before a person is called."""
NOTHING = RollbackOutputs(outcome="nothing", outage_seconds=0.0)

log = logging.getLogger(__name__)


def settle(stage: Stage, release_id: str, owner: str) -> Held:
    """The record, once the work of dead owners is out of the way of ``release_id``.

    Raises Conflict naming a living owner, Refused for a release that is not to be tried, RollbackFailed.
    """
    held = stage.serving.read()
    if _course(stage, held.record, release_id, owner) != "recover":
        return held
    log.warning("run %s left %s %s: that is put right first", held.record.owner, stage.deployment, held.record.phase)
    recover(stage, owner, take_over=True)
    return stage.serving.read()


def _course(stage: Stage, record: Record, release_id: str, owner: str) -> Course:
    try:
        return rollout.course(stage.deployment, record, release_id, owner, abandoned=is_abandoned(stage, record))
    except Conflict as err:
        theirs = stage.serving.release(record.candidate or "")
        raise Conflict(f"{err} ({theirs.model} at {theirs.commit})" if theirs else str(err)) from err


def is_abandoned(stage: Stage, record: Record) -> bool:
    alive = record.owner is not None and stage.serving.owner_alive(record.owner)
    return rollout.is_abandoned(record, owner_alive=alive, now=stage.clock.now())


def recover(stage: Stage, owner: str, *, take_over: bool) -> RollbackOutputs:
    """Leave the deployment idle: what is in flight is completed or undone. Tries again by itself where that may help.

    ``take_over``: also work of another owner that is dead. Raises RollbackFailed; the record then still says what is
    in flight.
    """
    began, failures = stage.clock.now(), 0
    for attempt in count():
        try:
            held = stage.serving.read()
            if not _ours(stage, held.record, owner, take_over=take_over):
                return NOTHING
            return _recover(stage, held, owner, afresh=failures > 0)
        except (Transient, Conflict) as err:  # after a conflict the next look tells whether it is still ours
            if stage.clock.now() - began > ROLLBACK_PATIENCE:
                raise RollbackFailed(_sentence(stage, err)) from err
            log.warning("trying again: %s", err)
        except Failed as err:
            failures += 1
            if failures > FRESH_STARTS:
                raise RollbackFailed(_sentence(stage, err)) from err
            log.warning("starting it afresh: %s", err)
        except StepError as err:
            raise RollbackFailed(_sentence(stage, err)) from err
        stage.clock.sleep(backoff(attempt, stage.patience.retry_base))
    raise AssertionError("count() does not end")


def _ours(stage: Stage, record: Record, owner: str, *, take_over: bool) -> bool:
    if record.phase == "idle":
        return False
    return record.owner == owner or (take_over and is_abandoned(stage, record))


def _recover(stage: Stage, held: Held, owner: str, *, afresh: bool) -> RollbackOutputs:
    match held.record.phase:
        case "draining":
            return _complete(stage, _take_over(stage, held, owner), owner)
        case "repairing":
            log.warning(
                "release %s was being repaired and may not serve; nothing is put in its place", held.record.live
            )
            held = _take_over(stage, held, owner)
            stage.serving.swap(held, rollout.repaired(held.record, owner))
            return NOTHING
        case _:
            return _undo(stage, held, owner, afresh=afresh)


def _take_over(stage: Stage, held: Held, owner: str) -> Held:
    return held if held.record.owner == owner else stage.serving.swap(held, rollout.take_over(held.record, owner))


def _complete(stage: Stage, held: Held, owner: str) -> RollbackOutputs:
    log.info("clients follow release %s already: its promotion is completed", held.record.live)
    live = stage.serving.release(held.record.live or "")
    complete(stage, held, owner)
    strategy = live.strategy if live else "recreate"
    return RollbackOutputs(outcome="completed", outage_seconds=rollout.outage_seconds(held.record, strategy))


def _undo(stage: Stage, held: Held, owner: str, *, afresh: bool) -> RollbackOutputs:
    live = _live(stage, held.record)
    served = _served_all_along(stage, held.record, live)
    held = _enter(stage, held, live, owner)
    _end_candidate(stage, held.record, owner)
    if live is not None:
        if afresh:
            stage.serving.stop(live.release_id, owner)
        _restore(stage, held, live, owner)
    since = held.record.since or stage.clock.now()
    outage = 0.0 if served or live is None else max(stage.clock.now() - since, 0.0)
    _forget_candidate(stage, held.record, owner)
    stage.serving.swap(held, rollout.rolled_back(held.record, owner))
    return RollbackOutputs(outcome="rolled-back" if live else "removed", outage_seconds=outage)


def _live(stage: Stage, record: Record) -> Release | None:
    """With the replicas that it had before room was made."""
    if record.live is None:
        return None
    live = stage.serving.release(record.live)
    if live is None:
        raise RollbackFailed(
            f"{stage.deployment} no longer knows how its live release {record.live} is started; promote it again"
        )
    return replace(live, replicas=record.replicas)


def _served_all_along(stage: Stage, record: Record, live: Release | None) -> bool:
    """Whether clients noticed nothing: no room was made, or not yet."""
    candidate = stage.serving.release(record.candidate or "")
    if candidate is not None and candidate.strategy == "blue-green":
        return True
    untouched = live is not None and sum(p.ready for p in stage.serving.pods(live.release_id)) >= live.replicas
    return untouched and record.phase != "rolling-back"


def _enter(stage: Stage, held: Held, live: Release | None, owner: str) -> Held:
    seconds = budget(live, live.replicas, stage.patience).total if live else ROLLBACK_PATIENCE
    return stage.serving.swap(held, rollout.roll_back(held.record, owner, deadline=stage.clock.now() + seconds))


def _restore(stage: Stage, held: Held, live: Release, owner: str) -> None:
    log.info("going back to release %s (%s at %s)", live.release_id, live.model, live.commit)
    stage.serving.ensure(live, live.replicas, owner)
    until = stage.clock.now() + budget(live, live.replicas, stage.patience).startup
    wait_ready(stage, held, live.release_id, live.replicas, until)
    prove_again(stage, live)


def _end_candidate(stage: Stage, record: Record, owner: str) -> None:
    if record.candidate is not None:
        keep_log(stage, record.candidate)
        stage.serving.stop(record.candidate, owner)


def _forget_candidate(stage: Stage, record: Record, owner: str) -> None:
    """One that was merely interrupted stays at zero, for a retry; the next promotion sweeps it."""
    retried = record.live is not None and record.candidate not in record.refused
    if record.candidate is not None and record.candidate != record.previous and not retried:
        stage.serving.remove(record.candidate, owner)


def _sentence(stage: Stage, err: StepError) -> str:
    return (
        f"{stage.deployment} could not be brought back: {err}; its record still says what is in flight: "
        "put right what is named here, then promote again, which first goes back"
    )
