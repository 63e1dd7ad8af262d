"""What the objects of a deployment carry in a cluster, so that they are found again and known for ours.

Keys under ``app.kubernetes.io/`` are the ones that Kubernetes recommends. A label's value is at most 63 characters of
few kinds, so the model's id and commit are annotations.
"""

from collections.abc import Mapping

PROJECT = "vllm-promote"

NAME = "app.kubernetes.io/name"
INSTANCE = "app.kubernetes.io/instance"
"""The deployment."""
COMPONENT = "app.kubernetes.io/component"
PART_OF = "app.kubernetes.io/part-of"
MANAGED_BY = "app.kubernetes.io/managed-by"
RELEASE = "vllm-promote/release"
"""The release's id, on its Deployment and pods; in the Service's selector, the one that clients reach."""

DEPLOYMENT = "vllm-promote/deployment"
"""Label of a run: what it is about, to filter runs by."""

RECORD = "vllm-promote/record"
OWNER = "vllm-promote/owner"
"""Annotation: uid of the run that may change this Deployment, or has begun this preparation."""
RECORD_VERSION = "vllm-promote/record-version"
"""Annotation: resourceVersion of the record that allowed the last change of this Deployment."""
RELEASE_DOCUMENT = "vllm-promote/release-document"
"""Annotation: canonical JSON of the release."""
MEASURED = "vllm-promote/measured"
"""Annotation: canonical JSON of what smoke tests have measured of the release."""
REPLICAS = "vllm-promote/replicas"
"""Annotation: how many replicas our last change asked for."""
SPEC = "vllm-promote/spec"
"""Annotation: digest of the rest of the spec as our last change found it, which it left as it was."""
MODEL = "vllm-promote/model"
COMMIT = "vllm-promote/commit"

ENDPOINT, MODEL_SERVER, PREPARATION = "endpoint", "model-server", "preparation"
NO_RELEASE = "none"
"""What RELEASE is in the selector of an endpoint that leads nowhere: no release has this id."""

OURS = f"{PART_OF}={PROJECT}"
"""Selector of all that belongs to the project."""
ENDPOINTS = f"{OURS},{COMPONENT}={ENDPOINT}"
"""Selector of the Services that are deployments' endpoints."""


def endpoint(deployment: str) -> dict[str, str]:
    """Labels of a deployment's Service."""
    return _labels(deployment, ENDPOINT)


def server(deployment: str, release_id: str) -> dict[str, str]:
    """Labels of a release's Deployment and of its pods."""
    return {**_labels(deployment, MODEL_SERVER), RELEASE: release_id}


def preparation(deployment: str, release_id: str) -> dict[str, str]:
    """Labels of what makes a node ready for a release, and of its pod, which no Service and no Deployment selects."""
    return {**_labels(deployment, PREPARATION), RELEASE: release_id}


def preparations(deployment: str) -> dict[str, str]:
    """Which of those are a deployment's."""
    return {PART_OF: PROJECT, INSTANCE: deployment, COMPONENT: PREPARATION}


def pods(deployment: str, release_id: str) -> dict[str, str]:
    """Which pods are a release's: the selector of its Deployment, and of a Service that leads to it."""
    return {INSTANCE: deployment, COMPONENT: MODEL_SERVER, RELEASE: release_id}


def servers(deployment: str) -> dict[str, str]:
    """Which Deployments are a deployment's releases."""
    return {PART_OF: PROJECT, INSTANCE: deployment, COMPONENT: MODEL_SERVER}


def selector(labels: Mapping[str, str]) -> str:
    """As the API server's ``labelSelector`` takes it."""
    return ",".join(f"{key}={value}" for key, value in labels.items())


def _labels(deployment: str, component: str) -> dict[str, str]:
    return {
        NAME: "vllm",
        INSTANCE: deployment,
        COMPONENT: component,
        PART_OF: PROJECT,
        MANAGED_BY: PROJECT,
    }
