"""Stands in for Argo's controller where there is none: carries out the Workflows of a namespace by the local engine.

It takes thin Workflows that refer to a template, runs each step as a real pod (see ``pod``), writes what happens into
the Workflow (see ``status``), and hears ``spec.shutdown`` and a Workflow's deletion; one that is suspended it leaves
alone. It knows nothing that the local engine does not know: no retry of a run that has ended, no archive, and no second
look at a pod that was deleted in its first seconds. That Argo itself does the same is for the Argo suite to show.
"""

import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from steps.clients.kube.api import WORKFLOW, WORKFLOW_TEMPLATE, Api, Json
from steps.core.run import Run
from steps.errors import Missing, StepError, Transient
from tests.cluster.conductor import status
from tests.cluster.conductor.attempt import PodAttempt
from tests.cluster.conductor.pod import Owner, pod
from workflows.local.attempt import Launch
from workflows.local.engine import Engine
from workflows.local.environment import Sources

POLL_SECONDS = 0.3
PATIENCE_SECONDS = 120.0
"""With an API server that does not answer."""


@dataclass
class Conductor:
    """Used with ``with``; at its end nothing that it started goes on. ``home`` holds the engine's files and locks."""

    api: Api
    home: Path
    kubelet: Path
    problems: list[str] = field(default_factory=list)
    """What no Workflow could be told; a test ends with none."""
    _engines: dict[str, Engine | None] = field(default_factory=dict)
    """By uid, of every Workflow seen; None once it has ended, or where it never began."""
    _shutdowns: dict[str, str] = field(default_factory=dict)
    """By uid, with which strategy it is being ended."""
    _threads: list[threading.Thread] = field(default_factory=list)
    _over: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Self:
        self._start(self._conduct)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, err: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        for engine in filter(None, self._engines.values()):
            engine.terminate()
        for thread in self._threads:
            thread.join(PATIENCE_SECONDS)

    def _conduct(self) -> None:
        while not self._over.wait(POLL_SECONDS):
            with suppress(Transient):
                self._look()

    def _look(self) -> None:
        there = {workflow["metadata"]["uid"]: workflow for workflow in self.api.list(WORKFLOW)}
        for uid, workflow in there.items():
            if uid not in self._engines:
                self._engines[uid] = None
                if not _is_left_alone(workflow):
                    self._begin(workflow)
            elif engine := self._engines[uid]:
                self._heed(uid, engine, workflow["spec"].get("shutdown", ""))
        for uid in self._engines.keys() - there.keys():
            if engine := self._engines[uid]:
                self._heed(uid, engine, "Terminate")

    def _heed(self, uid: str, engine: Engine, shutdown: str) -> None:
        self._shutdowns[uid] = shutdown
        if shutdown == "Stop":
            engine.stop()
        elif shutdown == "Terminate":
            engine.terminate()

    def _begin(self, workflow: Json) -> None:
        name, uid = workflow["metadata"]["name"], workflow["metadata"]["uid"]
        try:
            manifest = self._template(workflow["spec"]["workflowTemplateRef"]["name"])
            engine = Engine(manifest, self.home, NOTHING, self._told, start=self._starter(manifest, Owner(name, uid)))
        except StepError as err:
            self._refuse(name, err)
            return
        self._engines[uid] = engine
        self._patch(name, {"status": {"storedWorkflowTemplateSpec": manifest["spec"]}})
        self._start(self._carry_out, engine, workflow)

    def _carry_out(self, engine: Engine, workflow: Json) -> None:
        metadata = workflow["metadata"]
        given = workflow["spec"].get("arguments", {}).get("parameters", ())
        try:
            engine.run({p["name"]: p["value"] for p in given}, metadata["name"], metadata["uid"])
        except StepError as err:
            self._refuse(metadata["name"], err)
        finally:
            self._engines[metadata["uid"]] = None

    def _template(self, name: str) -> Json:
        found = self.api.get(WORKFLOW_TEMPLATE, name)
        if found is None:
            raise Missing(f'workflowtemplates.argoproj.io "{name}" not found')
        return {**found, "metadata": {"name": name}}

    def _starter(self, manifest: Mapping[str, Any], owner: Owner) -> Callable[[Launch], PodAttempt]:
        def start(launch: Launch) -> PodAttempt:
            task, _, number = launch.name.rpartition(".")
            body = pod(manifest, launch.template, launch.inputs, owner, f"{task}({number})")
            return PodAttempt(
                self.api, launch, body, self.kubelet, lambda: self._shutdowns.get(owner.uid) or "Terminate"
            )

        return start

    def _told(self, run: Run) -> None:
        self._patch(run.name, status.change(run))

    def _refuse(self, name: str, err: StepError) -> None:
        labels = {status.PHASE: "Error", status.COMPLETED: "true"}
        self._patch(name, {"metadata": {"labels": labels}, "status": {"phase": "Error", "message": str(err)}})

    def _patch(self, name: str, change: Json) -> None:
        """Whatever the API server is at; the run waits as long."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                self.api.patch(WORKFLOW, name, change)
            except Transient:
                if time.monotonic() > deadline:
                    raise
                time.sleep(POLL_SECONDS)
            except StepError as err:
                if not _deleted(err):
                    self.problems.append(f"{name}: {err}")
                return
            else:
                return

    def _start(self, target: Callable[..., None], *args: object) -> None:
        thread = threading.Thread(target=target, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()


NOTHING = Sources(config_maps={"vllm-promote": {}}, secrets={}, environ={})
"""The pods find theirs in the cluster."""


def _is_left_alone(workflow: Json) -> bool:
    completed = workflow["metadata"].get("labels", {}).get(status.COMPLETED) == "true"
    return completed or bool(workflow["spec"].get("suspend"))


def _deleted(err: StepError) -> bool:
    """A Workflow that was deleted while it ran has nobody to be told."""
    return isinstance(err, Missing)
