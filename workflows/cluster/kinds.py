"""Which resource an object is, and which of them an installation may take away again."""

from steps.clients.kube.api import (
    CLAIM,
    CLUSTER_ROLE,
    CLUSTER_ROLE_BINDING,
    CONFIG_MAP,
    CRON_JOB,
    CRON_WORKFLOW,
    NAMESPACE,
    NETWORK_POLICY,
    ROLE,
    ROLE_BINDING,
    SERVICE_ACCOUNT,
    VOLUME,
    WORKFLOW_TEMPLATE,
    Json,
    Kind,
)

REMOVABLE = (
    *(CRON_WORKFLOW, CRON_JOB, WORKFLOW_TEMPLATE, NETWORK_POLICY),
    *(ROLE_BINDING, ROLE, SERVICE_ACCOUNT, CONFIG_MAP),
)
"""In this order: first what starts work. What holds data, and the namespace around it, is not among them."""
CLUSTER_WIDE = (CLUSTER_ROLE_BINDING, CLUSTER_ROLE)
_ALL = {(kind.api_version, kind.name): kind for kind in (*REMOVABLE, *CLUSTER_WIDE, NAMESPACE, VOLUME, CLAIM)}


def kind_of(body: Json) -> Kind:
    return _ALL[body["apiVersion"], body["kind"]]
