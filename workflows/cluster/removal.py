"""Taking an installation away, and what stays of it: all that holds data, and all that a model still serves with."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

from steps.clients.kube import claims
from steps.clients.kube.api import (
    CLAIM,
    CRON_JOB,
    CRON_WORKFLOW,
    DEPLOYMENT,
    JOB,
    NETWORK_POLICY,
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
from steps.core.installed import PROMOTE_TEMPLATE, REFRESH_TEMPLATE
from steps.errors import Conflict
from steps.scheduled import RECONCILE
from workflows.checkout import typed
from workflows.cluster import by_hand, network, secrets
from workflows.cluster.parts import INSTALLED, MODEL
from workflows.cluster.plan import Change, installed
from workflows.config import Config

RECONCILERS = labels.selector({labels.PART_OF: labels.PROJECT, labels.COMPONENT: RECONCILE.name})
"""Selector of the reconciler's jobs, also of those that a person began."""

STARTERS = (CRON_WORKFLOW, CRON_JOB, WORKFLOW_TEMPLATE)
KEPT = frozenset({(SERVICE_ACCOUNT, MODEL), (NETWORK_POLICY, network.DENY), (NETWORK_POLICY, network.MODEL_SERVERS)})
"""While models serve: without the account none of their pods could start again, and without the policies they would
reach everything, and be reached by everybody."""


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


def require_nothing_begun(api: Api) -> None:
    """Once what starts work is gone. Raises Conflict for what was begun before that: it keeps its rights."""
    try:
        require_rest(api)
    except Conflict as err:
        raise Conflict(
            f"{err}; it has begun just now: nothing new begins any more, and all rights are left until it is over; "
            f"to have everything back run {typed('workflows.install')}"
        ) from err


def plan(api: Api, config: Config) -> tuple[Change, ...]:
    """In order. Where models serve, what their pods are started and shut off by stays."""
    kept = KEPT if _serving(api) else frozenset()
    return tuple(
        Change(kind=kind, body=body, action="remove")
        for kind, body in installed(api, cluster_wide=config.cluster_scoped)
        if (kind, body["metadata"]["name"]) not in kept
    )


def in_two(changes: tuple[Change, ...]) -> tuple[tuple[Change, ...], tuple[Change, ...]]:
    """What starts work, and all else: first nothing new begins, then what has begun is looked for once more."""
    return (
        tuple(change for change in changes if change.kind in STARTERS),
        tuple(change for change in changes if change.kind not in STARTERS),
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
        shut_off = ", and their network policies" if api.get(NETWORK_POLICY, network.DENY) else ""
        yield Stays(
            f"the deployments {', '.join(names)}, which serve on{shut_off}",
            f"{delete} deploy,svc,sa,netpol -l {labels.OURS}",
        )
    if api.get(CLAIM, models):
        yield Stays(f"claim {models}, with the models", f"{delete} pvc {models}")
    if volume := claims.volume_of(api, models):
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
        ours = {*argo.OURS, REFRESH_TEMPLATE, *(each["metadata"]["name"] for each in _templates(api))}
        yield from (workflow["metadata"]["name"] for workflow in found if argo.template_of(workflow) in ours)


def _templates(api: Api) -> list[Json]:
    with suppress(UnknownKind):
        return api.list(WORKFLOW_TEMPLATE, labels=INSTALLED)
    return []


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
