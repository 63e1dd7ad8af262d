"""A step's pod as Argo would make it: the compiled template, filled in.

Read in argoproj/argo-workflows v4.1.2, workflow/controller/workflowpod.go. Of Argo's own containers there is one that
does nothing, in the place of ``wait``: the kubelet empties a pod's volumes when its last container has ended, and by
then the outputs must have been read.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from steps.clients.kube.api import Json
from tests.cluster.kubernetes.layout import PAUSE
from workflows import argument
from workflows.local.substitute import fill

WORKFLOW_LABEL = "workflows.argoproj.io/workflow"
MAIN = "main"
WAIT = "wait"
RUN_VOLUME = "var-run-argo"
RUN_DIRECTORY = "/var/run/argo"


@dataclass(frozen=True, slots=True)
class Owner:
    """The Workflow that the pods belong to."""

    name: str
    uid: str


def pod(manifest: Mapping[str, Any], template: str, inputs: Mapping[str, str], owner: Owner, name: str) -> Json:
    """The pod of one attempt of a template; ``name`` is its node's, as ``deploy(0)``."""
    spec = manifest["spec"]
    compiled = next(t for t in spec["templates"] if t["name"] == template)
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": _metadata(spec, compiled, owner, name),
        "spec": {
            "restartPolicy": "Never",
            "serviceAccountName": compiled.get("serviceAccountName", spec["serviceAccountName"]),
            "securityContext": spec["securityContext"],
            "activeDeadlineSeconds": compiled["activeDeadlineSeconds"],
            "containers": [_main(compiled["container"], inputs), _wait(spec)],
            "volumes": _volumes(spec, compiled["container"]),
        },
    }


def _metadata(spec: Mapping[str, Any], compiled: Mapping[str, Any], owner: Owner, name: str) -> Json:
    shared, own = spec.get("podMetadata", {}), compiled.get("metadata", {})
    argos = {WORKFLOW_LABEL: owner.name, "workflows.argoproj.io/completed": "false"}
    workflow = {"apiVersion": "argoproj.io/v1alpha1", "kind": "Workflow", "name": owner.name, "uid": owner.uid}
    return {
        "generateName": f"{owner.name}-{compiled['name']}-",
        "labels": {**shared.get("labels", {}), **own.get("labels", {}), **argos},
        "annotations": {**own.get("annotations", {}), "workflows.argoproj.io/node-name": f"{owner.name}.{name}"},
        "ownerReferences": [{**workflow, "controller": True, "blockOwnerDeletion": True}],
    }


def _main(container: Mapping[str, Any], inputs: Mapping[str, str]) -> Json:
    scope = {argument.expression(name): value.replace("$", "$$") for name, value in inputs.items()}
    progress = {"name": "ARGO_PROGRESS_FILE", "value": f"{RUN_DIRECTORY}/progress"}
    return {
        **container,
        "name": MAIN,
        "args": [fill(text, scope) for text in container["args"]],
        "env": [*container.get("env", ()), progress],
        "volumeMounts": [*container["volumeMounts"], {"name": RUN_VOLUME, "mountPath": RUN_DIRECTORY}],
    }


def _wait(spec: Mapping[str, Any]) -> Json:
    """With what the template's patch says of Argo's own container."""
    patches = {c["name"]: c for c in json.loads(spec["podSpecPatch"])["containers"]}
    return {**patches[WAIT], "image": PAUSE, "imagePullPolicy": "IfNotPresent"}


def _volumes(spec: Mapping[str, Any], container: Mapping[str, Any]) -> list[Json]:
    """Those that it mounts, and no others: a step that does not mount the claim must not wait for it."""
    mounted = {mount["name"] for mount in container["volumeMounts"]}
    return [*(v for v in spec["volumes"] if v["name"] in mounted), {"name": RUN_VOLUME, "emptyDir": {}}]
