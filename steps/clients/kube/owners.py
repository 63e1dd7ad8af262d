"""Whether a run still lives, and its name.

It is a Workflow that has not ended, a pod of one, or a pod that is an owner by itself.
"""

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


def run_of(api: Api, owner: str) -> str | None:
    """The name of the Workflow of that uid; None where nothing of it goes on, or it is a pod by itself."""
    workflows = (w["metadata"] for w in _unfinished(api))
    return next((m["name"] for m in workflows if m["uid"] == owner), None) or next(
        (r["name"] for pod in api.list(POD, fields=RUNNING) for r in _references(pod) if r["uid"] == owner), None
    )


def _unfinished(api: Api) -> list[Json]:
    try:
        return api.list(WORKFLOW, labels=UNFINISHED)
    except UnknownKind:  # a cluster without Argo
        return []


def _uids(pod: Json) -> set[str]:
    """Its own, and its Workflow's."""
    return {pod["metadata"]["uid"], *(reference["uid"] for reference in _references(pod))}


def _references(pod: Json) -> list[Json]:
    found: list[Json] = pod["metadata"].get("ownerReferences", [])
    return found
