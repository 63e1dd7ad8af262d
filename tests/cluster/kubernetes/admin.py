"""What the harness itself asks of the API server, as its administrator. Nothing that is to be tested lies between."""

import json
import ssl
import urllib.error
import urllib.request
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from tests.cluster.kubernetes.layout import API, NODE, Layout

JSON, MERGE = "application/json", "application/merge-patch+json"
SECONDS = 20.0
ACCOUNT = "/api/v1/namespaces/default/serviceaccounts/default"


def request(layout: Layout, method: str, path: str, body: object = None, kind: str = JSON) -> Any:
    """JSON, or text where the answer is none. Raises OSError where nobody answers, or with a refusal."""
    tls = ssl.create_default_context(cafile=layout.pki / "ca.crt")
    tls.load_cert_chain(layout.pki / "admin.crt", layout.pki / "admin.key")
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=tls))
    data = None if body is None else json.dumps(body).encode()
    asked = urllib.request.Request(API + path, data=data, method=method, headers={"Content-Type": kind})
    with opener.open(asked, timeout=SECONDS) as answer:
        text = answer.read().decode()
        return json.loads(text) if JSON in answer.headers.get("Content-Type", "") else text


def api_is_ready(layout: Layout) -> bool:
    return bool(request(layout, "GET", "/readyz") == "ok")


def node_is_ready(layout: Layout, since: float = 0) -> bool:
    """And was told so since then, in seconds since the epoch: what an earlier kubelet told stays for half a minute."""
    conditions = request(layout, "GET", f"/api/v1/nodes/{NODE}")["status"]["conditions"]
    return any(
        c["type"] == "Ready" and c["status"] == "True" and _seconds(c["lastHeartbeatTime"]) >= since for c in conditions
    )


def pods_can_start(layout: Layout) -> bool:
    """No pod is admitted before its namespace has a service account."""
    return bool(request(layout, "GET", ACCOUNT))


def advertise(layout: Layout, counts: Mapping[str, int]) -> None:
    """What a device plugin does to the node, without a device; it stays as long as the Node object does."""
    change = {"status": {"capacity": {name: str(count) for name, count in counts.items()}}}
    request(layout, "PATCH", f"/api/v1/nodes/{NODE}/status", change, MERGE)


def advertised(layout: Layout, counts: Mapping[str, int]) -> bool:
    """The scheduler goes by what the kubelet made of it."""
    allocatable = request(layout, "GET", f"/api/v1/nodes/{NODE}")["status"]["allocatable"]
    return all(allocatable.get(name) == str(count) for name, count in counts.items())


def _seconds(told: str) -> float:
    return datetime.fromisoformat(told).timestamp()
