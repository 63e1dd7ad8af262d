"""A namespace with Argo in it, in which scenarios are played on a real controller."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from steps.clients.kube.api import POD, SECRET, WORKFLOW, Api, Json
from steps.core import argo
from tests.cluster.scripted import staged
from tests.cluster.scripted.played import parameters
from tests.cluster.scripted.scenario import Interruption, Scenario, Script
from tests.stubs.rendered import BUILDERS
from workflows.argo.access import Access
from workflows.cluster import rights
from workflows.cluster.kinds import kind_of
from workflows.cluster.parts import DATA
from workflows.pods import HUB_SECRET, TemplateConfig

DEADLINE_SECONDS = 420.0
CONTROLLER_SECONDS = 60.0
POLL_SECONDS = 0.5
CANARY = "hf_CANARYcanaryCANARYcanary"
"""The token that a step has in its environment and nobody shall see."""
EXECUTOR = "wait"
"""How Argo calls its own container."""
OLD_ENOUGH_SECONDS = 11.0
"""A pod that is deleted in its first ten seconds is made again as the same attempt."""


T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class House:
    """``access`` is how a person reaches the runs, ``api`` how the tests look at what is there."""

    api: Api
    access: Access
    image: str
    """With ``python`` in it."""

    def furnish(self) -> None:
        """Accounts and rights are those of ``install``."""
        for body in (*rights.accounts(self.api.namespace, ()), *rights.roles(self.api.namespace), staged.program()):
            self._apply(body)
        secret = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": HUB_SECRET},
            "stringData": {"HF_TOKEN": CANARY},
        }
        self.api.apply(SECRET, secret, force=True)

    def is_looked_after(self) -> bool:
        """Whether a controller takes up what is submitted here, within a minute; no pod is needed for that."""
        nothing = {"name": "nothing", "suspend": {"duration": "1"}}
        spec = {"entrypoint": "nothing", "serviceAccountName": DATA, "templates": [nothing]}
        metadata = {"generateName": "is-anybody-there-"}
        body = {"apiVersion": argo.API_VERSION, "kind": WORKFLOW.name, "metadata": metadata, "spec": spec}
        name = self.api.create(WORKFLOW, body)["metadata"]["name"]
        try:
            self.until(lambda: self.run(name).get("status", {}).get("phase"), CONTROLLER_SECONDS)
        except AssertionError:
            return False
        finally:
            self.remove(name)
        return True

    def play(self, scenario: Scenario) -> list[tuple[Json, str]]:
        """The Workflow as it was at the end of each of its lives, each with its executor; it is gone then."""
        name = self.begin(scenario)
        try:
            if scenario.interruption:
                self.interrupt(name, scenario.interruption)
            lives = [(self.end(name), self.executor(name))]
            if scenario.again is not None:
                self.tell(scenario, scenario.again)
                self.access.retry(name)
                lives.append((self.end(name), self.executor(name)))
        finally:
            self.remove(name)
        return lives

    def begin(self, scenario: Scenario, **given: str) -> str:
        """Its run's name; ``given`` are parameters."""
        self.prepare(scenario)
        told = {**parameters(scenario, _manifest(scenario)), **given}
        run = argo.workflow(staged.template_name(scenario), told, generate_name=f"{scenario.name}-")
        name: str = self.access.submit(run)["metadata"]["name"]
        return name

    def prepare(self, scenario: Scenario) -> None:
        """What a run of it needs."""
        self.tell(scenario, scenario.script)
        self._apply(staged.staged(_manifest(scenario), scenario, self.image))

    def tell(self, scenario: Scenario, life: Script) -> None:
        """What its steps shall do from now on."""
        self._apply(staged.script(scenario, life))

    def interrupt(self, name: str, interruption: Interruption) -> None:
        pod = self.until(lambda: self.at_work(name, interruption.step))
        match interruption.deed:
            case "Stop":
                self.access.stop(name)
            case "Terminate":
                self.access.terminate(name)
            case "delete pod":
                time.sleep(OLD_ENOUGH_SECONDS)
                self.api.delete(POD, pod["metadata"]["name"])

    def began(self, name: str) -> set[str]:
        """The steps that there are pods of."""
        pods = self.api.list(POD, labels=f"{argo.RUN}={name}")
        return {pod["metadata"]["labels"]["app.kubernetes.io/component"] for pod in pods}

    def at_work(self, name: str, step: str) -> Json | None:
        """The pod in which the step runs now."""
        labels = f"{argo.RUN}={name},app.kubernetes.io/component={step}"
        return next((pod for pod in self.api.list(POD, labels=labels) if _runs(pod)), None)

    def waits(self, name: str) -> Json | None:
        """The Workflow, once it waits for its turn behind another."""
        workflow = self.run(name)
        return workflow if argo.run(workflow).message.startswith("waits for") else None

    def run(self, name: str) -> Json:
        workflow = self.api.get(WORKFLOW, name)
        assert workflow, f"run {name} was deleted"
        return workflow

    def end(self, name: str) -> Json:
        """When all is over, the controller's last word included."""
        return self.until(lambda: w if _is_over(w := self.run(name)) else None)

    def executor(self, name: str) -> str:
        """The image of Argo's own container beside the run's steps; empty where no pod is left to see."""
        pods = self.api.list(POD, labels=f"{argo.RUN}={name}")
        containers = (container for pod in pods for container in pod["spec"]["containers"])
        return next((str(container["image"]) for container in containers if container["name"] == EXECUTOR), "")

    def remove(self, name: str) -> None:
        """With its pods."""
        self.api.delete(WORKFLOW, name)

    def until(self, look: Callable[[], T | None], seconds: float = DEADLINE_SECONDS) -> T:
        """What it sees at last."""
        deadline = time.monotonic() + seconds
        while (seen := look()) is None:
            assert time.monotonic() < deadline, "waited in vain"
            time.sleep(POLL_SECONDS)
        return seen

    def _apply(self, body: Json) -> None:
        self.api.apply(kind_of(body), body, force=True)


def _manifest(scenario: Scenario) -> Json:
    told = TemplateConfig(retry_base_seconds=scenario.retry_base_seconds)
    built: Json = BUILDERS[scenario.template](told).to_dict()
    return built


def _runs(pod: Json) -> bool:
    """Its main container, for long enough to hear a signal."""
    statuses = {s["name"]: s for s in pod["status"].get("containerStatuses", ())}
    state: Json = statuses.get("main", {}).get("state", {})
    return "running" in state


def _is_over(workflow: Json) -> bool:
    labels: Json = workflow["metadata"].get("labels", {})
    return labels.get("workflows.argoproj.io/completed") == "true"
