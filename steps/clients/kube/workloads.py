"""The releases of a deployment in a cluster: one apps/v1 Deployment each, changed by the record's owner alone.

The fence. A change reads the Deployment, then the record, which must name this owner, and then writes on the condition
that the Deployment is still as it was read. It stamps the owner and the record's version, so a change that a newer
record allows always makes a newer Deployment, even where replicas stay as they were. A zombie that saw the record
before it was taken over writes either before the new owner's first write, who then finds what it did; or it is refused,
looks again, and finds the new owner. Making one knows no such condition, so it is made with no replicas: a zombie's
stays so, and is taken back by it when it looks again.
"""

import logging
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field

from steps.clients.kube.api import DEPLOYMENT, FIELD_MANAGER, Api, Json
from steps.clients.kube.record import ServiceRecord
from steps.core import deployed, guards, labels, meddling, workload
from steps.core.record import Record
from steps.errors import Conflict, Transient
from steps.ports.serving import Held

TRIES = 20
"""Its controllers write its status into the same object, quite often while pods come and go."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Workloads:
    api: Api
    record: ServiceRecord

    def all(self) -> list[Json]:
        return self.api.list(DEPLOYMENT, labels=labels.selector(labels.servers(self.record.deployment)))

    def find(self, release_id: str) -> Json | None:
        """None where there is none. Raises Conflict for one of that name that is not ours."""
        found = self.api.get(DEPLOYMENT, self._name(release_id))
        ours = labels.servers(self.record.deployment) | {labels.RELEASE: release_id}
        if found is not None and not deployed.is_ours(found, ours):
            raise Conflict(_foreign(self.api.namespace, self._name(release_id)))
        return found

    def ensure(self, made: Json, replicas: int, owner: str) -> None:
        """``made`` is what is there from now on; of one that is there, the annotations alone. Raises Conflict."""
        release_id, said = made["metadata"]["labels"][labels.RELEASE], made["metadata"]["annotations"]
        ours: Json | None = None
        for _ in range(TRIES):
            try:
                if self._scale(_Scale(release_id, replicas, annotations=said, made=made), owner) is not None:
                    return
            except Conflict:
                self._take_back(ours)
                raise
            self._mind_its_absence(release_id)
            with suppress(Conflict):  # somebody made it just now
                ours = self.api.create(DEPLOYMENT, made)
        raise self._restless(release_id)

    def _take_back(self, made: Json | None) -> None:
        """What was made by who turns out to have lost the record; whoever has changed it since may keep it."""
        if made is not None:
            seen = made["metadata"]
            with suppress(Conflict):
                self.api.delete(DEPLOYMENT, seen["name"], version=seen["resourceVersion"], uid=seen["uid"])

    def stop(self, release_id: str, owner: str, *, anew: bool) -> None:
        """Its pods then end. Raises Conflict unless the record shows this owner and allows it."""
        self._scale(_Scale(release_id, 0, anew=anew), owner)

    def _scale(self, wanted: "_Scale", owner: str) -> Json | None:
        """As it is then; None where there is none."""
        release_id = wanted.release_id
        for _ in range(TRIES):
            found, held = self.find(release_id), self._owned_by(owner)
            if found is None:
                return None
            guards.check_change(held.record, held.target, release_id, wanted.replicas, anew=wanted.anew)
            self._mind_others(found, held.record, wanted, owner)
            change = deployed.change(found, wanted.replicas, wanted.annotations, owner, held.version)
            with suppress(Conflict):
                return self.api.patch(DEPLOYMENT, self._name(release_id), change)
        raise self._restless(release_id)

    def note(self, release_id: str, annotations: Mapping[str, str], owner: str) -> None:
        """Write on it, and change nothing else. Raises Conflict unless the record shows this owner."""
        for _ in range(TRIES):
            found, _held = self.find(release_id), self._owned_by(owner)
            if found is None:
                return
            with suppress(Conflict):
                self.api.patch(DEPLOYMENT, self._name(release_id), deployed.note(found, annotations))
                return
        raise self._restless(release_id)

    def _mind_others(self, found: Json, record: Record, wanted: "_Scale", owner: str) -> None:
        """What somebody else has changed is told, and not written over by a run that has changed it before them.

        Raises Conflict, also where a candidate's pods would not be what its release says. On the way back it is told
        alone: what served has to serve again.
        """
        since = meddling.since_our_last_change(found, owner)
        others = meddling.changes(found, wanted.made, FIELD_MANAGER)
        if since and not others:
            others = (meddling.unknown(found, FIELD_MANAGER),)
        for each in others:
            log.warning("%s", each.sentence)
        if record.phase not in ("swapping", "testing"):
            return
        said = "; ".join(each.sentence for each in others if not each.harmless)
        if said and since:
            raise Conflict(f"{said}, while this run was at work on it, which leaves it as it is; run again after them")
        if wanted.replicas and any(each.template for each in others):
            raise Conflict(f"{said}, so it is not what was resolved; {_remove(self.api.namespace, found)}")

    def _mind_its_absence(self, release_id: str) -> None:
        record = self.record.read().record
        if (record.phase, record.candidate) == ("testing", release_id):  # its pods were up
            log.warning(
                "Deployment %s is gone: somebody deleted it, as the API server's audit log may tell; it is made again",
                self._name(release_id),
            )

    def delete(self, release_id: str, owner: str) -> None:
        """Its pods go with it. Raises Conflict unless the record shows this owner."""
        for _ in range(TRIES):
            found, held = self.find(release_id), self._owned_by(owner)
            if found is None:
                return
            guards.check_change(held.record, held.target, release_id, 0)
            seen = found["metadata"]
            with suppress(Conflict):
                self.api.delete(DEPLOYMENT, seen["name"], version=seen["resourceVersion"], uid=seen["uid"])
                return
        raise self._restless(release_id)

    def _owned_by(self, owner: str) -> Held:
        """To be called after the Deployment was read, never before."""
        held = self.record.read()
        if held.record.owner != owner:
            raise Conflict(
                f"{held.record.owner or 'nobody'} owns the record of {self.record.deployment} now, not {owner}; "
                "this run leaves it alone"
            )
        return held

    def _name(self, release_id: str) -> str:
        return workload.name(self.record.deployment, release_id)

    def _restless(self, release_id: str) -> Transient:
        return Transient(f"Deployment {self._name(release_id)} changed under every one of {TRIES} writes; try again")


@dataclass(frozen=True, slots=True)
class _Scale:
    """What a release's Deployment is to be from now on."""

    release_id: str
    replicas: int
    annotations: Mapping[str, str] = field(default_factory=dict)
    anew: bool = False
    made: Json | None = None
    """As the release makes it, where that is known."""


def _remove(namespace: str, found: Json) -> str:
    name = found["metadata"]["name"]
    return (
        f"remove it with `kubectl --namespace {namespace} delete deployment {name}` and run again, which makes it anew"
    )


def _foreign(namespace: str, name: str) -> str:
    return (
        f"Deployment {name} in namespace {namespace} is not ours, and a release needs that name; remove it with "
        f"`kubectl --namespace {namespace} delete deployment {name}` once nothing needs it, and run again"
    )
