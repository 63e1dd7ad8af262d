"""The pods of a release in a cluster, and what keeps each of them from being ready."""

from dataclasses import dataclass

from steps.clients.kube import events
from steps.clients.kube.api import POD, Api, Json
from steps.core import labels, pod_state
from steps.core.pod_state import State
from steps.core.workload import PORT
from steps.errors import Conflict
from steps.ports.clock import Clock
from steps.ports.serving import Pod

REFUSED_SECONDS = 30.0
"""From when on the cluster's refusal to make a pod is final: a webhook may be away for a moment."""
ON_NODES = "spec.nodeName!=,status.phase!=Succeeded,status.phase!=Failed"
"""Selector of the pods that hold something."""
LOOKS = 5
"""At pods that change: a node tells twice within a second or so that a container has ended and is not started again."""
ENDED_FOR_GOOD = 2
"""So many evicted pods, and fewer that serve than are wanted, are no accident."""


@dataclass(frozen=True)
class ReleasePods:
    api: Api
    deployment: str
    clock: Clock

    def all(self, release_id: str) -> list[Json]:
        """Oldest first; those that are being ended, and those that have ended, among them."""
        selector = labels.selector(labels.pods(self.deployment, release_id))
        return sorted(self.api.list(POD, labels=selector), key=_age)

    def nodes(self, release_id: str) -> tuple[str, ...]:
        """Where some of it runs, in order."""
        running = (p for p in self.all(release_id) if not (pod_state.is_ending(p) or pod_state.has_ended(p)))
        return tuple(sorted({p["spec"]["nodeName"] for p in running if p["spec"].get("nodeName")}))

    def look(self, release_id: str, workload: Json | None) -> tuple[Pod, ...]:
        """Those that are not on their way out; where one is wanting, what tells why."""
        found = [p for p in self.all(release_id) if not pod_state.is_ending(p)]
        pods = tuple(self._pod(release_id, p) for p in found if not pod_state.has_ended(p))
        wanted = int(workload["spec"].get("replicas", 0)) if workload else 0
        if workload is None or sum(p.ready for p in pods) >= wanted:
            return pods
        ended = [p for p in found if pod_state.has_ended(p)]
        if len(ended) >= ENDED_FOR_GOOD:
            return (*pods, _ended(release_id, ended))
        return pods if len(pods) >= wanted else (*pods, *self._refused(release_id, workload))

    def clear(self, release_id: str) -> None:
        """Have those that will not be ready by themselves replaced; what goes is only what was looked at.

        One that changed meanwhile is ready by now, or it loads, or it is another, or its node told more of its failure:
        the next look tells.
        """
        for _ in range(LOOKS):
            left = [self._replaced(pod) for pod in self.all(release_id) if self._will_not_be_ready(pod)]
            if all(left):
                return

    def _will_not_be_ready(self, pod: Json) -> bool:
        return pod_state.has_ended(pod) or self._state(pod).failure is not None

    def _replaced(self, pod: Json) -> bool:
        """Whether it was still as it was looked at."""
        seen = pod["metadata"]
        try:
            self.api.delete(POD, seen["name"], version=seen["resourceVersion"], uid=seen["uid"])
        except Conflict:
            return False
        return True

    def _pod(self, release_id: str, pod: Json) -> Pod:
        state = self._state(pod)
        address = pod.get("status", {}).get("podIP")
        return Pod(
            uid=pod["metadata"]["uid"],
            name=pod["metadata"]["name"],
            release_id=release_id,
            url=_url(address) if address else None,
            ready=state.ready,
            failure=state.failure,
            waiting=state.waiting,
            unplaced=pod_state.is_unscheduled(pod),
        )

    def _state(self, pod: Json) -> State:
        told = events.about(self.api, pod["metadata"]["uid"]) if pod_state.is_prepared(pod) else ()
        neighbours = self.api.list(POD, fields=ON_NODES) if pod_state.is_unscheduled(pod) else ()
        return pod_state.state(pod, told, neighbours, self.clock.now())

    def _refused(self, release_id: str, workload: Json) -> tuple[Pod, ...]:
        """It stands for the pods that there are not, under the Deployment's uid."""
        if (why := pod_state.refusal(workload)) is None:
            return ()
        since = pod_state.refused_since(workload)
        late = since is not None and self.clock.now() - since > REFUSED_SECONDS
        told = {"failure": why} if late else {"waiting": why}
        uid = workload["metadata"]["uid"]
        return (Pod(uid=uid, release_id=release_id, url=None, ready=False, unplaced=True, **told),)


def _ended(release_id: str, ended: list[Json]) -> Pod:
    why = f"{len(ended)} of its pods were ended, the last one: {pod_state.ended(ended[-1])}"
    return Pod(uid=ended[-1]["metadata"]["uid"], release_id=release_id, url=None, ready=False, failure=why)


def _url(address: str) -> str:
    return f"http://[{address}]:{PORT}" if ":" in address else f"http://{address}:{PORT}"


def _age(pod: Json) -> tuple[str, str]:
    return pod["metadata"]["creationTimestamp"], pod["metadata"]["name"]
