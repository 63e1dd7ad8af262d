"""A directory of this machine as the volume of a namespace's models, and the claim that is bound to it."""

from pathlib import Path

from steps.clients.kube.api import CLAIM, VOLUME, Api, Json, Kind
from tests.cluster.suite.node import until

NAME = "models"
SIZE = {"storage": "100Gi"}
SHARED = ["ReadWriteMany"]
SECONDS = 120.0


def bind(api: Api, directory: Path) -> None:
    """Return once it is bound, which is no matter of luck here: the claim names no volume, and comes when that is free.

    Kubernetes' binder gives up a claim whose volume changes while it looks, and looks again only 15 s later, perhaps
    several times.
    """
    api.apply(VOLUME, _volume(api.namespace, directory))
    until(lambda: _phase(api, VOLUME, api.namespace) == "Available", SECONDS)
    api.apply(CLAIM, _claim())
    until(lambda: _phase(api, CLAIM, NAME) == "Bound", SECONDS)


def remove(api: Api) -> None:
    """Its claim goes with the namespace."""
    api.delete(VOLUME, api.namespace)


def _phase(api: Api, kind: Kind, name: str) -> str:
    found = api.get(kind, name) or {}
    return str(found.get("status", {}).get("phase", ""))


def _volume(namespace: str, directory: Path) -> Json:
    """As an NFS export: any node can write to it, it outlasts whoever uses it, and no other claim gets it."""
    spec = {
        "capacity": SIZE,
        "accessModes": SHARED,
        "persistentVolumeReclaimPolicy": "Retain",
        "storageClassName": "",
        "hostPath": {"path": str(directory), "type": "Directory"},
        "claimRef": {**CLAIM.header, "namespace": namespace, "name": NAME},
    }
    return {**VOLUME.header, "metadata": {"name": namespace}, "spec": spec}


def _claim() -> Json:
    spec = {"resources": {"requests": SIZE}, "accessModes": SHARED, "storageClassName": ""}
    return {**CLAIM.header, "metadata": {"name": NAME}, "spec": spec}
