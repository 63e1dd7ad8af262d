"""Argo's kinds on a cluster without Argo: names and groups only, so that Workflows can be stored.

Any field is taken. What Argo's own definitions refuse is for the Argo suite to find.
"""

from steps.clients.kube.api import CRON_WORKFLOW, WORKFLOW, WORKFLOW_TEMPLATE, Api, Json, Kind
from steps.clients.kube.errors import UnknownKind
from tests.cluster.suite.node import Node, until

DEFINITION = Kind(
    "apiextensions.k8s.io", "v1", "customresourcedefinitions", "CustomResourceDefinition", namespaced=False
)
TASK_RESULT = Kind("argoproj.io", "v1alpha1", "workflowtaskresults", "WorkflowTaskResult")
ALL = (WORKFLOW, WORKFLOW_TEMPLATE, CRON_WORKFLOW, TASK_RESULT)
SECONDS = 120.0
ANYTHING = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}


def ensure(node: Node) -> None:
    """Of several test processes that begin at the same moment all make them, and each waits for all of them."""
    api = node.api("default")
    for kind in ALL:
        if api.get(DEFINITION, _name(kind)) is None:  # else they may be Argo's own
            api.apply(DEFINITION, _definition(kind))
    until(lambda: all(_established(api.get(DEFINITION, _name(k))) for k in ALL), SECONDS)
    until(lambda: all(_is_served(api, k) for k in ALL), SECONDS)


def _definition(kind: Kind) -> Json:
    version = {"name": kind.version, "served": True, "storage": True, "schema": {"openAPIV3Schema": ANYTHING}}
    names = {"kind": kind.name, "plural": kind.plural, "singular": kind.name.lower(), "listKind": f"{kind.name}List"}
    return {
        "apiVersion": DEFINITION.api_version,
        "kind": DEFINITION.name,
        "metadata": {"name": _name(kind)},
        "spec": {"group": kind.group, "scope": "Namespaced", "names": names, "versions": [version]},
    }


def _name(kind: Kind) -> str:
    return f"{kind.plural}.{kind.group}"


def _is_served(api: Api, kind: Kind) -> bool:
    """An API server takes a moment for a kind that is established."""
    try:
        api.list(kind)
    except UnknownKind:
        return False
    return True


def _established(definition: Json | None) -> bool:
    conditions = (definition or {}).get("status", {}).get("conditions", ())
    return any(c["type"] == "Established" and c["status"] == "True" for c in conditions)
