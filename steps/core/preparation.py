"""What makes a node ready for a release while another still serves there: a Job whose pod asks for no device.

Its pod has three containers. One has the release's own image pulled, under the conditions under which its servers
will, and asks vLLM for its usage: that reads the program, gigabytes of it, into the node's memory. One reads the
model's files there. One waits: as long as the volume is mounted the node keeps what it has read of it, also while
neither the old server nor the new one is there. All end with the Job: when it is removed, or by itself.
"""

import hashlib
import math
from collections.abc import Sequence
from typing import Any

from steps.core import labels, pod_state, workload
from steps.core.pod_state import State
from steps.core.release import Release
from steps.core.workload import CONTAINER, Where
from steps.errors import Corrupt

Json = dict[str, Any]

READER, HOLDER = "reader", "holder"
FORGOTTEN_SECONDS = 60
"""After its end Kubernetes removes the Job."""
NO_POD_SECONDS = 30.0
"""A cluster that has made none by then refuses it: a quota, a policy."""
_PULLS = ("InvalidImageName", "ErrImageNeverPull", "ErrImagePull", "ImagePullBackOff")
_BEFORE = (*_PULLS, "ContainerCreating", "PodInitializing")
"""Why a container waits whose image is not there yet, as far as is known."""
_AMOUNTS = {"requests": {"cpu": "50m", "memory": "64Mi"}}
"""No limit: what is read counts as this pod's memory, and would be given up again at the limit."""


def name(deployment: str, release_id: str, node: str) -> str:
    """Of the Job: 60 characters at most, the same for whoever asks."""
    return f"{workload.name(deployment, release_id)}-{hashlib.sha256(node.encode()).hexdigest()[:6]}"


def job(release: Release, around: Where, node: str, seconds: float, begun_by: str) -> Json:
    """It ends after so many seconds at the latest, whoever has begun it and whatever became of them."""
    marks = labels.preparation(release.deployment, release.release_id)
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": name(release.deployment, release.release_id, node),
            "labels": marks,
            "annotations": {labels.OWNER: begun_by},
        },
        "spec": {
            "backoffLimit": 0,
            "activeDeadlineSeconds": math.ceil(seconds),
            "ttlSecondsAfterFinished": FORGOTTEN_SECONDS,
            "template": {"metadata": {"labels": marks}, "spec": _pod(release, around, node, seconds)},
        },
    }


def owner(job: Json) -> str | None:
    """The run that has begun it; None where it does not tell."""
    begun_by: str | None = job["metadata"].get("annotations", {}).get(labels.OWNER)
    return begun_by


def state(pod: Json, events: Sequence[Json], now: float) -> State:
    """Of a pod that is not on its way out. ``failure``: its image will never be there, or its files no longer are.

    Ready is also what will get no further; ``waiting`` then says why. A model server needs none of what is read ahead,
    so no other end of the reader decides; see ``is_pulled``.
    """
    if lost := _lost(pod):
        return State(ready=False, failure=lost)
    if pod_state.has_ended(pod):
        return State(ready=True, waiting=f"its pod has ended: {pod_state.ended(pod)}")
    image = _container(pod, CONTAINER)
    if _is_before(image):
        seen = pod_state.state(pod, events, now=now)
        return State(ready=False, failure=seen.failure, waiting=seen.waiting or "its image is being pulled")
    return _read(pod)


def is_pulled(pod: Json) -> bool:
    """Whether its image is there: whatever else is still being done makes its start quicker, and no more."""
    return not _is_before(_container(pod, CONTAINER))


def ended(job: Json) -> str | None:
    """Why there is nothing more to be had of it, None while there is."""
    conditions: list[Json] = job.get("status", {}).get("conditions") or []
    over = next((c for c in conditions if c["type"] in ("Complete", "Failed") and c["status"] == "True"), None)
    return None if over is None else str(over.get("message") or over.get("reason") or over["type"])


def _lost(pod: Json) -> str | None:
    """What its reader says of files that are no longer what was checked: no server could start from them."""
    end = _container(pod, READER).get("terminated", {})
    if end.get("exitCode") != Corrupt.exit_code:
        return None
    return end.get("message") or "its files are not what was checked"


def _read(pod: Json) -> State:
    """The image is there. How far its files are."""
    if "running" in _container(pod, CONTAINER):
        return State(ready=False, waiting="its image is there, and read into memory")
    if all(c["name"] != READER for c in pod["spec"]["containers"]):
        return State(ready=True, waiting="its image is there")
    status = _container(pod, READER)
    if end := status.get("terminated"):
        return State(ready=True, waiting=f"its image is there; {end.get('message') or _unread(end)}")
    reason = status.get("waiting", {}).get("reason", "")
    if reason not in _PULLS and (_is_before(status) or "running" in status):
        return State(ready=False, waiting="its image is there, its files are read into memory")
    return State(ready=True, waiting=f"its image is there; its files were not read, as that could not start: {reason}")


def _is_before(status: Json) -> bool:
    """It waits for its image, or nothing is told of it yet."""
    return not status or status.get("waiting", {}).get("reason") in _BEFORE


def _unread(end: Json) -> str:
    return f"its files were not all read: that ended with exit code {end.get('exitCode')}"


def _pod(release: Release, around: Where, node: str, seconds: float) -> Json:
    """Placed by name: it has to fit on this very node, which says so at once where it does not."""
    return {
        "nodeName": node,
        "restartPolicy": "Never",
        "serviceAccountName": workload.ACCOUNT,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": workload.RESTRICTED_POD,
        "terminationGracePeriodSeconds": 1,
        "tolerations": workload.tolerations(release),
        **workload.placement(release),
        "containers": [
            *(_ours(release, around, seconds) if around.image else ()),
            _usage(release, around),
        ],
        "volumes": [
            # As the server's own: an NFS that is mounted in another way has another cache.
            {"name": "models", "persistentVolumeClaim": {"claimName": around.claim}},
            {"name": "tmp", "emptyDir": {}},
        ],
    }


def _ours(release: Release, around: Where, seconds: float) -> tuple[Json, ...]:
    """First, so that they run while the other's image is pulled."""
    directory = workload.root(release, around.volume)
    return (
        _one(READER, around.image, around, ["python", "-m", "steps.warm", directory]),
        _one(HOLDER, around.image, around, ["sleep", str(math.ceil(seconds))]),
    )


def _usage(release: Release, around: Where) -> Json:
    env = [{"name": name, "value": value} for name, value in workload.defaults(release).items()]
    made = _one(CONTAINER, release.serving.image, around, [*workload.SERVER, "--help"])
    return {**made, "env": env, "workingDir": workload.TEMPORARY}


def _one(container: str, image: str, around: Where, command: list[str]) -> Json:
    return {
        "name": container,
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": command,
        "resources": _AMOUNTS,
        "securityContext": workload.RESTRICTED,
        "volumeMounts": [
            {"name": "models", "mountPath": around.volume, "readOnly": True},
            {"name": "tmp", "mountPath": workload.TEMPORARY},
        ],
        "terminationMessagePolicy": "FallbackToLogsOnError",
    }


def _container(pod: Json, wanted: str) -> Json:
    """Its state as its node tells; empty before that."""
    found: list[Json] = pod.get("status", {}).get("containerStatuses", [])
    state: Json = next((c.get("state", {}) for c in found if c["name"] == wanted), {})
    return state
