"""Who may talk to whom. It is the cluster's network that enforces it: where it heeds no NetworkPolicy these do nothing.

Every pod of ours is cut off first. The pipeline's then reach names, the API server, the store, the Hub; the steps that
try a model reach the model servers; model servers reach nothing, and are reached on their port alone.
"""

from collections.abc import Iterable

from steps.clients.kube.api import NETWORK_POLICY, Json
from steps.core import labels
from steps.core.labels import PROJECT
from steps.core.workload import PORT
from workflows.cluster.parts import head

NAMES = (53, 5353)
"""DNS: the Service's port, and that of OpenShift's pods, for networks that look behind the Service."""
OVER_TLS, API_SERVER = 443, 6443
NAMESPACE_NAME = "kubernetes.io/metadata.name"

DENY, MODEL_SERVERS = f"{PROJECT}-deny", f"{PROJECT}-model-servers"
"""Policies that model servers are under."""

OURS: Json = {"matchLabels": {labels.PART_OF: PROJECT}}
SERVERS: Json = {"matchLabels": {labels.PART_OF: PROJECT, labels.COMPONENT: labels.MODEL_SERVER}}
PIPELINE: Json = {
    **OURS,
    "matchExpressions": [
        {"key": labels.COMPONENT, "operator": "NotIn", "values": [labels.MODEL_SERVER, labels.PREPARATION]}
    ],
}


def policies(namespace: str, ports: Iterable[int], clients: tuple[str, ...]) -> tuple[Json, ...]:
    """``ports`` are those of what lies outside; ``clients`` the namespaces of the model servers' clients."""
    return (
        _policy(namespace, DENY, OURS, {"policyTypes": ["Ingress", "Egress"]}),
        _policy(namespace, f"{PROJECT}-pipeline", PIPELINE, {"policyTypes": ["Egress"], "egress": _outside(ports)}),
        _policy(
            namespace,
            f"{PROJECT}-trial",
            PIPELINE,
            {
                "policyTypes": ["Egress"],
                "egress": [{"to": [{"podSelector": SERVERS}], "ports": _ports("TCP", PORT)}],
            },
        ),
        _policy(
            namespace,
            MODEL_SERVERS,
            SERVERS,
            {
                "policyTypes": ["Ingress"],
                "ingress": [{"from": _clients(clients), "ports": _ports("TCP", PORT)}],
            },
        ),
    )


def _outside(ports: Iterable[int]) -> list[Json]:
    """By port, not by address: those of the Hub's and of a cloud's stores change, and policies know no names."""
    reached = sorted({OVER_TLS, API_SERVER, *ports})
    return [{"ports": [*_ports("UDP", *NAMES), *_ports("TCP", *NAMES)]}, {"ports": _ports("TCP", *reached)}]


def _clients(namespaces: tuple[str, ...]) -> list[Json]:
    if not namespaces:
        return [{"namespaceSelector": {}}]
    named = {"key": NAMESPACE_NAME, "operator": "In", "values": sorted(namespaces)}
    return [{"namespaceSelector": {"matchExpressions": [named]}}, {"podSelector": PIPELINE}]


def _ports(protocol: str, *numbers: int) -> list[Json]:
    return [{"protocol": protocol, "port": number} for number in numbers]


def _policy(namespace: str, name: str, pods: Json, rest: Json) -> Json:
    return {**head(NETWORK_POLICY, namespace, name), "spec": {"podSelector": pods, **rest}}
