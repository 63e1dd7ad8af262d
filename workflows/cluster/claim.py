"""The claim of the models, before a run is submitted and after it was made."""

import logging

from steps.clients.clock import SystemClock
from steps.clients.kube import claims
from steps.clients.kube.api import CLAIM, Api
from steps.core.claim import binds, problem
from steps.errors import Missing
from steps.ports.clock import Clock

log = logging.getLogger(__name__)

SYSTEM = SystemClock()

LOOK_EVERY_SECONDS = 0.5
TOLD_AFTER_SECONDS = 3.0
"""Somebody waits for the answer by then."""
BINDING_SECONDS = 80.0
"""Kubernetes' binder gives up a claim whose volume changes while it looks, and looks again every fifteen seconds: for
five more times here. Of fifty claims with a share of their own, made on an idle cluster, half took one more look, and a
fifth two or more; whoever waits for four alone is disappointed once in fifty times."""


def require(api: Api, name: str) -> None:
    """Raises Missing in a sentence with the remedy, where no run could use it."""
    claim = api.get(CLAIM, name)
    if claim is None:
        raise Missing(
            f"there is no claim {name} in namespace {api.namespace}; give install nfs = SERVER:/PATH, a storage_class, "
            f"or the name of a claim that is there"
        )
    if found := problem(claims.look(api, claim)):
        raise Missing(f"claim {name} in namespace {api.namespace} {found}")


def settled(api: Api, name: str, seconds: float = BINDING_SECONDS, clock: Clock = SYSTEM) -> None:
    """Returns once its volume is bound, or does not come, or so much time is over."""
    begun, told = clock.now(), False
    while (passed := clock.now() - begun) < seconds:
        claim = api.get(CLAIM, name)
        if claim is None or not binds(claims.glance(api, claim)):
            return
        if passed >= TOLD_AFTER_SECONDS and not told:
            told = True
            log.warning("claim %s is not bound to its volume yet; waiting for that, at most %.0f s", name, seconds)
        clock.sleep(LOOK_EVERY_SECONDS)
