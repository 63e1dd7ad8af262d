"""A release's Deployment that is there: what it tells, and how it is changed. How it is made is ``workload``'s."""

from collections.abc import Mapping
from typing import Any

from steps.core import labels, meddling

Json = dict[str, Any]


def change(found: Json, replicas: int, annotations: Mapping[str, str], owner: str, record_version: str) -> Json:
    """The one change that there is to a Deployment's spec, on the condition that it still is as it was ``found``."""
    stamped = {
        **annotations,
        labels.OWNER: owner,
        labels.RECORD_VERSION: record_version,
        labels.REPLICAS: str(replicas),
        labels.SPEC: meddling.digest(found),
    }
    return {**note(found, stamped), "spec": {"replicas": replicas}}


def note(found: Json, annotations: Mapping[str, str]) -> Json:
    """A change of what is written on it, on the same condition."""
    return {"metadata": {"resourceVersion": found["metadata"]["resourceVersion"], "annotations": {**annotations}}}


def is_ours(deployment: Json, ours: Mapping[str, str]) -> bool:
    """Whether it carries the labels of a release: one of them alone makes nothing of somebody else's ours to change."""
    return bool(ours.items() <= deployment["metadata"].get("labels", {}).items())


def claim(deployment: Json) -> str | None:
    """That its pods read the models from, for good: another one in our settings does not change it."""
    volumes = deployment["spec"]["template"]["spec"].get("volumes", ())
    found = (volume.get("persistentVolumeClaim", {}).get("claimName") for volume in volumes)
    return next(filter(None, found), None)


def is_at_rest(deployment: Json) -> bool:
    """Nobody wants replicas of it, its controller knows that, and none is left that it counts."""
    status = deployment.get("status", {})
    seen = status.get("observedGeneration", 0) >= deployment["metadata"].get("generation", 0)
    return seen and not deployment["spec"].get("replicas") and not status.get("replicas")
