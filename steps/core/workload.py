"""A release as Kubernetes runs it: an apps/v1 Deployment, whose pod template never changes once it is there.

The pod meets the "restricted" Pod Security Standard. It reads the claim of all models, writes into memory and an
emptyDir, asks no Hub, holds no token of the cluster; an API key comes from the Secret that the steps have it from.
"""

import json
from dataclasses import dataclass
from typing import Any

from steps.core import canonical, compile_cache, labels
from steps.core.names import slug
from steps.core.release import Release

Json = dict[str, Any]

ACCOUNT = "vllm-promote-model"
"""Service account of model servers; it may do nothing."""
API_KEY, API_KEY_SECRET = "VLLM_API_KEY", "vllm-api-key"
CONTAINER, PORT = "vllm", 8000
GPU = "nvidia.com/gpu"
USER = 1000
"""uid and gid, as the models on the volume have them."""

PRE_STOP_SECONDS = 15
"""For clients' proxies to learn that the pod ends, before it does."""
DRAIN_SECONDS = 45
"""What vLLM gives the requests in flight; it would cut them at once."""
GRACE_SECONDS = 75
"""From the wish that it ends to the kill: longer than both."""
PROBE_SECONDS = 2
"""Between two looks: an outage is longer by as much."""
START_SECONDS = 24 * 3600
"""When the node starts a server anew that only loads. How long a start may take is for the step to say, which can
change: the pod template cannot."""
SHM_SIZE = "2Gi"
"""Unless the catalog says otherwise; workers of one model talk through it."""
TEMPORARY = "/tmp"  # noqa: S108  # the pod's own
NEVER = 2**31 - 1
"""Kubernetes' word for a deadline that there is not: ours is the step's."""

RESTRICTED_POD: Json = {
    "runAsNonRoot": True,
    "runAsUser": USER,
    "runAsGroup": USER,  # else 0
    "seccompProfile": {"type": "RuntimeDefault"},
}
"""What the "restricted" Pod Security Standard asks of a pod, and of its containers."""
RESTRICTED: Json = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "readOnlyRootFilesystem": True,
}
SERVER = ("python3", "-m", "vllm.entrypoints.openai.api_server")
_ALWAYS = {"HF_HUB_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1"}
OURS = frozenset((*_ALWAYS, "VLLM_HOST_IP", API_KEY))
"""Variables of the model server that nobody else sets."""
_UNLESS_SAID_OTHERWISE = {"HOME": TEMPORARY, "USER": "vllm"}
"""No entry in the image's /etc/passwd has our uid, and torch asks for both."""
_ON_THE_CPU = {"VLLM_TARGET_DEVICE": "cpu", "VLLM_CPU_KVCACHE_SPACE": "1"}
_FROM_THE_CATALOG = ("nodeSelector", "affinity", "runtimeClassName", "priorityClassName", "imagePullSecrets")
"""Keys of the pod patch that are a PodSpec's, taken as they are."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Where:
    """``claim`` is mounted at ``volume``."""

    claim: str
    volume: str
    image: str = ""
    """Ours, for what reads files ahead; empty where none is known."""


def name(deployment: str, release_id: str) -> str:
    """Of a release's Deployment: 53 characters at most."""
    return f"{deployment}-{release_id}"


def deployment(release: Release, around: Where) -> Json:
    """As it is created: with no replicas, so that its first start is a change like every other."""
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {
            "name": name(release.deployment, release.release_id),
            "labels": labels.server(release.deployment, release.release_id),
            "annotations": {
                labels.MODEL: release.model,
                labels.COMMIT: release.commit,
                labels.RELEASE_DOCUMENT: canonical.dump(release.to_json()).decode(),
            },
        },
        "spec": {
            "replicas": 0,
            "selector": {"matchLabels": labels.pods(release.deployment, release.release_id)},
            "strategy": {"type": "Recreate"},
            "revisionHistoryLimit": 1,
            "progressDeadlineSeconds": NEVER,
            "template": {
                "metadata": {"labels": labels.server(release.deployment, release.release_id)},
                "spec": _pod(release, around),
            },
        },
    }


def root(release: Release, volume: str) -> str:
    """The directory of its weights, as its pods see it."""
    return f"{volume}/{slug(release.model)}/{release.commit}"


def cache_claim(release: Release) -> str | None:
    return next(iter(compile_cache.claims(_patch(release))), None)


def requests(release: Release) -> dict[str, str]:
    """Of one replica, by resource, as the scheduler counts them: a limit without a request is one as well."""
    wanted: dict[str, str] = _resources(release, _patch(release))["requests"]
    return wanted


def tolerations(release: Release) -> list[Json]:
    """Nodes with GPUs are kept free of all that does not tolerate them."""
    ours = [{"key": GPU, "operator": "Exists"}] if release.serving.gpus else []
    return [*ours, *_patch(release).get("tolerations", [])]


def defaults(release: Release) -> dict[str, str]:
    """Variables without which its program does not even begin, unless the catalog says otherwise."""
    return {**_UNLESS_SAID_OTHERWISE, **(_ON_THE_CPU if release.serving.device == "cpu" else {})}


def placement(release: Release) -> Json:
    """The parts of its pod patch that say on which nodes it may run, and with what its image is pulled there."""
    patch, keys = _patch(release), ("nodeSelector", "affinity", "imagePullSecrets")
    return {key: patch[key] for key in keys if patch.get(key)}


def _pod(release: Release, around: Where) -> Json:
    patch = _patch(release)
    return {
        "serviceAccountName": ACCOUNT,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,  # they become variables, and vLLM reads what begins with VLLM_
        "securityContext": RESTRICTED_POD,
        "terminationGracePeriodSeconds": GRACE_SECONDS,
        "tolerations": tolerations(release),
        **{key: patch[key] for key in _FROM_THE_CATALOG if patch.get(key)},
        "containers": [_container(release, around, patch)],
        "volumes": [
            {"name": "models", "persistentVolumeClaim": {"claimName": around.claim}},
            {"name": "tmp", "emptyDir": {}},
            {"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": patch.get("shmSize") or SHM_SIZE}},
            *({"name": "cache", "persistentVolumeClaim": {"claimName": c}} for c in compile_cache.claims(patch)),
        ],
    }


def _container(release: Release, around: Where, patch: Json) -> Json:
    return {
        "name": CONTAINER,
        "image": release.serving.image,
        "imagePullPolicy": "IfNotPresent",
        "command": list(SERVER),  # whatever the image would start by itself
        "args": [_literally(arg) for arg in _arguments(release, around.volume)],
        "workingDir": TEMPORARY,
        "env": _environment(release, patch),
        "ports": [{"name": "http", "containerPort": PORT}],
        "resources": _resources(release, patch),
        "securityContext": RESTRICTED,
        "volumeMounts": [
            {"name": "models", "mountPath": around.volume, "readOnly": True},
            {"name": "tmp", "mountPath": TEMPORARY},
            {"name": "shm", "mountPath": "/dev/shm"},  # noqa: S108  # the pod's own
            *({"name": "cache", "mountPath": compile_cache.MOUNT} for _ in compile_cache.claims(patch)),
        ],
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "lifecycle": {"preStop": {"sleep": {"seconds": PRE_STOP_SECONDS}}},
        **_probes(),
    }


def _arguments(release: Release, volume: str) -> tuple[str, ...]:
    """The catalog's come last."""
    return (
        *("--model", root(release, volume), "--served-model-name", release.serving.served_name),
        *("--host", "0.0.0.0", "--port", str(PORT)),
        *("--load-format", "safetensors"),  # the one that was checked, whatever lies beside it
        *("--shutdown-timeout", str(DRAIN_SECONDS)),
        *release.serving.args,
    )


def _environment(release: Release, patch: Json) -> list[Json]:
    """By name, each once; the catalog's win over the defaults and lose against what must be."""
    kept = compile_cache.variables(release) if compile_cache.claims(patch) else {}
    wanted: list[Json] = [
        *({"name": n, "value": v} for n, v in {**defaults(release), **kept}.items()),
        *patch.get("env", []),
        *({"name": n, "value": v} for n, v in _ALWAYS.items()),
        {"name": "VLLM_HOST_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
        {
            "name": API_KEY,
            "valueFrom": {"secretKeyRef": {"name": API_KEY_SECRET, "key": API_KEY, "optional": True}},
        },
    ]
    return list({variable["name"]: variable for variable in wanted}.values())


def _resources(release: Release, patch: Json) -> Json:
    said = patch.get("resources", {})
    gpus = {GPU: str(release.serving.gpus)} if release.serving.gpus else {}
    limits = {**said.get("limits", {}), **gpus}
    return {"limits": limits, "requests": {**limits, **said.get("requests", {}), **gpus}}


def _probes() -> Json:
    """A busy server is silent for long; a dead one is found by its process."""
    health: Json = {"httpGet": {"path": "/health", "port": PORT}, "timeoutSeconds": 5}
    return {
        "startupProbe": {**health, "periodSeconds": PROBE_SECONDS, "failureThreshold": START_SECONDS // PROBE_SECONDS},
        "readinessProbe": {**health, "periodSeconds": PROBE_SECONDS, "failureThreshold": 3},
        "livenessProbe": {**health, "periodSeconds": 10, "timeoutSeconds": 10, "failureThreshold": 30},
    }


def _literally(arg: str) -> str:
    """Kubernetes would put a variable's value in place of $(NAME); a doubled dollar is a dollar."""
    return arg.replace("$", "$$")


def _patch(release: Release) -> Json:
    patch: Json = json.loads(release.serving.pod)
    return patch
