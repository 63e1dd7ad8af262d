"""A cluster in memory whose controllers and nodes take their time, by the clock of the steps.

What somebody changes shows at the next tick, as it would: a Deployment's controller sees it later, a pod is scheduled
where there is room, starts, loads and is ready, and once it is to end it outlives that for a while; on a node that is
lost, until that is back or removed.
"""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count

from steps.clients.kube.api import DEPLOYMENT, JOB, POD, Json, Kind
from steps.core import labels
from tests.stubs.kube import FakeApi
from tests.stubs.kube_cluster import CRASHED, NODE, STARTED, UNSCHEDULED, crash_loop, loading, pending, serving
from tests.stubs.scene import FakeClock

FOR_EVER = 10**9
"""Looks that a deleted pod outlives: this cluster's own clock ends it."""
PLENTY = 10**9
START_SECONDS, LOAD_SECONDS, GRACE_SECONDS = 1.0, 2.0, 3.0


@dataclass
class LivingClock(FakeClock):
    """Whoever sleeps lets the cluster live."""

    ticks: list[Callable[[], None]] = field(default_factory=list)

    def sleep(self, seconds: float) -> None:
        super().sleep(seconds)
        for tick in self.ticks:
            tick()


@dataclass
class LivingCluster:
    """``ends`` says of a pod's weights (``ORG--NAME/COMMIT``) whether its server ends as it starts.

    ``room`` is for so many model servers on each node, of which ``lost`` ones say nothing any more.
    """

    clock: LivingClock
    ends: Callable[[str], bool] = lambda _weights: False
    room: dict[str, int] = field(default_factory=lambda: {NODE: PLENTY})
    lost: set[str] = field(default_factory=set)
    api: FakeApi = field(default_factory=lambda: FakeApi(ending=FOR_EVER))

    def __post_init__(self) -> None:
        self._numbers = count(1)
        self._began: dict[str, float] = {}
        """When a pod's server was started last."""
        self._ends: dict[str, float] = {}
        """When a pod was first seen to be on its way out."""
        self.addresses: dict[str, str] = {}
        """Of all pods that a node ever took, to their release."""
        self._templates: dict[tuple[str, int], str] = {}
        self.clock.ticks.append(self.tick)

    def objects(self, kind: Kind) -> dict[str, Json]:
        """As they are kept, by name: not to be changed."""
        return {name: body for (plural, name), body in self.api._objects.items() if plural == kind.plural}

    def pods(self, release_id: str | None = None) -> list[Json]:
        """All of the model servers', those on their way out among them; of one release or of all."""
        found = self._all(labels.MODEL_SERVER)
        return [p for p in found if release_id in (None, p["metadata"]["labels"][labels.RELEASE])]

    def tick(self) -> None:
        for name, deployment in self.objects(DEPLOYMENT).items():
            self._control(name, deployment)
        for pod in self.pods():
            self._run(pod)
        for name, job in self.objects(JOB).items():
            self._prepare(name, job)
        for pod in self._all(labels.PREPARATION):
            if _ending(pod):
                self.api.gone(pod["metadata"]["name"])

    def lose_pods(self) -> None:
        """Their node is gone, and with it what ran there."""
        for pod in self.pods():
            self.api.gone(pod["metadata"]["name"])

    def lose_node(self, node: str) -> None:
        """Nobody hears of it any more: its pods are told to end, others take their place, and they linger."""
        self.lost.add(node)
        for pod in self.pods():
            if pod["spec"].get("nodeName") == node:
                self._end(pod)

    def node_is_back(self, node: str) -> None:
        """It ends what it was told to end."""
        self.lost.discard(node)

    def node_is_removed(self, node: str) -> None:
        """By a person, or by whoever rents it out: then the cluster forgets what was on it."""
        self.lost.discard(node)
        del self.room[node]
        for pod in self.pods():
            if pod["spec"].get("nodeName") == node:
                self.api.gone(pod["metadata"]["name"])

    def _control(self, name: str, deployment: Json) -> None:
        """As with strategy Recreate: pods of another template end before new ones are made."""
        living = [p for p in self._of(deployment) if not _ending(p)]
        stale = [p for p in living if p["metadata"]["template"] != self._template(deployment)]
        wanted, uid = deployment["spec"]["replicas"], deployment["metadata"]["uid"]
        for pod in [*stale, *reversed(living[wanted:])]:
            self._end(pod)
        fits = [p for p in living if p not in stale and not _ending(p)]
        if not stale:
            for _ in range(wanted - len(fits)):
                self._make(name, uid, deployment)
        counted = sum(not _ending(p) for p in self._of(deployment))
        generation = deployment["metadata"]["generation"]
        self.api.tell(
            DEPLOYMENT, name, {"observedGeneration": generation, **({"replicas": counted} if counted else {})}
        )

    def _prepare(self, name: str, job: Json) -> None:
        """A pod of its own, once, whose work is done at once; when its time is over it is removed with it."""
        now, template = self.clock.now(), job["spec"]["template"]
        uid = job["metadata"]["uid"]
        if now - self._began.setdefault(uid, now) >= job["spec"]["activeDeadlineSeconds"]:
            self._end_of(JOB, name)
        elif not any(_owner(p) == uid for p in self._all(labels.PREPARATION)):
            name, state = f"{name}-{next(self._numbers):05}", {"terminated": {"exitCode": 0}}
            metadata = {**template["metadata"], "name": name, "ownerReferences": [{"uid": uid}]}
            ended = [{"name": c["name"], "state": state} for c in template["spec"]["containers"]]
            status = {"phase": "Running", "containerStatuses": ended}
            self._create({"metadata": metadata, "spec": template["spec"], "status": status})

    def _all(self, component: str) -> list[Json]:
        return [p for p in self.objects(POD).values() if _component(p) == component]

    def _of(self, deployment: Json) -> list[Json]:
        uid = deployment["metadata"]["uid"]
        return [p for p in self.pods() if _owner(p) == uid]

    def _make(self, name: str, uid: str, deployment: Json) -> None:
        number, template = next(self._numbers), deployment["spec"]["template"]
        metadata = {
            "name": f"{name}-{number:05}",
            "labels": template["metadata"]["labels"],
            "ownerReferences": [{"uid": uid}],
            "template": self._template(deployment),
        }
        node = self._free_node()
        placed = {"nodeName": node} if node else {}
        status = self._taken(template, number) if node else UNSCHEDULED
        self._create({"metadata": metadata, "spec": {**template["spec"], **placed}, "status": status})
        self._began[metadata["name"]] = self.clock.now()

    def _taken(self, template: Json, number: int) -> Json:
        """The status of a pod that a node has just taken."""
        address = f"10.0.{number >> 8}.{number & 255}"
        self.addresses[address] = template["metadata"]["labels"][labels.RELEASE]
        return pending(address)

    def _free_node(self) -> str | None:
        held = [p["spec"].get("nodeName") for p in self.pods()]
        return next((n for n, room in self.room.items() if n not in self.lost and held.count(n) < room), None)

    def _schedule(self, pod: Json) -> None:
        if (node := self._free_node()) is None:
            return
        name = pod["metadata"]["name"]
        self.api.edit(POD, name, {"spec": {"nodeName": node}}, "kube-scheduler")
        self.api.tell(POD, name, self._taken(pod, int(name.rpartition("-")[2])))
        self._began[name] = self.clock.now()

    def _create(self, pod: Json) -> None:
        self.api._acting = True
        self.api.create(POD, pod)
        self.api._acting = False

    def _run(self, pod: Json) -> None:
        name, now = pod["metadata"]["name"], self.clock.now()
        node = pod["spec"].get("nodeName")
        if _ending(pod) or not self._is_owned(pod):
            self._end(pod)
            if node is None or (node not in self.lost and now - self._ends.setdefault(name, now) >= GRACE_SECONDS):
                self.api.gone(name)
            return
        if node is None:
            self._schedule(pod)
            return
        address = pod["status"]["podIP"]
        if now - self._began[name] < START_SECONDS:
            return
        if not ready(pod) and self.ends(weights_of(pod)):
            self._began[name] = now
            self._tell(name, crash_loop(address), CRASHED)
        elif now - self._began[name] < LOAD_SECONDS:
            self._tell(name, loading(address), "")
        else:
            self._tell(name, serving(address), STARTED)

    def _template(self, deployment: Json) -> str:
        metadata = deployment["metadata"]
        known = metadata["uid"], metadata["generation"]
        if known not in self._templates:
            text = json.dumps(deployment["spec"]["template"], sort_keys=True)
            self._templates[known] = hashlib.sha256(text.encode()).hexdigest()[:10]
        return self._templates[known]

    def _tell(self, name: str, status: Json, log: str) -> None:
        self.api.logs[name, False] = log
        self.api.tell(POD, name, status)

    def _is_owned(self, pod: Json) -> bool:
        uids = {d["metadata"]["uid"] for d in self.objects(DEPLOYMENT).values()}
        return _owner(pod) in uids

    def _end(self, pod: Json) -> None:
        self._end_of(POD, pod["metadata"]["name"])

    def _end_of(self, kind: Kind, name: str) -> None:
        with self.api._changed:
            self.api._end(kind.plural, name)


def ready(pod: Json) -> bool:
    """Whether a Service that selects it sends clients there."""
    conditions = pod["status"].get("conditions", [])
    return not _ending(pod) and any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


def weights_of(pod: Json) -> str:
    """``ORG--NAME/COMMIT`` as its server's command says."""
    arguments = pod["spec"]["containers"][0]["args"]
    return str(arguments[arguments.index("--model") + 1]).removeprefix("/models/")


def _component(pod: Json) -> str | None:
    found: str | None = pod["metadata"].get("labels", {}).get(labels.COMPONENT)
    return found


def _owner(pod: Json) -> str:
    return str(pod["metadata"]["ownerReferences"][0]["uid"])


def _ending(pod: Json) -> bool:
    return "deletionTimestamp" in pod["metadata"]
