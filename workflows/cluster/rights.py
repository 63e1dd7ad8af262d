"""Who may do what: one service account a role, and for each of them the fewest verbs that it can work with.

Never: a wildcard, Secrets, ``pods/exec``, ``pods/portforward``, writing ConfigMaps or templates. RBAC cannot restrict
what a created object is called; so creating is not narrowed to names either.

Nor can it restrict as which account a pod runs that a new Workflow, Job or Deployment makes. Whoever may create one,
and so the nightly refresh too, can come by each right of an account of the namespace: the namespace is the border.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from steps.clients.kube.api import (
    CLUSTER_ROLE,
    CLUSTER_ROLE_BINDING,
    ROLE,
    ROLE_BINDING,
    SERVICE_ACCOUNT,
    Json,
    Kind,
)
from steps.core.labels import PROJECT
from workflows.cluster.parts import DATA, MODEL, RECONCILE, REFRESH, SERVING, SUBMIT, head

RBAC = "rbac.authorization.k8s.io"
READ = ("get", "list")
LOOK = (*READ, "watch")


@dataclass(frozen=True, slots=True)
class Rule:
    group: str
    """Empty for the core group."""
    resources: tuple[str, ...]
    verbs: tuple[str, ...]

    def to_json(self) -> Json:
        return {"apiGroups": [self.group], "resources": [*self.resources], "verbs": [*self.verbs]}


EXECUTOR = (Rule("argoproj.io", ("workflowtaskresults",), ("create", "patch")),)
"""What Argo's own container in a step's pod needs (argo-workflows docs/workflow-rbac.md)."""

OPERATE = (
    Rule("", ("services",), (*READ, "create", "patch")),  # the record and the pointer
    Rule("apps", ("deployments",), (*READ, "create", "patch", "delete")),  # releases; failed ones go
    Rule("", ("pods",), (*READ, "delete")),  # one that crashes again and again is started anew
    Rule("", ("pods/log",), ("get",)),
    Rule("", ("events",), ("list",)),
    Rule("", ("persistentvolumeclaims",), ("get",)),
    Rule("argoproj.io", ("workflows",), READ),  # the run's own account; whether the owner of unfinished work lives
)

PREPARE = (Rule("batch", ("jobs",), ("list", "create", "delete")),)
"""A node is made ready for a release while another still serves there. The reconciler starts nothing new."""

REFRESHING = (
    Rule("argoproj.io", ("workflows",), (*READ, "create")),
    Rule("", ("services",), ("get",)),  # of each deployment that the catalog names, its record
    Rule("apps", ("deployments",), ("get",)),  # and what its live release was made from
)

START = (
    Rule("argoproj.io", ("workflows",), (*LOOK, "create", "update", "patch")),  # also retry and stop
    Rule("argoproj.io", ("workflowtemplates", "cronworkflows"), READ),
    Rule("", ("services",), READ),
    Rule("apps", ("deployments",), READ),
    Rule("", ("pods",), (*LOOK, "delete")),  # a retry takes the failed attempts' pods away
    Rule("", ("pods/log",), ("get",)),
    Rule("", ("events",), LOOK),
    Rule("", ("persistentvolumeclaims", "configmaps"), ("get",)),
)
"""Our commands watch Workflows alone. Argo's UI, which asks as the account that a person logs in as, also watches pods
while it shows the log of a run, and events while it shows those.
"""

REPAIR = (
    Rule("batch", ("cronjobs",), ("get",)),
    Rule("batch", ("jobs",), ("get", "create")),
    Rule("", ("pods",), READ),
    Rule("", ("pods/log",), ("get",)),
    Rule("", ("services",), READ),  # what is live, and so to be audited
    Rule("apps", ("deployments",), READ),
)
"""The reconciler out of its turn, and the audit: `workflows.reconcile`, `workflows.audit`."""

ALLOW = (Rule("", ("services",), ("get", "patch")),)
"""A release that has failed may be tried again: `workflows.allow`."""

ROLES: Mapping[str, tuple[tuple[Rule, ...], tuple[str, ...]]] = {
    f"{PROJECT}-executor": (EXECUTOR, (DATA, SERVING, REFRESH)),
    f"{PROJECT}-operate": (OPERATE, (SERVING, RECONCILE)),
    f"{PROJECT}-prepare": (PREPARE, (SERVING,)),
    f"{PROJECT}-refresh": (REFRESHING, (REFRESH,)),
    f"{PROJECT}-start": (START, (SUBMIT,)),
    f"{PROJECT}-repair": (REPAIR, ()),
    f"{PROJECT}-allow": (ALLOW, ()),
}
"""By name: rules, and the accounts that have them. To be bound to people: the last three, as each of them needs."""

NODES = (
    Rule("", ("nodes",), ("list",)),
    Rule("", ("persistentvolumes",), ("get",)),
)
"""Whether the GPUs that a release asks for exist at all, and whether a claim of one node is tied to it, is asked before
room is made for it."""


def accounts(namespace: str, pull_secrets: tuple[str, ...]) -> tuple[Json, ...]:
    """Argo's container in each step's pod speaks to the API server with the step's account; a model server does not."""
    secrets = {"imagePullSecrets": [{"name": name} for name in pull_secrets]} if pull_secrets else {}
    return tuple(
        {**head(SERVICE_ACCOUNT, namespace, name), "automountServiceAccountToken": name != MODEL, **secrets}
        for name in (DATA, SERVING, RECONCILE, REFRESH, SUBMIT, MODEL)
    )


def roles(namespace: str) -> tuple[Json, ...]:
    made: list[Json] = []
    for name, (rules, holders) in ROLES.items():
        made.append({**head(ROLE, namespace, name), "rules": [rule.to_json() for rule in rules]})
        if holders:
            made.append(_binding(ROLE_BINDING, ROLE, namespace, name, holders))
    return tuple(made)


def node_reader_name(namespace: str) -> str:
    """Cluster roles have no namespace, so their names carry it."""
    return f"{PROJECT}-nodes-{namespace}"


def node_reader(namespace: str) -> tuple[Json, ...]:
    name = node_reader_name(namespace)
    role = {**head(CLUSTER_ROLE, namespace, name), "rules": [rule.to_json() for rule in NODES]}
    return role, _binding(CLUSTER_ROLE_BINDING, CLUSTER_ROLE, namespace, name, (SERVING, RECONCILE, SUBMIT))


def _binding(kind: Kind, role: Kind, namespace: str, name: str, holders: tuple[str, ...]) -> Json:
    return {
        **head(kind, namespace, name),
        "roleRef": {"apiGroup": RBAC, "kind": role.name, "name": name},
        "subjects": [{"kind": "ServiceAccount", "name": holder, "namespace": namespace} for holder in holders],
    }
