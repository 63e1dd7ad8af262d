"""Serving in memory, with the semantics of the real adapters: tests/contract/test_serving.py holds them together."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import count

from steps.core import guards
from steps.core.measured import Measured
from steps.core.record import Record
from steps.core.release import Release
from steps.errors import Conflict, StepError
from steps.ports.serving import Held, Place, Pod


@dataclass(frozen=True, kw_only=True)
class Manner:
    """How a release's pods behave once they are started."""

    ready_after: int = 0
    """Looks at ``pods`` until one is ready."""
    failure: str | None = None
    waiting: str | None = None
    device: str | None = "cpu"
    log: str = "INFO Application startup complete."


@dataclass
class FakeServing:
    """What a test may set: ``manners`` by release id, ``owners`` that live, ``room`` that there is not, ``away``.

    ``disturb`` is called before and after each verb that changes something, with ``before:VERB`` or ``after:VERB``;
    what it raises comes out of the verb: a step that is killed there.
    """

    url: str = "http://endpoint"
    poll_seconds: float = 0.3
    held: Held = field(default_factory=lambda: Held(Record(), "0", None))
    manners: dict[str, Manner] = field(default_factory=dict)
    owners: set[str] = field(default_factory=set)
    acting: str = ""
    """Whose step runs: its pod is there."""
    called: dict[str, str] = field(default_factory=dict)
    """Names of runs whose uid is another."""
    room: StepError | None = None
    away: dict[str, str] = field(default_factory=dict)
    """Why a release has its models elsewhere."""
    meddling: dict[str | None, tuple[str, ...]] = field(default_factory=dict)
    """What others have changed, by release id, of the endpoint by None."""
    devices: dict[str, str] = field(default_factory=dict)
    """Of single pods, by uid."""
    places: Callable[[], tuple[Place, ...]] = lambda: (Place(name="node-1", done=True, said="its image is there"),)
    """What each look at what is prepared shows."""
    prepared: dict[str, str] = field(default_factory=dict)
    """By the id of a release for which something is held ready, the run that has begun it."""
    disturb: Callable[[str], None] = lambda _moment: None
    calls: list[tuple[str, ...]] = field(default_factory=list)
    """Verbs that changed something, with the release ids they were about."""

    def __post_init__(self) -> None:
        self._lock = threading.RLock()
        self._specs: dict[str, Release] = {}
        self._wanted: dict[str, int] = {}
        self._pods: dict[str, list[Pod]] = {}
        self._looks: dict[str, int] = {}
        self._measured: dict[str, Measured] = {}
        self._number = count(1)

    def read(self) -> Held:
        return self.held

    def swap(self, held: Held, record: Record) -> Held:
        return self.point(held, record, held.target)

    def point(self, held: Held, record: Record, target: str | None) -> Held:
        self.disturb("before:point" if target != held.target else "before:swap")
        with self._lock:
            if held.version != self.held.version:
                now = self.held.record
                raise Conflict(f"the record is in phase {now.phase} of owner {now.owner} since it was read; run again")
            self.calls.append(("point", str(target)) if target != held.target else ("swap", record.phase))
            self.held = Held(record, str(int(held.version) + 1), target)
        self.disturb("after:point" if target != held.target else "after:swap")
        return self.held

    def release(self, release_id: str) -> Release | None:
        return self._specs.get(release_id)

    def ensure(self, release: Release, replicas: int, owner: str) -> None:
        self.disturb("before:ensure")
        with self._lock:
            self._fence(owner)
            guards.check_change(self.held.record, self.held.target, release.release_id, replicas)
            self.calls.append(("ensure", release.release_id))
            self._specs[release.release_id] = release
            self._wanted[release.release_id] = replicas
            kept = [p for p in self._pods.get(release.release_id, []) if p.failure is None][:replicas]
            new = [self._start(release.release_id) for _ in range(replicas - len(kept))]
            self._pods[release.release_id] = kept + new
        self.disturb("after:ensure")

    def prepare(self, release: Release, beside: str, seconds: float, owner: str) -> tuple[Place, ...]:
        if not self._pods.get(beside):
            return ()
        self.disturb("before:prepare")
        self.prepared.setdefault(release.release_id, owner)
        self.disturb("after:prepare")
        return self.places()

    def unprepare(self, owner: str | None) -> None:
        self.disturb("before:unprepare")
        self.prepared = {r: begun_by for r, begun_by in self.prepared.items() if owner not in (None, begun_by)}
        self.disturb("after:unprepare")

    def stop(self, release_id: str, owner: str, *, anew: bool = False) -> None:
        self._end("stop", release_id, owner, anew=anew)

    def remove(self, release_id: str, owner: str) -> None:
        self._end("remove", release_id, owner)

    def remember(self, release_id: str, measured: Measured, owner: str) -> None:
        self.disturb("before:remember")
        with self._lock:
            self._fence(owner)
            if release_id in self._specs:
                self._measured[release_id] = measured
        self.disturb("after:remember")

    def measured(self, release_id: str) -> Measured | None:
        return self._measured.get(release_id)

    def meddled(self, release_id: str | None) -> tuple[str, ...]:
        return self.meddling.get(release_id, ())

    def replicas(self, release_id: str) -> int:
        return self._wanted.get(release_id, 0)

    def pods(self, release_id: str) -> tuple[Pod, ...]:
        looks = self._looks[release_id] = self._looks.get(release_id, 0) + 1
        manner = self._manner(release_id)
        loaded = looks > manner.ready_after and manner.waiting is None
        seen = (replace(p, failure=p.failure or manner.failure) for p in self._pods.get(release_id, []))
        return tuple(replace(p, ready=loaded and p.failure is None, waiting=manner.waiting) for p in seen)

    def releases(self) -> tuple[str, ...]:
        return tuple(sorted(self._specs))

    def log_tail(self, release_id: str, lines: int) -> str:
        return "\n".join(self._manner(release_id).log.splitlines()[-lines:]) if release_id in self._specs else ""

    def device_seen(self, uid: str) -> str | None:
        release_id = next((p.release_id for pods in self._pods.values() for p in pods if p.uid == uid), None)
        return self.devices.get(uid, self._manner(release_id).device) if release_id else None

    def owner_alive(self, owner: str) -> bool:
        return owner in self.owners or owner == self.acting

    def run_of(self, owner: str) -> str | None:
        return self.called.get(owner, owner if self.owner_alive(owner) else None)

    def check_room(self, release: Release) -> None:
        if self.room is not None:
            raise self.room

    def elsewhere(self, release_id: str) -> str | None:
        return self.away.get(release_id)

    @property
    def entry(self) -> str:
        """For tests: the address of a pod to which clients are led; nobody's where there is none."""
        pods = self._pods.get(self.held.target or "", [])
        return next((p.url for p in pods if p.url and p.failure is None), "http://nobody-0")

    def crash(self, release_id: str, failure: str = "ended with exit code 1") -> None:
        """For tests: the running pods of a release end by themselves."""
        self._pods[release_id] = [replace(p, ready=False, failure=failure) for p in self._pods.get(release_id, [])]

    def forget(self, release_id: str) -> None:
        """For tests: somebody removes its pods, and that they were wanted."""
        self._pods.pop(release_id, None)
        self._wanted.pop(release_id, None)

    def delete(self, release_id: str) -> None:
        """For tests: somebody deletes it, and how it is started with it."""
        self.forget(release_id)
        self._specs.pop(release_id, None)

    def _end(self, verb: str, release_id: str, owner: str, *, anew: bool = False) -> None:
        self.disturb(f"before:{verb}")
        with self._lock:
            self._fence(owner)
            guards.check_change(self.held.record, self.held.target, release_id, 0, anew=anew)
            self.calls.append((verb, release_id))
            self.forget(release_id)
            if verb == "remove":
                self._specs.pop(release_id, None)
                self._measured.pop(release_id, None)
        self.disturb(f"after:{verb}")

    def _fence(self, owner: str) -> None:
        if self.held.record.owner != owner:
            raise Conflict(f"{self.held.record.owner or 'nobody'} owns the record now, not {owner}; leave it alone")

    def _start(self, release_id: str) -> Pod:
        self._looks[release_id] = 0
        uid = f"{release_id}-{next(self._number)}"
        return Pod(uid=uid, release_id=release_id, url=f"http://{uid}", ready=False)

    def _manner(self, release_id: str) -> Manner:
        return self.manners.get(release_id, Manner())
