"""Serving in a cluster: the record is an annotation, the pointer a selector, a release a Deployment.

Service DEPLOYMENT                 see ``record``
Deployment DEPLOYMENT-RELEASE_ID   see ``workloads``; its pods: ``pods``, ``logs``
"""

import json
import logging
from dataclasses import dataclass

from steps.clients.clock import SystemClock
from steps.clients.kube import cluster, owners, room
from steps.clients.kube.api import FIELD_MANAGER, SERVICE, Api, Json
from steps.clients.kube.logs import Logs
from steps.clients.kube.pods import ReleasePods
from steps.clients.kube.preparations import Preparations
from steps.clients.kube.record import ServiceRecord
from steps.clients.kube.workloads import Workloads
from steps.core import deployed, labels, meddling, pod_state, workload
from steps.core import measured as measurements
from steps.core import release as releases
from steps.core.measured import Measured
from steps.core.names import check_deployment
from steps.core.record import Record
from steps.core.release import Release
from steps.core.workload import GRACE_SECONDS, Where
from steps.errors import BadInput, Conflict, Corrupt, Lingering
from steps.ports.clock import Clock
from steps.ports.serving import Held, Place, Pod
from steps.settings import Settings

GONE_SECONDS = GRACE_SECONDS + 45.0
"""For a pod to end: its own grace, and what its node takes to tell."""
POLL_SECONDS = 0.5
LOOK_SECONDS = 1.0
"""A look is a handful of requests, and a probe comes every other second."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class KubeServing:
    """One deployment."""

    api: Api
    deployment: str
    where: Where
    clock: Clock

    @property
    def url(self) -> str:
        return f"http://{self.deployment}.{self.api.namespace}.svc"

    @property
    def poll_seconds(self) -> float:
        return LOOK_SECONDS

    def read(self) -> Held:
        return self.record.read()

    def swap(self, held: Held, record: Record) -> Held:
        return self.record.swap(held, record, held.target)

    def point(self, held: Held, record: Record, target: str | None) -> Held:
        return self.record.swap(held, record, target)

    def release(self, release_id: str) -> Release | None:
        found = self._found(release_id)
        return _release(found) if found else None

    def ensure(self, release: Release, replicas: int, owner: str) -> None:
        self.workloads.ensure(workload.deployment(release, self.where), replicas, owner)
        self.pods_of.clear(release.release_id)

    def prepare(self, release: Release, beside: str, seconds: float, owner: str) -> tuple[Place, ...]:
        return self.preparations.look(release, self.pods_of.nodes(beside), seconds, owner)

    def unprepare(self, owner: str | None) -> None:
        self.preparations.end(owner)

    def stop(self, release_id: str, owner: str, *, anew: bool = False) -> None:
        self.workloads.stop(release_id, owner, anew=anew)
        self._wait_until_gone(release_id)  # also of one that somebody deleted: its pods outlive it
        self.pods_of.clear(release_id)

    def remove(self, release_id: str, owner: str) -> None:
        self.stop(release_id, owner)
        self.workloads.delete(release_id, owner)

    def remember(self, release_id: str, measured: Measured, owner: str) -> None:
        self.workloads.note(release_id, {labels.MEASURED: measured.dump()}, owner)

    def measured(self, release_id: str) -> Measured | None:
        found = self._found(release_id)
        said = found["metadata"].get("annotations", {}).get(labels.MEASURED) if found else None
        try:
            return measurements.parse(said, f"annotation {labels.MEASURED} of release {release_id}") if said else None
        except Corrupt as err:
            log.warning("%s", err)
            return None

    def meddled(self, release_id: str | None) -> tuple[str, ...]:
        if release_id is None:
            return self.record.meddled()
        if (found := self._found(release_id)) is None:
            return ()
        release = _release(found)
        made = workload.deployment(release, self.where) if release else None
        return tuple(change.sentence for change in meddling.changes(found, made, FIELD_MANAGER))

    def replicas(self, release_id: str) -> int:
        found = self._found(release_id)
        return int(found["spec"].get("replicas", 0)) if found else 0

    def pods(self, release_id: str) -> tuple[Pod, ...]:
        return self.pods_of.look(release_id, self._found(release_id))

    def releases(self) -> tuple[str, ...]:
        found = (w["metadata"]["labels"].get(labels.RELEASE) for w in self.workloads.all())
        return tuple(sorted(filter(None, found)))  # without one it is somebody else's

    def log_tail(self, release_id: str, lines: int) -> str:
        return Logs(self.api, self.pods_of).tail(release_id, lines)

    def device_seen(self, uid: str) -> str | None:
        return Logs(self.api, self.pods_of).device(uid)

    def owner_alive(self, owner: str) -> bool:
        return owners.alive(self.api, owner)

    def run_of(self, owner: str) -> str | None:
        return owners.run_of(self.api, owner)

    def check_room(self, release: Release) -> None:
        room.check(self.api, self.where.claim, release)

    def elsewhere(self, release_id: str) -> str | None:
        found = self._found(release_id)
        theirs, ours = deployed.claim(found) if found else None, self.where.claim
        if theirs in (None, ours):
            return None
        name, namespace = workload.name(self.deployment, release_id), self.api.namespace
        return (
            f"Deployment {name} reads claim {theirs}, and the steps prove what is on claim {ours}; install with "
            f"claim = {theirs} again, or to move it have its files on claim {ours}, remove it with `kubectl -n "
            f"{namespace} delete deployment {name}`, which ends it where it serves, and promote it again"
        )

    @property
    def record(self) -> ServiceRecord:
        return ServiceRecord(self.api, self.deployment)

    @property
    def workloads(self) -> Workloads:
        return Workloads(self.api, self.record)

    @property
    def pods_of(self) -> ReleasePods:
        return ReleasePods(self.api, self.deployment, self.clock)

    @property
    def preparations(self) -> Preparations:
        return Preparations(self.api, self.deployment, self.where, self.clock)

    def _found(self, release_id: str) -> Json | None:
        return self.workloads.find(release_id)

    def _wait_until_gone(self, release_id: str) -> None:
        """Raises Conflict where somebody starts it again meanwhile, Lingering where a pod does not end."""
        until = self.clock.now() + GONE_SECONDS
        while True:
            found = self._found(release_id)
            left = [p for p in self.pods_of.all(release_id) if not pod_state.has_ended(p)]
            if not left and (found is None or deployed.is_at_rest(found)):
                return
            if found is not None and found["spec"].get("replicas"):
                raise Conflict(f"release {release_id} of {self.deployment} was started again while it was stopped")
            if self.clock.now() >= until:
                raise Lingering(_lingering(release_id, self.deployment, left))
            self.clock.sleep(POLL_SECONDS)


def connect(settings: Settings, deployment: str) -> KubeServing:
    """Raises BadInput, Missing: no cluster is known here."""
    where = Where(claim=settings.claim, volume=str(settings.volume.absolute()), image=settings.image)
    api = cluster.connect(settings.cluster_namespace)
    return KubeServing(api, check_deployment(deployment), where, SystemClock())


def deployments(api: Api) -> tuple[str, ...]:
    """Names of all that have an endpoint of ours, in order."""
    return tuple(sorted(s["metadata"]["name"] for s in api.list(SERVICE, labels=labels.ENDPOINTS)))


def _release(found: Json) -> Release | None:
    """None as well for an annotation that somebody damaged, which promoting the release anew mends."""
    try:
        return releases.from_json(json.loads(found["metadata"]["annotations"][labels.RELEASE_DOCUMENT]))
    except (ValueError, KeyError, TypeError, BadInput) as err:
        log.warning("Deployment %s does not tell its release (%r)", found["metadata"]["name"], err)
        return None


def _lingering(release_id: str, deployment: str, left: list[Json]) -> str:
    names = ", ".join(f"{p['metadata']['name']} on node {p['spec'].get('nodeName', 'none')}" for p in left)
    return (
        f"release {release_id} of {deployment} has not ended after {GONE_SECONDS:.0f} s ({names or 'no pod is left'}); "
        "see whether its node answers: a pod is never taken for gone because its node is silent"
    )
