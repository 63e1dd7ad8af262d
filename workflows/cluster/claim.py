"""The claim of the models, before a run is submitted and after it was made."""

import time
from collections.abc import Callable

from steps.clients.kube import claims
from steps.clients.kube.api import CLAIM, Api
from steps.core.claim import binds, problem
from steps.errors import Missing

LOOK_EVERY_SECONDS = 0.5
BINDING_SECONDS = 20.0
"""Most claims are bound within one second; what Kubernetes misses at first it looks at again after fifteen."""


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


def settled(api: Api, name: str, seconds: float, sleep: Callable[[float], None] = time.sleep) -> None:
    """Returns once its volume is bound, or does not come, or so much time is over."""
    for _ in range(int(seconds / LOOK_EVERY_SECONDS)):
        claim = api.get(CLAIM, name)
        if claim is None or not binds(claims.look(api, claim)):
            return
        sleep(LOOK_EVERY_SECONDS)
