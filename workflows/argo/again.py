"""A run that failed, made ready to be done again by its controller: what succeeded is kept.

Argo's controller makes a node for each task that has none, so what is to be done anew loses its nodes. argo-server does
this for any shape of workflow; here it is done for ours: a DAG of tasks, and a DAG as exit handler. Which fields mark
an end was observed on Argo v4.1.2 (``argo retry``).
"""

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from datetime import UTC, datetime

from steps.core import argo
from steps.core.argo import Json
from steps.errors import Conflict

ENDED_LABELS = ("workflows.argoproj.io/completed", "workflows.argoproj.io/workflow-archiving-status")
ENDED_STATUS = ("phase", "message", "finishedAt", "compressedNodes", "persistentVolumeClaims")
ACTION = "workflows.argoproj.io/action"
"""Label: what was last done to a run by hand; the UI shows it."""
KEPT = ("Succeeded", "Skipped")


@dataclass(frozen=True, slots=True)
class Again:
    """``dropped`` are the ids of the nodes whose pods must go."""

    workflow: Json
    dropped: frozenset[str]


def again(workflow: Json, now: float) -> Again:
    """``now`` in seconds since the epoch. Raises Conflict for a run that is not over, or succeeded."""
    name, status = workflow["metadata"]["name"], workflow.get("status") or {}
    if status.get("phase") not in ("Failed", "Error") or not status.get("finishedAt"):
        raise Conflict(f"run {name} is {status.get('phase', 'Pending')}: only one that failed can be gone on with")
    nodes = argo.nodes(status, name)
    kept = {node["id"]: node for node in _kept(name, status, nodes)}
    began = datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    fresh = deepcopy(workflow)
    fresh["metadata"]["labels"] = _labels(workflow)
    fresh["spec"].pop("shutdown", None)
    fresh["status"] = {
        **{key: value for key, value in status.items() if key not in ENDED_STATUS},
        "conditions": [c for c in status.get("conditions", []) if c["type"] != "Completed"],
        "startedAt": began,
        "nodes": {id_: _pruned(node, kept, name, began) for id_, node in kept.items()},
    }
    fresh["status"].get("storedWorkflowTemplateSpec", {}).pop("shutdown", None)
    return Again(fresh, frozenset(nodes) - frozenset(kept))


def _kept(run: str, status: Json, nodes: Mapping[str, Json]) -> list[Json]:
    """The run's own node, and those of each task before the first one that must be done again: each needs the last."""
    by_name = {node["name"]: node for node in nodes.values()}
    kept = [by_name[run]] if run in by_name else []
    for task, on_exit in argo.tasks(status.get("storedWorkflowTemplateSpec", {})).items():
        node = by_name.get(argo.task_node(run, task, on_exit=on_exit))
        if on_exit or node is None or node["phase"] not in KEPT:
            break
        parts = [part for _, part in argo.part_nodes(task, node, by_name)]
        for each in (node, *parts):
            kept += [each, *(pod for pod in argo.attempt_nodes(each, by_name) if pod is not each)]
    return kept


def _pruned(node: Json, kept: Mapping[str, Json], run: str, began: str) -> Json:
    """Without its ways to nodes that are gone; the DAG itself runs again."""
    pruned = deepcopy(node)
    for way in ("children", "outboundNodes"):
        if way in node:
            pruned[way] = [id_ for id_ in node[way] if id_ in kept]
    if node["name"] == run:
        pruned |= {"phase": "Running", "startedAt": began}
        for end in ("message", "finishedAt"):
            pruned.pop(end, None)
    return pruned


def _labels(workflow: Json) -> dict[str, str]:
    labels = workflow["metadata"].get("labels", {})
    return {key: value for key, value in labels.items() if key not in ENDED_LABELS} | {ACTION: "Retry"}
