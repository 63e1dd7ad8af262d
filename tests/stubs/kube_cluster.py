"""What makes a cluster of an API in memory: controllers that make pods of Deployments, a node that runs them."""

from dataclasses import dataclass, field
from itertools import count

from steps.clients.kube.api import DEPLOYMENT, JOB, POD, Json, Kind
from steps.core import labels
from steps.core.preparation import HOLDER
from steps.core.workload import CONTAINER
from tests.stubs.kube import FakeApi

STARTED = "INFO engine: Initializing with device_config=cpu\nINFO Application startup complete.\n"
CRASHED = "Traceback (most recent call last):\nValueError: the stub was told to crash\n"
NODE = "node-1"


@dataclass
class FakeCluster:
    """``crashing`` are release ids whose pods end as they start, ``absent`` images that no registry has."""

    api: FakeApi
    crashing: set[str] = field(default_factory=set)
    absent: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._numbers = count(1)
        self.api.after = self._act

    def crash(self, uid: str) -> None:
        """For good: it was started again twice."""
        pod = next(p for p in self.api.list(POD) if p["metadata"]["uid"] == uid)
        name = pod["metadata"]["name"]
        self.api.tell(POD, name, crash_loop(pod["status"]["podIP"]))
        self.api.logs[name, False] = CRASHED

    def _act(self, kind: Kind) -> None:
        if kind in (DEPLOYMENT, POD):
            for deployment in self.api.list(DEPLOYMENT):
                self._reconcile(deployment)
        if kind is JOB:
            for job in self.api.list(JOB):
                self._run(job)

    def _run(self, job: Json) -> None:
        """A pod of its own, once."""
        name, template = f"{job['metadata']['name']}-x", job["spec"]["template"]
        if self.api.get(POD, name) is not None:
            return
        owner = {"ownerReferences": [{"uid": job["metadata"]["uid"]}]}
        status = {"phase": "Running", "containerStatuses": [self._there(c) for c in template["spec"]["containers"]]}
        body = {"metadata": {"name": name, **template["metadata"], **owner}, "spec": template["spec"], "status": status}
        self.api.create(POD, body)

    def _there(self, container: Json) -> Json:
        if container["image"] in self.absent:
            return {"name": container["name"], "state": {"waiting": {"reason": "ErrImagePull", "message": "not found"}}}
        holds = container["name"] == HOLDER
        state = {"running": {}} if holds else {"terminated": {"exitCode": 0, "message": "all is in memory"}}
        return {"name": container["name"], "state": state}

    def _reconcile(self, deployment: Json) -> None:
        pods, wanted = self._pods(deployment), deployment["spec"]["replicas"]
        for _ in range(wanted - len(pods)):
            self._start(deployment)
        for pod in reversed(pods[wanted:]):
            self.api.delete(POD, pod["metadata"]["name"])
        status = {"observedGeneration": deployment["metadata"]["generation"]}
        if left := len(self._pods(deployment)):
            status["replicas"] = left
        self.api.tell(DEPLOYMENT, deployment["metadata"]["name"], status)

    def _pods(self, deployment: Json) -> list[Json]:
        """As its controller counts them, oldest first."""
        selector = labels.selector(deployment["spec"]["selector"]["matchLabels"])
        found = (p for p in self.api.list(POD, labels=selector) if "deletionTimestamp" not in p["metadata"])
        running = [p for p in found if p["status"]["phase"] not in ("Failed", "Succeeded")]
        return sorted(running, key=lambda pod: pod["metadata"]["creationTimestamp"])

    def _start(self, deployment: Json) -> None:
        number, template = next(self._numbers), deployment["spec"]["template"]
        name, release_id = (
            f"{deployment['metadata']['name']}-{number:05}",
            template["metadata"]["labels"][labels.RELEASE],
        )
        crashes = release_id in self.crashing
        self.api.logs[name, False] = CRASHED if crashes else STARTED
        self.api.create(
            POD,
            {
                "metadata": {
                    "name": name,
                    "labels": template["metadata"]["labels"],
                    "ownerReferences": [{"uid": deployment["metadata"]["uid"]}],
                },
                "spec": {**template["spec"], "nodeName": NODE},
                "status": crash_loop(f"10.0.0.{number}") if crashes else serving(f"10.0.0.{number}"),
            },
        )


UNSCHEDULED: Json = {
    "phase": "Pending",
    "conditions": [
        {
            "type": "PodScheduled",
            "status": "False",
            "reason": "Unschedulable",
            "message": "0/1 nodes are available: 1 Insufficient nvidia.com/gpu.",
        }
    ],
}


def serving(address: str) -> Json:
    container = {"name": CONTAINER, "restartCount": 0, "state": {"running": {}}}
    return _status(address, container, ready="True")


def pending(address: str) -> Json:
    return {"phase": "Pending", "podIP": address, "conditions": [{"type": "PodScheduled", "status": "True"}]}


def loading(address: str) -> Json:
    status = serving(address)
    status["containerStatuses"] = [{"name": CONTAINER, "restartCount": 0, "state": {"running": {}}}]
    return {**status, "conditions": [{"type": "PodScheduled", "status": "True"}, {"type": "Ready", "status": "False"}]}


def crash_loop(address: str, restarts: int = 2) -> Json:
    waiting = {"reason": "CrashLoopBackOff", "message": "back-off 20s restarting failed container"}
    ended = {"exitCode": 1, "reason": "Error"}
    state = {"state": {"waiting": waiting}, "lastState": {"terminated": ended}}
    return _status(address, {"name": CONTAINER, "restartCount": restarts, **state}, ready="False")


def _status(address: str, container: Json, ready: str) -> Json:
    conditions = [{"type": "PodScheduled", "status": "True"}, {"type": "Ready", "status": ready}]
    return {"phase": "Running", "podIP": address, "conditions": conditions, "containerStatuses": [container]}
