"""The nodes of a cluster on which a release is made ready to start; the Job that does it is described in the core.

It is an extra: where the cluster does not let us, that is told, and the release starts as it would without. What the
cluster's own controllers do with the Job is all there is of it, so one that nobody waits for any longer goes by itself.
"""

import logging
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass

from steps.clients.kube import events
from steps.clients.kube.api import JOB, POD, Api, Json
from steps.core import labels, pod_state, preparation
from steps.core.pod_state import State
from steps.core.preparation import NO_POD_SECONDS
from steps.core.release import Release
from steps.core.workload import Where
from steps.errors import BadInput, Conflict, Denied
from steps.ports.clock import Clock
from steps.ports.serving import Place

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Preparations:
    """Of one deployment."""

    api: Api
    deployment: str
    where: Where
    clock: Clock

    def look(self, release: Release, nodes: Iterable[str], seconds: float, owner: str) -> tuple[Place, ...]:
        """Begins what is not begun."""
        try:
            begun, pods = self._begun(), self._pods(release)
            return tuple(
                self._begin(release, node, seconds, owner) if job is None else self._place(node, job, pods)
                for node in nodes
                for job in [begun.get(preparation.name(self.deployment, release.release_id, node))]
            )
        except (Denied, BadInput) as err:
            return (Place(name="nowhere", done=True, said=f"this cluster does not let it be prepared: {err}"),)

    def end(self, owner: str | None) -> None:
        """What this run has begun; with None all there is."""
        try:
            for name, job in self._begun().items():
                if owner in (None, preparation.owner(job)):
                    with suppress(Conflict):  # that has ended, and somebody has begun another
                        self.api.delete(JOB, name, uid=job["metadata"]["uid"])
        except Denied as err:  # then there are none of ours either
            log.debug("%s", err)

    def _begin(self, release: Release, node: str, seconds: float, owner: str) -> Place:
        with suppress(Conflict):  # somebody else has begun it just now
            self.api.create(JOB, preparation.job(release, self.where, node, seconds, owner))
        return Place(name=node, done=False, startable=False, said="its image is asked for")

    def _place(self, node: str, job: Json, pods: Mapping[str, Json]) -> Place:
        pod = pods.get(job["metadata"]["uid"])
        state, pulled = self._state(job, pod), pod is not None and preparation.is_pulled(pod)
        return Place(name=node, done=state.ready, startable=pulled, problem=state.failure, said=state.waiting or "")

    def _state(self, job: Json, pod: Json | None) -> State:
        if why := preparation.ended(job):
            return State(ready=True, waiting=f"what prepared it has ended: {why}")
        if pod is not None:
            return preparation.state(pod, events.about(self.api, pod["metadata"]["uid"]), self.clock.now())
        age = self.clock.now() - (pod_state.seconds(job["metadata"]["creationTimestamp"]) or 0.0)
        said = "no pod is made for it, for want of quota or by a policy: see its Job's events"
        return State(ready=age > NO_POD_SECONDS, waiting=said if age > NO_POD_SECONDS else "its image is asked for")

    def _begun(self) -> dict[str, Json]:
        ours = labels.selector(labels.preparations(self.deployment))
        return {job["metadata"]["name"]: job for job in self.api.list(JOB, labels=ours)}

    def _pods(self, release: Release) -> dict[str, Json]:
        """By the Job's uid: what an ended one has left behind tells nothing of the next one of the same name."""
        ours = labels.selector(labels.preparations(self.deployment) | {labels.RELEASE: release.release_id})
        there = (pod for pod in self.api.list(POD, labels=ours) if not pod_state.is_ending(pod))
        return {owner["uid"]: pod for pod in there for owner in pod["metadata"].get("ownerReferences", ())}
