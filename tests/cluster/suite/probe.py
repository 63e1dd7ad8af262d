"""Pods as the project makes them, in which only the command is another: it looks around and tells what it saw."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from steps.clients.kube.api import POD, Api, Json
from tests.cluster.suite.node import until

PROGRAM = Path(__file__).with_name("look_around.py")
SECRETS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "HF_TOKEN", "VLLM_API_KEY")
SECONDS = 180.0
"""Ten pods start at once."""


@dataclass(frozen=True, kw_only=True)
class Seen:
    """By a process in a pod; see ``look_around``."""

    uid: int
    gid: int
    groups: list[int]
    writable: list[str]
    secrets: list[str]
    """Names of variables."""
    token: bool
    """Whether it is somebody to the API server."""
    reached: list[str]
    names: list[str]
    """Of the outside, that it can look up."""


def look_around(api: Api, specs: Mapping[str, Json]) -> dict[str, Seen]:
    """All of them at once; ``specs`` are PodSpecs by name, of which the first container counts."""
    names = {name: _start(api, spec) for name, spec in specs.items()}
    return {name: Seen(**json.loads(until(partial(_told, api, pod), SECONDS))) for name, pod in names.items()}


def _start(api: Api, spec: Json) -> str:
    container = {
        **spec["containers"][0],
        "command": ["python3", "-c", PROGRAM.read_text()],
        "args": [",".join(SECRETS)],
    }
    quiet = {
        k: v for k, v in container.items() if k not in ("lifecycle", "startupProbe", "readinessProbe", "livenessProbe")
    }
    body = {**spec, "restartPolicy": "Never", "containers": [quiet]}
    return str(
        api.create(POD, {**POD.header, "metadata": {"generateName": "probe-"}, "spec": body})["metadata"]["name"]
    )


def _told(api: Api, pod: str) -> str:
    """Empty until it has."""
    found = api.get(POD, pod)
    statuses: list[Json] = found["status"].get("containerStatuses", []) if found else []
    for status in statuses:
        if ended := status["state"].get("terminated"):
            assert ended["exitCode"] == 0, api.log(pod, status["name"], 20)
            return str(ended["message"])
    return ""
