"""Taking an installation away, and what stays of it: all that holds data, and all that a model still serves with."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

from steps.clients.kube.api import (
    CLAIM,
    DEPLOYMENT,
    JOB,
    SECRET,
    SERVICE,
    SERVICE_ACCOUNT,
    WORKFLOW,
    WORKFLOW_TEMPLATE,
    Api,
    Json,
)
from steps.clients.kube.errors import Forbidden, UnknownKind
from steps.core import argo, labels, record
from steps.core.installed import PROMOTE_TEMPLATE
from steps.errors import Conflict
from steps.scheduled import RECONCILE
from workflows.checkout import typed
from workflows.cluster import by_hand, claim, secrets
from workflows.cluster.parts import MODEL
from workflows.cluster.plan import Change, installed
from workflows.config import Config

RECONCILERS = labels.selector({labels.PART_OF: labels.PROJECT, labels.COMPONENT: RECONCILE.name})
"""Selector of the reconciler's jobs, also of those that a person began."""


@dataclass(frozen=True, slots=True)
class Stays:
    """``command`` is what a person types to remove it for good."""

    what: str
    command: str


def require_rest(api: Api) -> None:
    """What loses its rights in the middle could not roll back, and what is unfinished nobody would put right any more.

    Raises Conflict naming it, Corrupt for a record that nobody can read.
    """
    if running := sorted(_runs(api)):
        raise Conflict(f"at work: {', '.join(running)}; wait for the end, or stop them, and uninstall again")
    if repairing := sorted(_reconcilers(api)):
        raise Conflict(
            f"at work: the reconciler, job {', '.join(repairing)}; wait for the end, or if its pod cannot even start "
            f"end it with `kubectl -n {api.namespace} delete job {' '.join(repairing)}`, and uninstall again"
        )
    if unfinished := sorted(_unfinished(api)):
        raise Conflict(
            f"a run that is dead left unfinished: {', '.join(unfinished)}; run {typed('workflows.reconcile')}, and "
            f"uninstall again"
        )


def plan(api: Api, config: Config) -> tuple[Change, ...]:
    """In order. Where models serve their service account stays: without it none of their pods could start again."""
    kept = MODEL if _serving(api) else ""
    return tuple(
        Change(kind=kind, body=body, action="remove")
        for kind, body in installed(api, cluster_wide=config.cluster_scoped)
        if not (kind is SERVICE_ACCOUNT and body["metadata"]["name"] == kept)
    )


def claim_of(api: Api, config: Config) -> str:
    """The one that the installed template names; without a template the one that this machine's settings name."""
    template: Json | None = None
    with suppress(UnknownKind):
        template = api.get(WORKFLOW_TEMPLATE, PROMOTE_TEMPLATE)
    volumes = (template or {}).get("spec", {}).get("volumes", ())
    return next(
        (v["persistentVolumeClaim"]["claimName"] for v in volumes if "persistentVolumeClaim" in v), config.claim
    )


def stays(api: Api, config: Config, models: str) -> Iterator[Stays]:
    """Data, what serves, and what was never ours to make. ``models`` is the claim's name, told before all goes."""
    delete = f"kubectl -n {config.namespace} delete"
    if names := sorted({body["metadata"]["labels"][labels.INSTANCE] for body in _serving(api)}):
        yield Stays(f"the deployments {', '.join(names)}, which serve on", f"{delete} deploy,svc,sa -l {labels.OURS}")
    if api.get(CLAIM, models):
        yield Stays(f"claim {models}, with the models", f"{delete} pvc {models}")
    if volume := claim.volume_of(api, models):
        name = volume["metadata"]["name"]
        yield Stays(f"volume {name} under it", f"kubectl delete pv {name}")
    for name in _secrets(api, config):
        yield Stays(f"Secret {name}", f"{delete} secret {name}")
    yield Stays(
        f"namespace {config.namespace}", f"kubectl delete namespace {config.namespace}   # and all that is in it"
    )


def _runs(api: Api) -> Iterator[str]:
    with suppress(UnknownKind):  # Argo has gone first
        found = api.list(WORKFLOW, labels=argo.UNFINISHED)
        yield from (workflow["metadata"]["name"] for workflow in found if argo.is_run_of_ours(workflow))


def _reconcilers(api: Api) -> Iterator[str]:
    jobs = api.list(JOB, labels=RECONCILERS)
    return (job["metadata"]["name"] for job in jobs if not by_hand.how_it_ended(job))


def _unfinished(api: Api) -> Iterator[str]:
    """Deployments."""
    for service in api.list(SERVICE, labels=labels.ENDPOINTS):
        metadata = service["metadata"]
        text = metadata.get("annotations", {}).get(labels.RECORD)
        if text and record.parse(text, f"annotation {labels.RECORD} of Service {metadata['name']}").phase != "idle":
            yield metadata["name"]


def _serving(api: Api) -> list[Json]:
    return [body for kind in (SERVICE, DEPLOYMENT) for body in api.list(kind, labels=labels.OURS)]


def _secrets(api: Api, config: Config) -> list[str]:
    try:
        names = [wanted.name for wanted in secrets.wanted(config.image_pull_secrets)]
        return [name for name in names if api.get(SECRET, name)]
    except Forbidden:
        return []
