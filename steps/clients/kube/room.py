"""What would keep a release's pods from ever starting in this cluster, seen before anything is changed."""

import json
import logging
from collections.abc import Mapping

from steps.clients.kube.api import CLAIM, EVENT, NODE, Api, Json
from steps.clients.kube.errors import Forbidden
from steps.core import capacity, workload
from steps.core.release import Release
from steps.errors import BadInput, Missing, NoSpace

log = logging.getLogger(__name__)


def check(api: Api, claim: str, release: Release) -> None:
    """Raises Missing, BadInput, NoSpace.

    Nodes belong to the cluster: where the account may not list them (right for a cluster that makes nodes on demand),
    what they have is not looked at.
    """
    volume, nodes = _bound(api, claim), _nodes(api)
    selector: Mapping[str, str] = json.loads(release.serving.pod).get("nodeSelector", {})
    if why := capacity.cannot_share(volume, nodes or (), selector):
        raise BadInput(
            f"claim {claim} of the models' volume cannot be used: {why}; use one that is ReadWriteMany, or keep "
            f"everything on one node with nodeSelector {capacity.HOSTNAME}"
        )
    if nodes is not None and (why := capacity.lack(nodes, workload.requests(release), selector)):
        raise NoSpace(
            f"release {release.release_id} of {release.deployment} could not start anywhere in this cluster: {why}; "
            "lower gpus or pod.resources in the catalog, add such a node, or where nodes come on demand install with "
            "node_reader = false"
        )


def _bound(api: Api, name: str) -> Json:
    claim = api.get(CLAIM, name)
    if claim is None:
        raise Missing(
            f"claim {name} of the models' volume is not in namespace {api.namespace}; "
            "run `python -m workflows.install`, or set VLLM_PROMOTE_CLAIM to the one that is"
        )
    if (phase := claim.get("status", {}).get("phase")) != "Bound":
        raise Missing(
            f"claim {name} of the models' volume is {phase}, not Bound{_why(api, name)}; give it a volume that fits"
        )
    return claim


def _why(api: Api, name: str) -> str:
    events = api.list(EVENT, fields=f"involvedObject.kind={CLAIM.name},involvedObject.name={name}")
    said = [" ".join(event.get("message", "").split()) for event in events]
    return f" ({said[-1]})" if said and said[-1] else ""


def _nodes(api: Api) -> list[Json] | None:
    try:
        return api.list(NODE)
    except Forbidden:
        log.info("this account may not list nodes, so it is not checked here whether one has what a replica asks for")
        return None
