"""A Kubernetes API in memory: tests/contract/test_kube_api.py holds it and the real one together.

Good enough: versions, conditions, owners of fields, preconditions, watches. Not there: validation, defaults, quotas.
"""

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count

from steps.clients.kube.api import DEPLOYMENT, POD, Json, Kind
from steps.clients.kube.errors import Forbidden, UnknownKind
from steps.errors import Conflict, Missing
from tests.stubs.kube_objects import (
    copied,
    field_of,
    handed_out,
    label_of,
    leaves_of,
    matches,
    merged,
    owner_uids,
    put_at,
    value_at,
)
from tests.stubs.kube_owners import CONTROLLER, OURS_BY_UPDATE, Owners

Key = tuple[str, str]

BEGAN = datetime(2026, 1, 1, tzinfo=UTC).timestamp()


@dataclass
class FakeApi:
    """What a test may set: ``forbidden`` verbs as ``(verb, plural)``, ``undefined`` plurals, ``before``, ``after``.

    ``before`` is called with ``VERB PLURAL/NAME`` ahead of each request, and may raise, or do what somebody else does;
    ``after`` with the kind, after each write: controllers.
    """

    namespace: str = "models"
    forbidden: set[tuple[str, str]] = field(default_factory=set)
    undefined: set[str] = field(default_factory=set)
    before: Callable[[str], None] = lambda _request: None
    after: Callable[[Kind], None] = lambda _kind: None
    logs: dict[tuple[str, bool], str] = field(default_factory=dict)
    """By pod, and whether it is its container's previous one."""
    ending: int = 0
    """Looks that a deleted pod outlives."""
    calls: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._changed = threading.Condition(threading.RLock())
        self._objects: dict[Key, Json] = {}
        self._owners: dict[Key, Owners] = defaultdict(Owners)
        self._history: list[tuple[int, str, Key, Json]] = []
        self._looks: dict[Key, int] = {}
        self._versions, self._names = count(1), count(1)
        self._acting = False

    def get(self, kind: Kind, name: str) -> Json | None:
        self._enter("get", kind, name)
        with self._changed:
            found = self._objects.get((kind.plural, name))
            return None if found is None else handed_out(found)

    def list(self, kind: Kind, *, labels: str = "", fields: str = "") -> list[Json]:
        self._enter("list", kind)
        with self._changed:
            self._let_end(kind)
            found = [o for (plural, _), o in sorted(self._objects.items()) if plural == kind.plural]
            return [handed_out(o) for o in found if matches(o, labels, label_of) and matches(o, fields, field_of)]

    def create(self, kind: Kind, body: Json) -> Json:
        metadata = body["metadata"]
        name = metadata.get("name") or f"{metadata['generateName']}{next(self._names):05x}"
        self._enter("create", kind, name)
        with self._changed:
            if (kind.plural, name) in self._objects:
                raise Conflict(f"{kind.name} {name} already exists; look again")
            self._owned(kind, name).update({}, body, OURS_BY_UPDATE, self._now())
            return self._keep(kind, name, {**copied(body), "metadata": {**copied(metadata), "name": name}})

    def replace(self, kind: Kind, body: Json) -> Json:
        name = body["metadata"]["name"]
        self._enter("update", kind, name)
        with self._changed:
            old = self._current(kind, name, body["metadata"].get("resourceVersion"))
            self._owned(kind, name).update(old, body, OURS_BY_UPDATE, self._now())
            return self._keep(kind, name, {**copied(body), "metadata": {**old["metadata"], **body["metadata"]}})

    def patch(self, kind: Kind, name: str, change: Json) -> Json:
        self._enter("patch", kind, name)
        with self._changed:
            old = self._current(kind, name, change.get("metadata", {}).get("resourceVersion"))
            self._owned(kind, name).update(old, change, OURS_BY_UPDATE, self._now())
            return self._keep(kind, name, merged(old, change))

    def apply(self, kind: Kind, body: Json, *, force: bool = False, dry_run: bool = False) -> Json:
        name, version = body["metadata"]["name"], body["metadata"].get("resourceVersion")
        self._enter("patch", kind, name)
        with self._changed:
            old = self._objects.get((kind.plural, name))
            if old is not None or "uid" in body["metadata"]:
                old = self._current(kind, name, version)
            self._check_owners(kind, name, old or {}, body, force=force)
            new = self._applied(kind, name, old or {}, body)
            if dry_run:
                return copied(new)
            self._owned(kind, name).apply(body, self._now(), changed=new != old)
            return self._keep(kind, name, new)

    def delete(self, kind: Kind, name: str, *, version: str = "", uid: str = "") -> None:
        self._enter("delete", kind, name)
        with self._changed:
            found = self._objects.get((kind.plural, name))
            if found is None:
                return
            if (uid or found["metadata"]["uid"]) != found["metadata"]["uid"]:
                raise Conflict(f"{kind.name} {name} is another by now")
            self._current(kind, name, version or None)
            self._end(kind.plural, name)
            self._act(kind)

    def log(self, pod: str, container: str, lines: int, *, previous: bool = False) -> str:
        self._enter("get", POD, pod)
        return "".join(self.logs.get((pod, previous), "").splitlines(keepends=True)[-lines:])

    def log_head(self, pod: str, container: str, size: int) -> str:
        self._enter("get", POD, pod)
        return self.logs.get((pod, False), "")[:size]

    def watch(self, kind: Kind, name: str, version: str, seconds: float) -> Iterator[Json]:
        self._enter("watch", kind, name)
        seen, until = int(version), time.monotonic() + seconds
        while True:
            with self._changed:
                new = [h for h in self._history if h[0] > seen and h[2] == (kind.plural, name)]
                if not new and not self._changed.wait(max(until - time.monotonic(), 0.0)):
                    return
            for number, what, _, changed in new:
                seen = number
                if what == "DELETED":
                    raise Missing(f"{kind.name} {name} in namespace {self.namespace} was deleted")
                yield handed_out(changed)

    def edit(self, kind: Kind, name: str, change: Json, manager: str = "kubectl-edit", subresource: str = "") -> Json:
        """For tests: somebody else patches it."""
        with self._changed:
            old = self._objects[kind.plural, name]
            self._owned(kind, name).update(old, change, (manager, "Update", subresource), self._now())
            return self._keep(kind, name, merged(old, change))

    def tell(self, kind: Kind, name: str, status: Json) -> None:
        """For tests and controllers: its status, whole."""
        with self._changed:
            old = self._objects[kind.plural, name]
            if old.get("status") != status:
                self._owned(kind, name).update(old, {"status": status}, CONTROLLER, self._now())
                self._keep(kind, name, {**old, "status": status})

    def gone(self, pod: str) -> None:
        """For controllers: a pod has ended, whatever looks it would outlive."""
        with self._changed:
            self._looks.pop((POD.plural, pod), None)
            ending, self.ending = self.ending, 0
            self._end(POD.plural, pod)
            self.ending = ending

    @property
    def version(self) -> int:
        """Of the newest change of anything."""
        return self._history[-1][0] if self._history else 0

    def _act(self, kind: Kind) -> None:
        """Controllers do what they do about a change at once, and are no part of what is asked from outside."""
        if not self._acting:
            self._acting = True
            try:
                self.after(kind)
            finally:
                self._acting = False

    def _enter(self, verb: str, kind: Kind, name: str = "") -> None:
        if self._acting:
            return
        request = f"{verb} {kind.plural}/{name}"
        self.before(request)
        self.calls.append(request)
        if (verb, kind.plural) in self.forbidden:
            raise Forbidden(f"no right to {verb} {kind.plural}; give the account that right")
        if kind.plural in self.undefined:
            raise UnknownKind(f"cannot {verb} {kind.plural}: there is no such kind")

    def _current(self, kind: Kind, name: str, version: str | None) -> Json:
        old = self._objects.get((kind.plural, name))
        if old is None or version not in (None, old["metadata"]["resourceVersion"]):
            raise Conflict(f"{kind.name} {name} has been modified, or is gone; look again")
        return old

    def _keep(self, kind: Kind, name: str, new: Json) -> Json:
        key, old = (kind.plural, name), self._objects.get((kind.plural, name))
        metadata = new["metadata"] = {**new["metadata"], "managedFields": self._owned(kind, name).managed_fields(kind)}
        if old is None:
            self._found(metadata)
        elif {**new, "metadata": {**metadata, "resourceVersion": ""}} == {
            **old,
            "metadata": {**old["metadata"], "resourceVersion": ""},
        }:
            return handed_out(old)
        elif new.get("spec") != old.get("spec") or (
            kind == DEPLOYMENT and metadata.get("annotations") != old["metadata"].get("annotations")
        ):
            metadata["generation"] = old["metadata"]["generation"] + 1
        self._remember("MODIFIED" if old else "ADDED", key, {**kind.header, **new})
        self._act(kind)
        return handed_out(self._objects.get(key, new))

    def _found(self, metadata: Json) -> None:
        number = next(self._names)
        born = _moment(number)
        metadata |= {"uid": f"uid-{number}", "creationTimestamp": born, "generation": 1, "namespace": self.namespace}

    def _remember(self, what: str, key: Key, new: Json) -> None:
        number = next(self._versions)
        new["metadata"]["resourceVersion"] = str(number)
        self._history.append((number, what, key, new))
        self._objects[key] = new
        self._changed.notify_all()

    def _end(self, plural: str, name: str) -> None:
        """Its dependents end with it; a pod takes its time."""
        key = (plural, name)
        if plural == POD.plural and self.ending:
            if key not in self._looks:
                self._looks[key] = self.ending
                found = self._objects[key]
                ends = {**found["metadata"], "deletionTimestamp": "2026-01-01T01:00:00Z"}
                self._remember("MODIFIED", key, {**found, "metadata": ends})
            return
        self._remember("DELETED", key, self._objects[key])
        gone = self._objects.pop(key)
        self._owners.pop(key, None)
        for dependent in [k for k, o in self._objects.items() if gone["metadata"]["uid"] in owner_uids(o)]:
            if dependent in self._objects:
                self._end(*dependent)

    def _let_end(self, kind: Kind) -> None:
        for key in [k for k in self._looks if k[0] == kind.plural]:
            self._looks[key] -= 1
            if self._looks[key] < 0:
                self.gone(key[1])

    def _owned(self, kind: Kind, name: str) -> Owners:
        return self._owners[kind.plural, name]

    def _now(self) -> str:
        return _moment(len(self._history))

    def _check_owners(self, kind: Kind, name: str, old: Json, body: Json, *, force: bool) -> None:
        for path, value in leaves_of(body).items():
            other = self._owned(kind, name).other(path)
            if not force and other and value_at(old, path) != value:
                raise Conflict(f'cannot patch {kind.name} {name}: conflict with "{other}": .{".".join(path)}')

    def _applied(self, kind: Kind, name: str, old: Json, body: Json) -> Json:
        new = copied(old)
        for path in self._owned(kind, name).dropped(body):
            value_at(new, path[:-1]).pop(path[-1], None)
        for path, value in leaves_of(body).items():
            put_at(new, path, copied(value))
        return {**new, "metadata": {**new.get("metadata", {}), "name": name}}


def _moment(number: int) -> str:
    return datetime.fromtimestamp(BEGAN + number, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
