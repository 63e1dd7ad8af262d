"""A namespace's runs by the Kubernetes API alone, for which nothing but a kubeconfig is needed."""

import time
from collections.abc import Iterator
from dataclasses import dataclass

from steps.clients.kube.api import POD, WORKFLOW, Api
from steps.core import argo
from steps.core.argo import Json
from steps.errors import Missing
from workflows.argo.again import ACTION, again

NODE = "workflows.argoproj.io/node-id"
"""Annotation of a pod."""


@dataclass(frozen=True)
class Direct:
    """Implements ``Access``."""

    api: Api

    @property
    def namespace(self) -> str:
        return self.api.namespace

    def submit(self, workflow: Json) -> Json:
        return self.api.create(WORKFLOW, workflow)

    def get(self, name: str) -> Json | None:
        return self.api.get(WORKFLOW, name)

    def watch(self, name: str, version: str, seconds: float) -> Iterator[Json]:
        return self.api.watch(WORKFLOW, name, version, seconds)

    def stop(self, name: str) -> None:
        self._shut_down(name, "Stop")

    def terminate(self, name: str) -> None:
        self._shut_down(name, "Terminate")

    def retry(self, name: str) -> Json:
        """Pods first, as Argo does it: a pod of the same name would be taken for the new attempt's."""
        workflow = self.get(name)
        if workflow is None:
            raise Missing(f"there is no run {name} in namespace {self.namespace}")
        fresh = again(workflow, time.time())
        for pod in self.api.list(POD, labels=f"{argo.RUN}={name}"):
            if pod["metadata"].get("annotations", {}).get(NODE) in fresh.dropped:
                self.api.delete(POD, pod["metadata"]["name"], uid=pod["metadata"]["uid"])
        return self.api.replace(WORKFLOW, fresh.workflow)

    def _shut_down(self, name: str, strategy: str) -> None:
        self.api.patch(WORKFLOW, name, {"metadata": {"labels": {ACTION: strategy}}, "spec": {"shutdown": strategy}})
