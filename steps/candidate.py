"""Have a release's pods running: what deploy, smoke and promote each begin with, so that any of them may be retried."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from steps import preparing, releases
from steps.contracts import ANY
from steps.core import course, guards, rollout
from steps.core.budget import Budget, budget
from steps.core.names import Layout
from steps.core.record import Record
from steps.core.release import Release
from steps.core.rollout import Claim
from steps.errors import BadInput, Conflict, Corrupt, Failed, Lingering, StepError
from steps.health import healthy, is_stuck, look
from steps.pods import Awaited, wait_ready
from steps.ports.serving import Held, Pod
from steps.ports.store import Store
from steps.stage import Stage

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Up:
    """A release whose pods are ready, and the record as it is now."""

    held: Held
    release: Release
    pods: tuple[Pod, ...]


def resolved_release(stage: Stage, store: Callable[[], Store], layout: Layout, release_id: str) -> Release:
    """As resolved; where the store does not give it, as its pods were started: a rollback by hand needs no store.

    Raises what kept it from being read, where it was never started either.
    """
    try:
        return releases.read(store(), layout, stage.deployment, release_id).release
    except StepError as err:
        kept = stage.serving.release(release_id)
        if kept is None:
            raise
        log.warning("taking release %s as it was started before: %s", release_id, err)
        return kept


def started_release(stage: Stage, store: Callable[[], Store], layout: Layout, release_id: str) -> Release:
    """As its pods were started by ``deploy``; as resolved where a rollback has removed it since: a retry may go on."""
    return stage.serving.release(release_id) or resolved_release(stage, store, layout, release_id)


def ensure(stage: Stage, held: Held, release: Release, owner: str, proved_commit: str) -> Up:
    """Bring ``release`` up from wherever the record is. ``held`` comes from ``recovery.settle``.

    Raises Failed for a candidate that does not come up, after adding it to ``refused``; BadInput, Conflict, Refused,
    Corrupt.
    """
    release_id, record = release.release_id, held.record
    match course.choose(stage.deployment, record, release_id, owner, abandoned=False):
        case "begin":
            return _start(stage, _begin(stage, held, release, owner, proved_commit), release, owner)
        case "continue":
            return _start(stage, _renew(stage, held, release, owner), release, owner)
        case "repair":
            return _go_on_repairing(stage, held, _as_many(release, record.replicas), owner)
        case "settled":
            return _settled(stage, held, release, owner)
        case "finish":
            return Up(held, release, _ready(stage, release_id))
        case _:
            raise Conflict(f"the work in flight on {stage.deployment} changed just now; run again")


@contextmanager
def refused_when_failed(stage: Stage, held: Held, owner: str) -> Iterator[None]:
    """A candidate that fails in here is refused before the error goes on its way; a live release never is."""
    try:
        yield
    except Failed as err:
        if held.record.phase not in ("swapping", "testing"):
            raise
        stage.serving.swap(held, rollout.refuse(held.record, owner))
        hint = guards.how_to_allow(stage.deployment, held.record.candidate or "")
        raise Failed(f"{err}; it is not tried again by itself: {hint}") from err


def complete(stage: Stage, held: Held, owner: str) -> None:
    """From draining to idle: the old release ends and stays as rollback target, what nothing names is removed."""
    record, serving = held.record, stage.serving
    if record.previous is not None:
        serving.stop(record.previous, owner)
    # Before idle: nothing may be removed by someone who no longer owns the record.
    for release_id in guards.unnamed(record, serving.releases()):
        _sweep(stage, release_id, owner)
    serving.swap(held, rollout.drained(record, owner))
    preparing.unprepare(stage, None)  # what others have prepared beside the old release is of no use to them now


def _sweep(stage: Stage, release_id: str, owner: str) -> None:
    """One that lingers on a lost node keeps no promotion from its end; the next one sweeps it."""
    try:
        stage.serving.remove(release_id, owner)
    except Lingering as err:
        log.warning("it stays for now: %s", err)


def require_rollback_target(stage: Stage, record: Record, *, by_hand: bool = False) -> Release | None:
    """The live release as its pods were started, None where nothing is live. Raises Corrupt where that is unknown.

    ``by_hand``: a person goes back, and where nothing of the live release is left there is nothing to lose by it.
    """
    if record.live is None:
        return None
    if release := stage.serving.release(record.live):
        return release
    unknown = f"{stage.deployment} no longer knows how its live release {record.live} is started"
    if not by_hand or stage.serving.pods(record.live):
        raise Corrupt(f"refusing: no verified rollback target, {unknown}; promote that release again first")
    log.warning("%s, and nothing of it is left: there is no way back to it", unknown)
    return None


def require_one_volume(stage: Stage, record: Record, release_id: str) -> None:
    """What is proved has to be what serves, also of the way back. Raises BadInput; a rollback does not ask."""
    for each in filter(None, (release_id, record.live)):
        if why := stage.serving.elsewhere(each):
            raise BadInput(f"release {each} of {stage.deployment} has its models elsewhere: {why}")


def _begin(stage: Stage, held: Held, release: Release, owner: str, proved_commit: str) -> Held:
    record = held.record
    require_one_volume(stage, record, release.release_id)
    target = require_rollback_target(stage, record, by_hand=proved_commit == ANY)
    guards.check_proved(stage.deployment, target, proved_commit)
    _require_alive(stage, owner)
    with preparing.prepared(stage, held, release, owner):
        claim = _claim(stage, record, release, owner)
        if record.live is not None and target is None:
            claim = replace(claim, replicas=0)  # so that whoever undoes this knows that there was nothing to restore
        return stage.serving.swap(held, rollout.begin(record, release.release_id, claim))


def _require_alive(stage: Stage, owner: str) -> None:
    """Raises Conflict for who is dead to others: a step that was cut off, and wakes up when all is put right."""
    if not stage.serving.owner_alive(owner):
        raise Conflict(f"run {owner} has ended or was deleted, so a step of it begins nothing; start a new promotion")


def _claim(stage: Stage, record: Record, release: Release, owner: str) -> Claim:
    _require_alive(stage, owner)
    now = stage.clock.now()
    # Of a live one with no replica one is restored: a rollback to nobody would leave nobody serving.
    replicas = max(stage.serving.replicas(record.live), 1) if record.live else release.replicas
    return Claim(owner=owner, since=now, deadline=now + _budget(stage, release).total, replicas=replicas)


def _renew(stage: Stage, held: Held, release: Release, owner: str) -> Held:
    """Where the time to start up is over: a pod that has to be started again needs it anew."""
    deadline = held.record.deadline
    if deadline is not None and stage.clock.now() < deadline - _budget(stage, release).testing:
        return held
    return _extend(stage, held, release, owner)


def _extend(stage: Stage, held: Held, release: Release, owner: str) -> Held:
    deadline = stage.clock.now() + _budget(stage, release).total
    return stage.serving.swap(held, rollout.renew(held.record, owner, deadline=deadline))


def _start(stage: Stage, held: Held, release: Release, owner: str) -> Up:
    live = held.record.live
    if live is not None and release.strategy == "recreate":
        if stage.serving.replicas(live):
            log.info("making room: release %s stops; nothing serves until the candidate does", live)
        stage.serving.stop(live, owner)
    with refused_when_failed(stage, held, owner):
        pods = _run(stage, held, release, owner)
    if held.record.phase == "swapping":
        held = stage.serving.swap(held, rollout.ready(held.record, owner))
    return Up(held, release, pods)


def _settled(stage: Stage, held: Held, release: Release, owner: str) -> Up:
    if healthy(stage, release):
        return Up(held, release, _ready(stage, release.release_id))
    require_one_volume(stage, held.record, release.release_id)
    wanted = _as_many(release, stage.serving.replicas(release.release_id))
    held = stage.serving.swap(held, rollout.repair(held.record, _claim(stage, held.record, wanted, owner)))
    return _repair(stage, held, wanted, owner, afresh=is_stuck(stage, wanted, _budget(stage, wanted).startup))


def _go_on_repairing(stage: Stage, held: Held, release: Release, owner: str) -> Up:
    """A silent pod is left alone: an earlier step or attempt has started it, and it loads."""
    held = _renew(stage, held, release, owner)
    return _repair(stage, held, release, owner, afresh="other" in look(stage, release))


def _repair(stage: Stage, held: Held, release: Release, owner: str, *, afresh: bool) -> Up:
    log.warning("release %s is live and not healthy: it is started again in its place", release.release_id)
    if afresh:
        stage.serving.stop(release.release_id, owner)
        held = _extend(stage, held, release, owner)
    return Up(held, release, _run(stage, held, release, owner))


def _as_many(release: Release, observed: int) -> Release:
    """Somebody may have scaled it to more than the catalog says: a repair brings back all of them."""
    return replace(release, replicas=max(release.replicas, observed))


def _run(stage: Stage, held: Held, release: Release, owner: str) -> tuple[Pod, ...]:
    stage.serving.ensure(release, release.replicas, owner)
    until = (held.record.deadline or 0.0) - _budget(stage, release).testing
    return wait_ready(stage, held, release.release_id, Awaited(release.replicas, until))


def _ready(stage: Stage, release_id: str) -> tuple[Pod, ...]:
    return tuple(p for p in stage.serving.pods(release_id) if p.ready)


def _budget(stage: Stage, release: Release) -> Budget:
    return budget(release, release.replicas, stage.patience)
