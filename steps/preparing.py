"""Do what a start waits for before room is made for it by `recreate`, so that nothing serves for a shorter time."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

from steps.core.budget import budget
from steps.core.release import Release
from steps.errors import Failed, StepError
from steps.pods import require_unchanged
from steps.ports.serving import Held, Place
from steps.stage import Stage

log = logging.getLogger(__name__)


@contextmanager
def prepared(stage: Stage, held: Held, release: Release, owner: str) -> Iterator[None]:
    """The release has all that it starts from, wherever the live one runs. Given up where nothing is begun with it.

    Nothing has moved yet. Raises Failed where its image is not to be had there, or not in time, or its files were
    removed meanwhile; Conflict when the record is no longer the one held. Whatever else keeps something from being
    prepared is told, and no failure.
    """
    if held.record.live is None or release.strategy != "recreate":
        yield  # nobody waits for its start
        return
    try:
        _wait(stage, held, release, held.record.live, owner)
        yield
    except StepError:
        unprepare(stage, owner)
        raise


def unprepare(stage: Stage, owner: str | None) -> None:
    """What this run has begun, with None what anybody has. What cannot be ended now ends by itself."""
    with suppress(StepError):
        stage.serving.unprepare(owner)


def _wait(stage: Stage, held: Held, release: Release, live: str, owner: str) -> None:
    allowed = budget(release, release.replicas, stage.patience)
    began, said = stage.clock.now(), dict[str, str]()
    while True:
        # It stays until the release has started: its deadline is for one whose step was killed.
        places = stage.serving.prepare(release, live, allowed.startup + allowed.total, owner)
        for place in places:
            _tell(release, place, said)
        if bad := next((p for p in places if p.problem), None):
            raise Failed(_sentence(stage, release, f"on {bad.name} {bad.problem}"))
        if all(p.done for p in places):
            return
        if stage.clock.now() - began >= allowed.startup:
            _require_startable(stage, release, places)
            return
        require_unchanged(stage, held)
        stage.clock.sleep(stage.serving.poll_seconds)


def _require_startable(stage: Stage, release: Release, places: Sequence[Place]) -> None:
    """Raises Failed where it could not start either: time alone has not helped."""
    if missing := next((p for p in places if not (p.done or p.startable)), None):
        raise Failed(_sentence(stage, release, f"on {missing.name} it is not ready to start: {missing.said}"))
    log.warning("release %s: not all of it was read ahead in time; it starts all the same", release.release_id)


def _tell(release: Release, place: Place, said: dict[str, str]) -> None:
    """Each news once."""
    if place.said and said.get(place.name) != place.said:
        log.info("preparing release %s on %s: %s", release.release_id, place.name, place.said)
        said[place.name] = place.said


def _sentence(stage: Stage, release: Release, why: str) -> str:
    return (
        f"release {release.release_id} of {stage.deployment} is not started, {why}; what serves was not touched: put "
        "right what is named here, and promote again"
    )
