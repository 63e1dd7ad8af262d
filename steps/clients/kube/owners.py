"""Whether a run still lives: a Workflow that has not ended, a pod of one, or a pod that is an owner by itself."""

from steps.clients.kube.api import POD, WORKFLOW, Api, Json
from steps.clients.kube.errors import UnknownKind
from steps.core.argo import UNFINISHED

RUNNING = "status.phase!=Succeeded,status.phase!=Failed"
"""Selector: pods that have not ended, those that have not begun among them."""


def alive(api: Api, owner: str) -> bool:
    """``owner`` is a uid. A stopped Workflow has ended before its pods do, which go on for as long as they like."""
    return any(w["metadata"]["uid"] == owner for w in _unfinished(api)) or any(
        owner in _uids(pod) for pod in api.list(POD, fields=RUNNING)
    )


def _unfinished(api: Api) -> list[Json]:
    try:
        return api.list(WORKFLOW, labels=UNFINISHED)
    except UnknownKind:  # a cluster without Argo
        return []


def _uids(pod: Json) -> set[str]:
    """Its own, and its Workflow's."""
    metadata = pod["metadata"]
    return {metadata["uid"], *(reference["uid"] for reference in metadata.get("ownerReferences", []))}
