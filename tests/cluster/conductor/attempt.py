"""An attempt of a step as a pod of the cluster; implements the local engine's ``Execution``."""

import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from steps.clients.kube.api import POD, Api, Json
from steps.errors import StepError, Transient
from tests.cluster.conductor.pod import MAIN, RUN_VOLUME
from workflows.local.attempt import Ending, Launch, gathered

POLL_SECONDS = 0.2
LOG_LINES = 1000


@dataclass
class PodAttempt:
    """Outputs and progress are read where the kubelet keeps them, on this machine: ``kubelet`` is its directory.

    A pod that the API server refuses is an Error, as in Argo, and so is one that somebody else deleted.
    """

    api: Api
    launch: Launch
    body: Json
    kubelet: Path
    strategy: Callable[[], str] = str
    """With which the run is being shut down: Stop, Terminate."""
    _pod: Json = field(default_factory=dict)
    _refused: Ending | None = None
    _stopped: bool = False
    _look_at: float = 0.0

    def __post_init__(self) -> None:
        self.launch.output_dir.mkdir(parents=True)
        try:
            self._pod = self.api.create(POD, self.body)
        except StepError as err:
            self._refused = Ending(phase="Error", exit_code=None, message=str(err), outputs={})

    def poll(self) -> Ending | None:
        if self._refused or time.monotonic() < self._look_at:
            return self._refused
        self._look_at = time.monotonic() + POLL_SECONDS
        try:
            return self._looked()
        except Transient:  # the API server restarts; the pod does not care
            return None

    def stop(self) -> None:
        """The kubelet sends SIGTERM, and SIGKILL when the grace is over."""
        if self._stopped or self._refused:
            return
        with contextlib.suppress(Transient):
            self.api.delete(POD, self._name, uid=self._uid)
            self._stopped = True

    def progress(self) -> str:
        with contextlib.suppress(OSError):
            return (self._volume(RUN_VOLUME) / "progress").read_text().strip()
        return ""

    def _looked(self) -> Ending | None:
        found = self.api.get(POD, self._name)
        if found is None or found["metadata"]["uid"] != self._uid:
            return self._gone()
        self._pod = found
        terminated = _state(found).get("terminated")
        if terminated is None and found["status"].get("phase") != "Failed":
            return None
        ending = self._ended(terminated or {}, found["status"])
        self.api.delete(POD, self._name, uid=self._uid)
        return ending

    def _ended(self, terminated: Json, status: Json) -> Ending:
        if status.get("reason"):  # DeadlineExceeded, Evicted
            code = terminated.get("exitCode")
            return Ending(phase="Failed", exit_code=code, message=str(status.get("message", "")), outputs={})
        self.launch.log.write_text(self.api.log(self._name, MAIN, LOG_LINES))
        self.launch.termination_log.write_text(terminated.get("message", ""))
        for output in self.launch.outputs:
            with contextlib.suppress(FileNotFoundError):
                written = (self._volume("tmp") / "outputs" / output.file).read_bytes()
                (self.launch.output_dir / output.file).write_bytes(written)
        return gathered(self.launch, terminated["exitCode"])

    def _gone(self) -> Ending:
        code = _state(self._pod).get("terminated", {}).get("exitCode")
        if self._stopped:
            said = f"workflow shutdown with strategy:  {self.strategy()}"  # two spaces, as Argo has them
            return Ending(phase="Failed", exit_code=code, message=said, outputs={})
        return Ending(phase="Error", exit_code=code, message="pod deleted", outputs={})

    def _volume(self, name: str) -> Path:
        return self.kubelet / "pods" / self._uid / "volumes" / "kubernetes.io~empty-dir" / name

    @property
    def _name(self) -> str:
        return str(self._pod["metadata"]["name"])

    @property
    def _uid(self) -> str:
        return str(self._pod["metadata"]["uid"])


def _state(pod: Json) -> dict[str, Any]:
    """Of its main container; empty before it has one."""
    statuses = {s["name"]: s for s in pod["status"].get("containerStatuses", ())}
    return dict(statuses.get(MAIN, {}).get("state", {}))
