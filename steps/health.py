"""Look at what serves, without asking it for an answer. One look that fails proves nothing: a busy server is silent."""

import logging
from typing import Literal

from steps.core.release import Release
from steps.ports.serving import Pod
from steps.stage import Stage

log = logging.getLogger(__name__)

Standing = Literal["serves", "silent", "waits", "ended", "other"]
"""A pod's, as far as it lets one see.

* serves: it says that it serves these weights, or nothing to us, as the API key was changed since it started
* silent: it runs and does not say: it loads, is busy, or hangs
* waits: it has no place to start, and ending it would not help
* ended: it will not serve again by itself
* other: it says that it serves other weights
"""
LOOKS = 3
"""At a silent pod, before it counts as one."""
PAUSE_SECONDS = 1.0


def healthy(stage: Stage, release: Release) -> bool:
    """Whether as many pods as wanted are ready and serve these weights, and none serves others; takes seconds."""
    seen = look(stage, release)
    return seen.count("serves") >= release.replicas and "other" not in seen


def look(stage: Stage, release: Release) -> tuple[Standing, ...]:
    """Of each pod there is."""
    seen: dict[str, Standing] = {}
    for number in range(LOOKS):
        if number:
            stage.clock.sleep(PAUSE_SECONDS)
        for pod in stage.serving.pods(release.release_id):
            if seen.get(pod.uid, "silent") == "silent":
                seen[pod.uid] = _glance(stage, release, pod)
        if "silent" not in seen.values():
            break
    return tuple(seen.values())


def is_stuck(stage: Stage, release: Release, startup: float) -> bool:
    """Whether pods must be ended before they can be started again: they serve other weights, or hang.

    A silent one may be busy, so it gets the time of one request before it counts as hanging; ``startup`` seconds where
    others serve, for it may load, and ending it ends those too.
    """
    began = stage.clock.now()
    while True:
        seen = look(stage, release)
        if "other" in seen or "silent" not in seen:
            return "other" in seen
        patience = startup if "serves" in seen else stage.patience.request
        if stage.clock.now() - began >= patience:
            return True
        stage.clock.sleep(PAUSE_SECONDS)


def _glance(stage: Stage, release: Release, pod: Pod) -> Standing:
    if pod.failure:
        return "ended"
    if pod.unplaced:
        return "waits"
    if not pod.url or not pod.ready:
        return "silent"
    roots = stage.chat.models(pod.url)
    if not roots:
        return "serves" if _wants_another_key(stage, pod.url) else "silent"
    return "serves" if roots.get(release.serving.served_name) == stage.root(release) else "other"


def _wants_another_key(stage: Stage, url: str) -> bool:
    """Kubernetes gives a changed Secret to pods that start: one that clients use is not ended for that."""
    denied = stage.chat.denies(url)
    if denied:
        log.warning("the model server at %s wants another API key than this step has: it serves, as it seems", url)
    return denied
