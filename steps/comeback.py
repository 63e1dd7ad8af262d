"""Have clients' own release serve again: where its pods run still, as they are; where room was made, started again."""

import logging
from collections.abc import Sequence
from dataclasses import replace

from steps.core.budget import budget
from steps.core.release import Release
from steps.endpoint import wait_for_clients
from steps.errors import Failed, Lingering, NotUp, Transient
from steps.health import healthy, look
from steps.pods import Awaited, wait_ready
from steps.ports.clock import Clock
from steps.ports.serving import Held, Pod
from steps.proof import prove_again
from steps.stage import Stage

SHORT_SECONDS = 60.0
"""For the rest of the replicas to find room, once one serves: what has just ended may have held it."""

log = logging.getLogger(__name__)


def bring_back(stage: Stage, held: Held, live: Release, owner: str, failure: Failed | None) -> str:
    """Clients' own pods, where they run still, are neither ended nor asked for more than a sign of life.

    ``live`` has the replicas that it had before room was made; ``failure`` is that of the try before. Returns what a
    person should know of it, though it serves. Raises NotUp, or Failed where it answers and not well; Transient.
    """
    untouched = held.record.since is None
    live = _as_scaled(stage, live) if untouched else live
    log.info("going back to release %s (%s at %s)", live.release_id, live.model, live.commit)
    if failure is not None and not untouched and _has_to_end(stage, live, failure):
        _end(stage, live, owner)
    stage.serving.ensure(live, live.replicas, owner)
    up, short = _wait(stage, held, live)
    if untouched and not healthy(stage, up):
        raise Transient(f"release {live.release_id}, which was never stopped, does not say that it serves")
    notices = () if untouched else _prove(stage, up)
    return "; ".join(filter(None, (short, *notices)))


def _as_scaled(stage: Stage, live: Release) -> Release:
    """A person or an autoscaler may have scaled it since: those are the pods that clients have."""
    return replace(live, replicas=stage.serving.replicas(live.release_id) or live.replicas)


def _has_to_end(stage: Stage, live: Release, failure: Failed) -> bool:
    """What answers wrongly, and what does not come up. Where some came up, the others are no reason to end them."""
    return not isinstance(failure, NotUp) or "serves" not in look(stage, live)


def _end(stage: Stage, live: Release, owner: str) -> None:
    try:
        stage.serving.stop(live.release_id, owner, anew=True)
    except Lingering as err:
        log.warning("starting it again all the same: %s", err)


def _wait(stage: Stage, held: Held, live: Release) -> tuple[Release, str]:
    """The release with as many replicas as came up; where that is fewer than are wanted, how many and why."""
    until = stage.clock.now() + budget(live, live.replicas, stage.patience).startup
    enough = _Enough(stage.clock, until)
    try:
        ready = wait_ready(stage, held, live.release_id, Awaited(live.replicas, until, enough))
    except Failed as err:
        raise NotUp(str(err)) from err
    if len(ready) >= live.replicas:
        return live, ""
    notice = (
        f"{len(ready)} of {live.replicas} replicas of release {live.release_id} serve; the rest waits: {enough.why}"
    )
    log.warning("%s", notice)
    return replace(live, replicas=len(ready)), notice


def _prove(stage: Stage, up: Release) -> tuple[str, ...]:
    notices = prove_again(stage, up).notices
    for notice in notices:
        log.warning("%s", notice)
    return (*notices, wait_for_clients(stage, up.release_id).notice)


class _Enough:
    """Whether those that are ready will do: the rest has no room, which has lasted, or is final.

    It is wanted still and comes when there is room; clients have what could be had before the run as well.
    """

    def __init__(self, clock: Clock, until: float) -> None:
        self.why = ""
        self._clock, self._until = clock, until
        self._since: float | None = None

    def __call__(self, pods: Sequence[Pod]) -> bool:
        rest, now = [p for p in pods if not p.ready], self._clock.now()
        if len(rest) == len(pods) or not all(p.unplaced for p in rest):
            self._since = None
            return False
        self._since = now if self._since is None else self._since
        self.why = next((p.failure or p.waiting or "" for p in rest), "") or "nobody has made it yet"
        return any(p.failure for p in rest) or now >= min(self._since + SHORT_SECONDS, self._until)
