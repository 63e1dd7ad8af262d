"""Clients come by the endpoint, and what leads there follows the pointer a moment later, each node by itself."""

import logging
from dataclasses import dataclass

from steps.core.release import Release
from steps.stage import Stage

log = logging.getLogger(__name__)

PATIENCE_SECONDS = 30.0
"""kube-proxy writes its rules at most once a second, and takes seconds where there are many."""
EVERY_SECONDS = 0.3


@dataclass(frozen=True, slots=True)
class Arrival:
    """Of clients at a release: ``seconds`` after the pointer did. ``notice`` says that they did not arrive."""

    seconds: float
    notice: str = ""

    def prolonged(self, outage: float) -> float:
        """An outage lasts until they arrive; where the old release served meanwhile there is none."""
        return outage + self.seconds if outage else 0.0


def wait_for_clients(stage: Stage, release_id: str | None) -> Arrival:
    """Until the endpoint gives them this release's weights. One that is unknown here is not waited for.

    It fails nothing that they do not arrive: the release was proved at its pods, and another one would not be reached
    either.
    """
    release = stage.serving.release(release_id) if release_id else None
    if release is None:
        return Arrival(0.0)
    began = stage.clock.now()
    while instead := _instead(stage, release):
        waited = stage.clock.now() - began
        if waited >= PATIENCE_SECONDS:
            return _not_arrived(stage, release, waited, instead)
        stage.clock.sleep(EVERY_SECONDS)
    return Arrival(stage.clock.now() - began)


def _instead(stage: Stage, release: Release) -> str:
    """What the endpoint gives that is not this release; empty where it is. With another API key nobody can tell."""
    url = stage.serving.url
    found = stage.chat.models(url)
    if not found:
        return "" if stage.chat.denies(url) else "nobody answers there"
    served = found.get(release.serving.served_name)
    return "" if served == stage.root(release) else f"what answers there serves {served or ', '.join(sorted(found))}"


def _not_arrived(stage: Stage, release: Release, waited: float, instead: str) -> Arrival:
    notice = (
        f"after {waited:.0f} s the endpoint {stage.serving.url} does not lead to release {release.release_id}, whose "
        f"pods answer: {instead}; look at what is between them, on Kubernetes the Service's selector and "
        "EndpointSlices, NetworkPolicies, and kube-proxy"
    )
    log.warning("%s", notice)
    return Arrival(waited, notice)
