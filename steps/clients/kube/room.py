"""What would keep a release's pods from ever starting in this cluster, seen before anything is changed."""

import json
import logging
from collections.abc import Mapping, Sequence

from steps.clients.kube import claims
from steps.clients.kube.api import CLAIM, NODE, Api, Json
from steps.clients.kube.errors import Forbidden
from steps.core import cache_claim, capacity, claim, workload
from steps.core.release import Release
from steps.errors import BadInput, Missing, NoSpace

log = logging.getLogger(__name__)


def check(api: Api, claim_name: str, release: Release) -> None:
    """Raises Missing, BadInput, NoSpace.

    Nodes belong to the cluster: where the account may not list them (right for a cluster that makes nodes on demand),
    what they have is not looked at.
    """
    _check_claim(api, claim_name)
    nodes = _nodes(api)
    if (cache := workload.cache_claim(release)) is not None:
        _check_cache(api, cache, release, nodes)
    if nodes is not None and (why := capacity.lack(nodes, workload.requests(release), _selector(release))):
        raise NoSpace(
            f"release {release.release_id} of {release.deployment} could not start anywhere in this cluster: {why}; "
            "lower gpus or pod.resources in the catalog, add such a node, or where nodes come on demand install with "
            "node_reader = false"
        )


def _check_claim(api: Api, name: str) -> None:
    found = api.get(CLAIM, name)
    if found is None:
        raise Missing(
            f"claim {name} of the models' volume is not in namespace {api.namespace}; "
            "run `python -m workflows.install`, or set VLLM_PROMOTE_CLAIM to the one that is"
        )
    seen = claims.look(api, found)
    if why := claim.unfit(seen):
        raise BadInput(f"claim {name} of the models' volume {why}")
    if why := claim.problem(seen):
        raise Missing(f"claim {name} of the models' volume {why}")


def _check_cache(api: Api, name: str, release: Release, nodes: Sequence[Json] | None) -> None:
    about = f"claim {name} for what the model servers compile"
    if (found := api.get(CLAIM, name)) is None:
        raise Missing(
            f"{about} is not in namespace {api.namespace}; make it, or take pod.cacheClaim out of the catalog"
        )
    seen, at_once = claims.look(api, found), release.replicas + (release.strategy == "blue-green")
    together = nodes is None or capacity.holds(nodes, workload.requests(release), _selector(release), at_once)
    if why := cache_claim.unfit(seen, at_once, together=together):
        raise BadInput(f"{about} {why}")
    if why := cache_claim.problem(seen):
        raise Missing(f"{about} {why}")


def _selector(release: Release) -> Mapping[str, str]:
    selector: Mapping[str, str] = json.loads(release.serving.pod).get("nodeSelector", {})
    return selector


def _nodes(api: Api) -> list[Json] | None:
    try:
        return api.list(NODE)
    except Forbidden:
        log.info("this account may not list nodes, so it is not checked here whether one has what a replica asks for")
        return None
