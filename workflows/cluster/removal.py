"""Taking an installation away, and what stays of it: all that holds data, and all that a model still serves with."""

from collections.abc import Iterator
from dataclasses import dataclass

from steps.clients.kube.api import CLAIM, DEPLOYMENT, SECRET, SERVICE, SERVICE_ACCOUNT, WORKFLOW, Api, Json
from steps.clients.kube.errors import Forbidden, UnknownKind
from steps.core import labels
from steps.core.installed import PROMOTE_TEMPLATE, ROLLBACK_TEMPLATE
from steps.errors import Conflict
from workflows.cluster import claim, secrets
from workflows.cluster.parts import MODEL
from workflows.cluster.plan import Change, installed
from workflows.config import Config

AT_WORK = "workflows.argoproj.io/completed!=true"
"""Selector of runs that are not over."""
TEMPLATE = "workflows.argoproj.io/workflow-template"
"""Label of a run: what it was made from."""


@dataclass(frozen=True, slots=True)
class Stays:
    """``command`` is what a person types to remove it for good."""

    what: str
    command: str


def require_rest(api: Api) -> None:
    """A run that loses its rights in the middle could not roll back. Raises Conflict naming those at work."""
    try:
        found = [workflow["metadata"] for workflow in api.list(WORKFLOW, labels=AT_WORK)]
    except UnknownKind:  # Argo has gone first
        return
    ours = (PROMOTE_TEMPLATE, ROLLBACK_TEMPLATE)
    if running := [metadata["name"] for metadata in found if metadata.get("labels", {}).get(TEMPLATE) in ours]:
        raise Conflict(f"at work: {', '.join(sorted(running))}; wait for the end, or stop them, and uninstall again")


def plan(api: Api, config: Config) -> tuple[Change, ...]:
    """In order. Where models serve their service account stays: without it none of their pods could start again."""
    kept = MODEL if _serving(api) else ""
    return tuple(
        Change(kind=kind, body=body, action="remove")
        for kind, body in installed(api, cluster_wide=config.cluster_scoped)
        if not (kind is SERVICE_ACCOUNT and body["metadata"]["name"] == kept)
    )


def stays(api: Api, config: Config) -> Iterator[Stays]:
    """Data, what serves, and what was never ours to make."""
    delete = f"kubectl -n {config.namespace} delete"
    if names := sorted({body["metadata"]["labels"][labels.INSTANCE] for body in _serving(api)}):
        yield Stays(f"the deployments {', '.join(names)}, which serve on", f"{delete} deploy,svc,sa -l {labels.OURS}")
    if api.get(CLAIM, config.claim):
        yield Stays(f"claim {config.claim}, with the models", f"{delete} pvc {config.claim}")
    if volume := claim.volume_of(api, config.claim):
        name = volume["metadata"]["name"]
        yield Stays(f"volume {name} under it", f"kubectl delete pv {name}")
    for name in _secrets(api, config):
        yield Stays(f"Secret {name}", f"{delete} secret {name}")
    yield Stays(
        f"namespace {config.namespace}", f"kubectl delete namespace {config.namespace}   # and all that is in it"
    )


def _serving(api: Api) -> list[Json]:
    return [body for kind in (SERVICE, DEPLOYMENT) for body in api.list(kind, labels=labels.OURS)]


def _secrets(api: Api, config: Config) -> list[str]:
    try:
        names = [wanted.name for wanted in secrets.wanted(config.image_pull_secrets)]
        return [name for name in names if api.get(SECRET, name)]
    except Forbidden:
        return []
