"""A cluster's configuration, and what install puts there, for tests that need either."""

from pathlib import Path
from typing import Any

from steps.clients.kube.api import Json
from tests.stubs.kube import FakeApi
from workflows.cluster.kinds import kind_of
from workflows.cluster.objects import objects
from workflows.config import Config

CATALOG = "# Ours.\ndeployments:\n  chat: {model: org/chat}\n  code: {model: org/code, image: 'quay.example/vllm:v1'}\n"


def configuration(directory: Path, **keys: Any) -> Config:
    """With a small catalog in ``directory``; the environment plays no part."""
    catalog = directory / "catalog.yaml"
    if not catalog.exists():
        catalog.write_text(CATALOG)
    return Config(**{"namespace": "models", "catalog": catalog, **keys})


def put(api: FakeApi, body: Json) -> Json:
    return api.apply(kind_of(body), body)


def install(api: FakeApi, config: Config) -> None:
    for body in objects(config):
        put(api, body)
