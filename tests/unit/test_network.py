"""Who may talk to whom under the rendered policies, read as Kubernetes documents them: what selects a pod cuts it off
in that direction, but for what one of its rules lets through; a connection needs its sender's leave and its receiver's.
"""

import pytest

from steps.core import labels
from workflows.cluster import network

HERE = "models"


def pod(namespace=HERE, **marks):
    return {"namespace": namespace, "labels": {labels.PART_OF: labels.PROJECT, **marks} if marks else {}}


STEP = pod(**{labels.COMPONENT: "smoke"})
UNMARKED_STEP = {"namespace": HERE, "labels": {labels.PART_OF: labels.PROJECT}}
SERVER = pod(**labels.server("chat", "a" * 12))
PREPARATION = pod(**labels.preparation("chat", "a" * 12))
OTHER_SERVER = pod(**labels.server("code", "b" * 12))
CLIENT, STRANGER, NEIGHBOUR = pod("web"), pod("elsewhere"), pod()
OUTSIDE = None
"""No pod of the cluster: the store, the Hub, the API server."""


def selects(selector, marks):
    holds = {
        "In": lambda e: marks.get(e["key"]) in e["values"],
        "NotIn": lambda e: marks.get(e["key"]) not in e["values"],
    }
    return selector.get("matchLabels", {}).items() <= marks.items() and all(
        holds[e["operator"]](e) for e in selector.get("matchExpressions", ())
    )


def meets(peer, one):
    if one is OUTSIDE:
        return False
    if "namespaceSelector" in peer:
        return selects(peer["namespaceSelector"], {network.NAMESPACE_NAME: one["namespace"]})
    return one["namespace"] == HERE and selects(peer["podSelector"], one["labels"])


def lets(policies, direction, ends, protocol, port):
    """Whether the one end may have the connection, as far as its own policies go."""
    this, other = ends
    peers = {"Ingress": "from", "Egress": "to"}[direction]
    if this is OUTSIDE or this["namespace"] != HERE:
        return True
    specs = [p["spec"] for p in policies if direction in p["spec"]["policyTypes"]]
    ours = [spec for spec in specs if selects(spec["podSelector"], this["labels"])]
    rules = [rule for spec in ours for rule in spec.get(direction.lower(), ())]
    return not ours or any(
        {"protocol": protocol, "port": port} in rule["ports"]
        and (peers not in rule or any(meets(peer, other) for peer in rule[peers]))
        for rule in rules
    )


def reaches(policies, sender, receiver, port, protocol="TCP"):
    return lets(policies, "Egress", (sender, receiver), protocol, port) and lets(
        policies, "Ingress", (receiver, sender), protocol, port
    )


TO_ALL = network.policies(HERE, [9000], ())
TO_WEB = network.policies(HERE, [9000], ("web",))


@pytest.mark.parametrize("policies", [TO_ALL, TO_WEB], ids=["every client", "named clients"])
@pytest.mark.parametrize(
    ("sender", "receiver", "port", "may"),
    [
        (STEP, OUTSIDE, 443, True),
        (STEP, OUTSIDE, 6443, True),
        (STEP, OUTSIDE, 9000, True),
        (STEP, OUTSIDE, 22, False),
        (UNMARKED_STEP, OUTSIDE, 443, True),
        (STEP, SERVER, 8000, True),
        (STEP, SERVER, 443, False),
        (STEP, NEIGHBOUR, 8000, False),
        (SERVER, OUTSIDE, 443, False),
        (PREPARATION, OUTSIDE, 443, False),
        (PREPARATION, SERVER, 8000, False),
        (CLIENT, PREPARATION, 8000, False),
        (SERVER, OTHER_SERVER, 8000, False),
        (SERVER, STEP, 8000, False),
        (CLIENT, SERVER, 8000, True),
        (CLIENT, SERVER, 22, False),
        (CLIENT, STEP, 8000, False),
        (STRANGER, STEP, 8000, False),
        (OUTSIDE, STEP, 443, False),
        (OUTSIDE, SERVER, 8000, False),
        (CLIENT, NEIGHBOUR, 8000, True),
    ],
)
def test_who_reaches_whom_whoever_the_clients_are(policies, sender, receiver, port, may):
    assert reaches(policies, sender, receiver, port) == may


def test_clients_that_are_not_named_reach_nothing_once_some_are():
    for sender in (STRANGER, NEIGHBOUR):
        assert reaches(TO_ALL, sender, SERVER, 8000)
        assert not reaches(TO_WEB, sender, SERVER, 8000)


def test_names_are_found_by_steps_alone():
    for protocol in ("UDP", "TCP"):
        assert reaches(TO_ALL, STEP, OUTSIDE, 53, protocol)
        assert not reaches(TO_ALL, SERVER, OUTSIDE, 53, protocol)
        assert not reaches(TO_ALL, PREPARATION, OUTSIDE, 53, protocol)
