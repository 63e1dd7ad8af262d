"""Whether Argo Workflows is in the cluster, and whether it is one that understands our templates."""

import re
from collections.abc import Iterable
from typing import Protocol

from steps.clients.kube.api import DEPLOYMENT, WORKFLOW_TEMPLATE, Api, Json, Kind
from steps.clients.kube.errors import Forbidden, UnknownKind
from steps.errors import Missing

NEEDED = (4, 1)
"""Since 4 templates know several mutexes and no longer a single one, CronWorkflows several schedules. Before 4.1 a run
that is retried in the UI waits for ever for a task that was done for each item of a list (argo-workflows #16450)."""
CONTROLLER = "workflow-controller"
CONTROLLERS = f"app={CONTROLLER}"
"""Selector that Argo's own manifests and its Helm chart share."""
RELEASES = "https://github.com/argoproj/argo-workflows/releases"
INSTALL = (
    f"kubectl create namespace argo && kubectl apply --server-side -n argo -f {RELEASES}/download/v4.1.2/install.yaml"
)
_TAG = re.compile(r":v?(\d+)\.(\d+)[\w.-]*(?:@|$)")


class Schemas(Protocol):
    def schema(self, kind: Kind) -> Json:
        """What the cluster's OpenAPI v3 says of such objects; empty where it says nothing."""
        ...


def require(api: Api) -> None:
    """Raises Missing with the remedy where the cluster does not know Argo's objects."""
    try:
        api.list(WORKFLOW_TEMPLATE, fields="metadata.name=none")
    except UnknownKind as err:
        raise Missing(
            f"this cluster has no Argo Workflows: it knows no {WORKFLOW_TEMPLATE.plural}.{WORKFLOW_TEMPLATE.group}; "
            f"install version {_told(NEEDED)} or newer: {INSTALL}"
        ) from err


def require_controller(places: Iterable[Api]) -> str:
    """What told the version; empty where no controller's Deployment is ours to see. Raises Missing for an old one."""
    for api in places:
        for image in _images(api):
            if match := _TAG.search(image):
                return _judged(
                    (int(match[1]), int(match[2])), f"its controller runs {image} in namespace {api.namespace}"
                )
    return ""


def require_definitions(schemas: Schemas) -> str:
    """The same by the shape of the objects: version 4 has lost what version 3 still had. Minimal definitions, which say
    nothing of what is in an object, tell nothing.
    """
    major = _major(schemas.schema(WORKFLOW_TEMPLATE))
    return _judged((major,), "as its definition of a WorkflowTemplate shows") if major else ""


def _judged(version: tuple[int, ...], evidence: str) -> str:
    """By as much of it as is known."""
    if version < NEEDED[: len(version)]:
        raise Missing(
            f"Argo Workflows in this cluster is of version {_told(version)}, {evidence}, and the templates need "
            f"{_told(NEEDED)} or newer: upgrade it, see {RELEASES}"
        )
    return evidence


def _told(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))


def _images(api: Api) -> list[str]:
    try:
        found = api.list(DEPLOYMENT, labels=CONTROLLERS)
    except Forbidden:
        return []
    specs = (deployment["spec"]["template"]["spec"] for deployment in found)
    return [
        container["image"] for spec in specs for container in spec["containers"] if CONTROLLER in container["image"]
    ]


def _major(schema: Json) -> int | None:
    spec = schema.get("properties", {}).get("spec", {})
    known = spec.get("properties", {}).get("synchronization", {}).get("properties", {})
    if not known:
        return None
    return NEEDED[0] if "mutexes" in known and "mutex" not in known else NEEDED[0] - 1
