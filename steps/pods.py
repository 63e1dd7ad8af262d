"""Wait until a release's pods are ready, saying what they wait for, and end at once when they never will be."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from steps.core import guards
from steps.core.record import Record
from steps.core.serverlog import last_words
from steps.errors import Conflict, Failed
from steps.filing import LINES, Filing
from steps.ports.serving import Held, Pod
from steps.stage import Stage

SAY_NEWS_SECONDS, SAY_AGAIN_SECONDS = 5.0, 60.0
LOG_LINES = 50

log = logging.getLogger(__name__)


def all_of_them(_pods: Sequence[Pod]) -> bool:
    """Fewer than are wanted are not enough, however they are."""
    return False


@dataclass(frozen=True, slots=True)
class Awaited:
    """So many ready pods, or fewer where of all that there are ``enough`` says so; no later than ``until``."""

    replicas: int
    until: float
    enough: Callable[[Sequence[Pod]], bool] = all_of_them


def wait_ready(stage: Stage, held: Held, release_id: str, awaited: Awaited) -> tuple[Pod, ...]:
    """The ready pods, as many as are awaited or more, by uid.

    Raises Failed when one has ended or it is too late (with the server's last lines in the log), Conflict
    when the record is no longer the one held, or so many are no longer wanted: somebody else decides now.
    """
    teller, replicas = _Teller(stage, release_id), awaited.replicas
    while True:
        pods = stage.serving.pods(release_id)
        ready = tuple(sorted((p for p in pods if p.ready), key=lambda p: p.uid))
        if len(ready) >= replicas or awaited.enough(pods):
            return ready
        if failure := next((p.failure for p in pods if p.failure), None):
            raise Failed(
                f"release {release_id} of {stage.deployment} ended while it started ({failure}): "
                f"{_last_words(stage, release_id)}; its last lines are in this step's log"
            )
        waiting = next((p.waiting for p in pods if p.waiting), None) or f"{len(ready)} of {replicas} pods are ready"
        if stage.clock.now() >= awaited.until:
            raise Failed(
                f"release {release_id} of {stage.deployment} was not ready in time ({waiting}); last it said: "
                f"{_last_words(stage, release_id)}; set startup_budget_seconds in the catalog if it needs longer"
            )
        require_unchanged(stage, held)
        _require_wanted(stage, release_id, replicas)
        teller.say(waiting)
        stage.clock.sleep(stage.serving.poll_seconds)


def require_unchanged(stage: Stage, held: Held) -> None:
    """Raises Conflict when the record is no longer the one held."""
    now = stage.serving.read().record
    if now == held.record:
        return
    if now == Record():
        raise Conflict(guards.record_gone(stage.deployment))
    raise Conflict(
        f"the record of {stage.deployment} changed to {now.phase} of {now.owner or 'nobody'} while this step worked on "
        "it; it changes nothing more: see `python -m workflows.status`, and run it again when nothing is under way"
    )


def _require_wanted(stage: Stage, release_id: str, replicas: int) -> None:
    if (wanted := stage.serving.replicas(release_id)) < replicas:
        said = "; ".join(("", *stage.serving.meddled(release_id)))
        raise Conflict(
            f"somebody has scaled release {release_id} of {stage.deployment} to {wanted} replicas, or removed it, "
            f"while this step waited for {replicas}{said}; run again"
        )


def keep_log(stage: Stage, release_id: str) -> None:
    """What its servers said last goes into this step's log, which outlives them."""
    _tell(release_id, stage.serving.log_tail(release_id, LOG_LINES))


def file_log(stage: Stage, release_id: str) -> Filing | None:
    """All of it goes to the store as well, beside what the step does next; None where they said nothing."""
    said = stage.serving.log_tail(release_id, LINES)
    _tell(release_id, said)
    return stage.files.begin(release_id, said) if stage.files and said else None


def _tell(release_id: str, said: str) -> None:
    for line in said.splitlines()[-LOG_LINES:]:
        log.info("%s | %s", release_id, line)


def _last_words(stage: Stage, release_id: str) -> str:
    keep_log(stage, release_id)
    return last_words(stage.serving.log_tail(release_id, LOG_LINES))


class _Teller:
    """Says what is waited for when that changes, and once a minute, so that a long load is not taken for a hang."""

    def __init__(self, stage: Stage, release_id: str) -> None:
        self._stage, self._release_id = stage, release_id
        self._began = stage.clock.now()
        self._last, self._said_at = "", float("-inf")

    def say(self, waiting: str) -> None:
        now = self._stage.clock.now()
        if now - self._said_at >= (SAY_AGAIN_SECONDS if waiting == self._last else SAY_NEWS_SECONDS):
            log.info("release %s, %.0f s: %s", self._release_id, now - self._began, waiting)
            self._last, self._said_at = waiting, now
