"""The record of a deployment in a cluster: an annotation of the Service whose selector is the pointer.

Both are one object, so they move in one write. Each write is conditional on the resourceVersion of a read that showed
the record and the pointer that the writer knows: where somebody else touched anything else of the Service, it is read
and written again. The Service is made by the first write, with a selector that no pod matches.
"""

import json
import logging
from dataclasses import dataclass

from steps.clients.kube.api import FIELD_MANAGER, SERVICE, Api, Json
from steps.core import guards, labels, managed
from steps.core import record as records
from steps.core.record import Record
from steps.core.workload import PORT
from steps.errors import Conflict
from steps.ports.serving import Held

ABSENT = ""
"""The version of a Service that was never made."""
CLIENT_PORT = 80
TRIES = 5
"""Against others who touch the Service and leave the record alone."""
SELECTOR, PORTS = ("spec", "selector"), ("spec", "ports")

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ServiceRecord:
    api: Api
    deployment: str

    def read(self) -> Held:
        """Raises Conflict for a Service that is not ours, Corrupt for a record that somebody else wrote."""
        return self._held(self._service())

    def swap(self, held: Held, record: Record, target: str | None) -> Held:
        """Write record and target if they still are what was read. Raises Conflict."""
        for _ in range(TRIES):
            service = self._service()
            now = self._held(service)
            if (now.record, now.target) != (held.record, held.target):
                raise Conflict(self._changed(held, now, service))
            try:
                return self._held(self._write(service, record, self._spec(service, now.target, target)))
            except Conflict:
                continue
        service = self._service()
        raise Conflict(self._changed(held, self._held(service), service))

    def meddled(self) -> tuple[str, ...]:
        """A selector that leads elsewhere than the record says, and a record that somebody else has written."""
        if (service := self._service()) is None:
            return ()
        held, said = self._held(service), list[str]()
        if held.target != held.record.live:
            said.append(_moved_by(service, held.record.live, held.target))
        path = ("metadata", "annotations", labels.RECORD)
        if managed.others(service, FIELD_MANAGER, path):
            said.append(
                f"the record of {self.deployment} was written by {managed.author(service, FIELD_MANAGER, path)}"
            )
        return tuple(said)

    def _changed(self, held: Held, now: Held, service: Json | None) -> str:
        """Why a write is refused: another run's work, or somebody's hand on the selector."""
        if service is None and held.version != ABSENT:
            return guards.record_gone(self.deployment)
        if service is not None and now.record == held.record:
            moved = _moved_by(service, held.target, now.target)
            return f"{moved}, while this run was at work on it; put it back and run it again"
        return (
            f"the record of {self.deployment} was changed since it was read: its phase is {now.record.phase} now and "
            f"its owner {now.record.owner or 'nobody'}; run it again when they are done"
        )

    def _write(self, service: Json | None, record: Record, spec: Json) -> Json:
        metadata = {
            "name": self.deployment,
            "labels": labels.endpoint(self.deployment),
            "annotations": {labels.RECORD: json.dumps(record.to_json())},
        }
        body = {**SERVICE.header, "metadata": metadata, "spec": spec}
        if service is None:
            return self.api.create(SERVICE, body)
        seen = service["metadata"]
        metadata |= {"resourceVersion": seen["resourceVersion"], "uid": seen["uid"]}  # apply would make a gone one anew
        return self.api.apply(SERVICE, body, force=True)

    def _spec(self, service: Json | None, now: str | None, target: str | None) -> Json:
        """Selector and ports move together: whom a selector of somebody else's reaches may listen on other ports."""
        if service is None:
            return {"selector": _led_to(self.deployment, target), "ports": _ports([])}
        spec = service["spec"]
        before, ports = spec.get("selector") or {}, spec.get("ports") or []
        selector = before if target == now else _led_to(self.deployment, target)
        if not _is_ours(self.deployment, selector):
            return {"selector": selector, "ports": ports}
        led_by_us = _is_ours(self.deployment, before)
        if led_by_us:
            _tell_of_port(service, ports)
        return {"selector": selector, "ports": _ports(ports if led_by_us else _moved(ports))}

    def _service(self) -> Json | None:
        service = self.api.get(SERVICE, self.deployment)
        if service is not None and service["metadata"].get("labels", {}).get(labels.PART_OF) != labels.PROJECT:
            raise Conflict(_foreign(self.api.namespace, self.deployment))
        return service

    def _held(self, service: Json | None) -> Held:
        if service is None:
            return Held(Record(), ABSENT, None)
        metadata, record = service["metadata"], self._told(service)
        served = record.live is not None or record.previous is not None
        target = _target(self.deployment, service) if served or _led_by_us(service) else None
        return Held(record, metadata["resourceVersion"], target)

    def _told(self, service: Json) -> Record:
        text = service["metadata"].get("annotations", {}).get(labels.RECORD)
        return (
            records.parse(text, f"annotation {labels.RECORD} of Service {self.deployment}")
            if text is not None
            else Record()
        )


def _target(deployment: str, service: Json) -> str | None:
    """The release that clients reach; a selector that we did not write is given as it is."""
    selector = service["spec"].get("selector") or {}
    if not _is_ours(deployment, selector):
        return labels.selector(selector) or None
    release_id = selector[labels.RELEASE]
    return None if release_id == labels.NO_RELEASE else str(release_id)


def _is_ours(deployment: str, selector: Json) -> bool:
    return selector == labels.pods(deployment, str(selector.get(labels.RELEASE, labels.NO_RELEASE)))


def _led_by_us(service: Json) -> bool:
    """Not where it was handed over: until a first promotion succeeds it is not our business where it leads."""
    return labels.RELEASE in (service["spec"].get("selector") or {})


def _led_to(deployment: str, target: str | None) -> Json:
    return labels.pods(deployment, target or labels.NO_RELEASE)


def _moved(ports: list[Json]) -> list[Json]:
    """Of a Service that was handed over: whatever port its clients know, they reach the model server there."""
    return [{**port, "targetPort": PORT} for port in ports if port.get("protocol", "TCP") == "TCP"]


def _ports(there: list[Json]) -> list[Json]:
    """Ours, which keeps what else is said of it, and those that somebody has put beside it."""
    kept = [port for port in there if port["port"] != CLIENT_PORT]
    name = "vllm" if any(port.get("name") == "http" for port in kept) else "http"
    said = next((port for port in there if port["port"] == CLIENT_PORT), {})
    ours = {"name": name, **said, "port": CLIENT_PORT, "targetPort": PORT, "protocol": "TCP"}
    return [ours, *({"name": f"port-{port['port']}", **port} for port in kept)]  # of several each needs a name


def _moved_by(service: Json, before: str | None, now: str | None) -> str:
    """As our selectors are told by the release that they lead to."""
    what = f"where Service {service['metadata']['name']} leads"
    return managed.told(what, before or "nobody", now or "nobody", managed.author(service, FIELD_MANAGER, SELECTOR))


def _tell_of_port(service: Json, ports: list[Json]) -> None:
    """Clients come by it, so it is put right; not without a word."""
    now = next((port.get("targetPort") for port in ports if port["port"] == CLIENT_PORT), None)
    if now is not None and now != PORT:
        what = f"targetPort of port {CLIENT_PORT} of Service {service['metadata']['name']}"
        log.warning("%s; it is put back", managed.told(what, PORT, now, managed.author(service, FIELD_MANAGER, PORTS)))


def _foreign(namespace: str, deployment: str) -> str:
    return (
        f"Service {deployment} in namespace {namespace} is not ours; promote under another name with --deployment, or "
        f"hand it over with `kubectl --namespace {namespace} label service {deployment} "
        f"{labels.PART_OF}={labels.PROJECT}`: clients then follow the next promotion"
    )
