"""A namespace's runs by the Kubernetes API alone, for which nothing but a kubeconfig is needed."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from steps.clients.clock import SystemClock
from steps.clients.kube.api import POD, WORKFLOW, Api
from steps.core import argo
from steps.core.argo import Json
from steps.errors import Conflict, Missing
from steps.ports.clock import Clock
from workflows.argo.again import ACTION, again

NODE = "workflows.argoproj.io/node-id"
"""Annotation of a pod."""
POLL_SECONDS = 0.5
GOING_SECONDS = 60.0
"""Twice what Kubernetes gives a pod to end, for a step that takes no notice."""


@dataclass(frozen=True)
class Direct:
    """Implements ``Access``."""

    api: Api
    clock: Clock = field(default_factory=SystemClock)

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
        """Pods first, and not before they are gone: the controller takes one of the same name for the new attempt's.

        When that one ends after all, the run stands still (seen on v4.1.2, for minutes) until the controller looks at
        all runs anew: every 20 minutes (workflowResyncPeriod in its workflow/controller/controller.go).
        """
        workflow = self.get(name)
        if workflow is None:
            raise Missing(f"there is no run {name} in namespace {self.namespace}")
        fresh = again(workflow, self.clock.now())
        for pod in self._pods(name, fresh.dropped):
            self.api.delete(POD, pod["metadata"]["name"], uid=pod["metadata"]["uid"])
        self._see_them_gone(name, fresh.dropped)
        return self.api.replace(WORKFLOW, fresh.workflow)

    def _pods(self, run: str, nodes: frozenset[str]) -> list[Json]:
        found = self.api.list(POD, labels=f"{argo.RUN}={run}")
        return [pod for pod in found if pod["metadata"].get("annotations", {}).get(NODE) in nodes]

    def _see_them_gone(self, run: str, nodes: frozenset[str]) -> None:
        deadline = self.clock.now() + GOING_SECONDS
        while left := self._pods(run, nodes):
            if self.clock.now() > deadline:
                name = left[0]["metadata"]["name"]
                raise Conflict(f"pod {name} of run {run} is deleted and does not go; see its node, and try again then")
            self.clock.sleep(POLL_SECONDS)

    def _shut_down(self, name: str, strategy: str) -> None:
        self.api.patch(WORKFLOW, name, {"metadata": {"labels": {ACTION: strategy}}, "spec": {"shutdown": strategy}})
