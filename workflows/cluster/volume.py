"""The volume of the models: an NFS share, what a StorageClass makes, or a claim that is there already."""

from steps.clients.kube.api import CLAIM, VOLUME, Json
from steps.core.claim import SHARED
from workflows.cluster.parts import head
from workflows.cluster_keys import ClusterKeys

MOUNT_OPTIONS = ("nfsvers=4.1", "hard", "noatime")
"""``hard``: a server that is away for a minute must not look like a damaged file."""


def volume(keys: ClusterKeys, namespace: str) -> tuple[Json, ...]:
    """Nothing for a claim that is there already. What holds data is kept whatever is removed."""
    if keys.nfs:
        return _share(keys, namespace), _claim(keys, namespace, {"volumeName": share_name(keys, namespace)}, "")
    if keys.storage_class:
        return (_claim(keys, namespace, {}, keys.storage_class),)
    return ()


def share_name(keys: ClusterKeys, namespace: str) -> str:
    """Volumes have no namespace, so their names carry it."""
    return f"{namespace}-{keys.claim}"


def _share(keys: ClusterKeys, namespace: str) -> Json:
    """Bound to our claim alone, from the start: no other claim of the cluster may take it."""
    server, _, path = (keys.nfs or "").rpartition(":")
    return {
        **head(VOLUME, namespace, share_name(keys, namespace)),
        "spec": {
            "capacity": {"storage": keys.storage_size},
            "accessModes": [SHARED],
            "persistentVolumeReclaimPolicy": "Retain",
            "storageClassName": "",
            "claimRef": {
                "apiVersion": CLAIM.api_version,
                "kind": CLAIM.name,
                "namespace": namespace,
                "name": keys.claim,
            },
            "mountOptions": [*MOUNT_OPTIONS],
            "nfs": {"server": server.strip("[]"), "path": path},
        },
    }


def _claim(keys: ClusterKeys, namespace: str, bound_to: Json, storage_class: str) -> Json:
    return {
        **head(CLAIM, namespace, keys.claim),
        "spec": {
            "accessModes": [SHARED],
            "resources": {"requests": {"storage": keys.storage_size}},
            "storageClassName": storage_class,
            **bound_to,
        },
    }
