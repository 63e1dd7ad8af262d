"""One deployment, whoever works on it, and what must hold at each write of anybody: see ``interleaving``."""

from collections.abc import Callable
from dataclasses import dataclass, field

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant

from steps.clients.kube.api import DEPLOYMENT as WORKLOAD
from steps.clients.kube.api import POD, SERVICE, Json, Kind
from steps.core import labels
from steps.core.release import Release, Strategy
from tests.stubs.actor import Actor
from tests.stubs.exploring import At, Promotion, undisturbed
from tests.stubs.kube_scene import KubeScene, twice
from tests.stubs.living import ready
from tests.stubs.scene import DEPLOYMENT, make_release
from tests.stubs.view import View

BAD = "empty-text"


@dataclass
class Run:
    """A workflow: ``actors`` are its step, and its exit handler while a step that was told to end goes on."""

    promotion: Promotion
    actors: list[Actor] = field(default_factory=list)


class Watching(RuleBasedStateMachine):
    """``examples`` counts what was run to its end."""

    strategy: Strategy = "recreate"
    examples = 0
    moves = 0
    """Of the pointer, by us."""

    def __init__(self) -> None:
        super().__init__()
        self.scene = KubeScene()
        self.releases = [self.release(mark) for mark in "1234"]
        self.scene.publish(*self.releases)
        self.runs: list[Run] = []
        self.reconcilers: list[tuple[str, Actor]] = []
        self.selector: dict[str, str] | None = None
        """A person's, for as long as they want it."""
        self._pointed_at: str | None = None
        self.by_hand = False
        self._kept = "", 0
        self.gone: set[str] = set()
        """Releases whose Deployment a person has deleted."""
        self.lowered: set[str] = set()
        """Releases whose replicas a person has made fewer, as long as nobody else has changed them."""
        self._view = View()
        """Of whoever of us acts."""
        self._wanted: dict[str, int] = {}
        self._had: dict[str, int] = {}
        """Replicas that we have to bring back."""
        self._stamps: dict[str, int] = {}
        """By uid of a Deployment, the version of the record by which it was changed last."""
        self.scene.api.after = lambda _kind: self.what_holds_at_each_write()

    def release(self, mark: str) -> Release:
        made = make_release(mark, strategy=self.strategy)
        return twice(made) if mark == "3" else made

    @initialize(live=st.booleans(), bad=st.sampled_from(["", "2", "4"]))
    def begins(self, live: bool, bad: str) -> None:  # noqa: FBT001  # hypothesis gives it
        if live:
            self.promotes(self.releases[0])
        if bad:
            self.scene.faults[self.release(bad).release_id] = BAD

    @invariant()
    def what_holds_at_each_write(self) -> None:
        self.at_most_one_release_gets_clients_and_it_is_the_records()
        self._check_replicas()
        self._check_stamps()
        self.what_serves_is_wanted()

    def at_most_one_release_gets_clients_and_it_is_the_records(self) -> None:
        service = self.scene.cluster.objects(SERVICE).get(DEPLOYMENT)
        if service is None:
            return
        if self.selector is not None:
            assert service["spec"]["selector"] == self.selector, "what a person did to the pointer is silently undone"
        else:
            assert self.scene.target == self.scene.record.live
        if self.scene.target not in (None, self._pointed_at) and not self.by_hand:
            self._check_proved(str(self.scene.target))
        self._check_kept()
        self._pointed_at = self.scene.target

    @invariant()
    def what_the_record_names_is_there(self) -> None:
        record = self.scene.record
        assert {r for r in (record.live, record.previous) if r} - self.gone <= set(self.scene.workloads)

    def what_serves_is_wanted(self) -> None:
        """Where nothing is in flight, or clients have just come to it, unless a person has ended it."""
        record, wanted = self.scene.record, self.scene.workloads
        if record.phase in ("idle", "draining") and record.live in set(wanted) - self.lowered:
            had = self._had.get(record.live, 1)
            assert wanted[record.live] >= had, f"{record.live} is live, had {had} replicas and is to have fewer"

    def _check_replicas(self) -> None:
        """What serves is stopped where it makes room or is started again, and otherwise by a person."""
        before, self._wanted = self._wanted, self.scene.workloads
        for release_id in before.keys() | self._wanted.keys():
            was, now = before.get(release_id, 0), self._wanted.get(release_id, 0)
            if now != was:
                self._take_change(release_id, was, now)

    def _take_change(self, release_id: str, was: int, now: int) -> None:
        if self.by_hand:
            self._had.pop(release_id, None)
        if self.by_hand and now < was:
            self.lowered.add(release_id)
            return
        self.lowered.discard(release_id)
        record = self._view.record
        if now < was and not self.by_hand and release_id == record.live:
            assert self._view.may_stop_live(self.scene), f"{release_id} is live and lost replicas to who knew {record}"
            if not now:
                self._had[release_id] = min(was, record.replicas)

    def _check_stamps(self) -> None:
        """Who knew an older record than whoever came before changes nothing."""
        for found in self.scene.cluster.objects(WORKLOAD).values():
            uid, stamp = found["metadata"]["uid"], found["metadata"]["annotations"].get(labels.RECORD_VERSION)
            now, before = int(stamp or 0), self._stamps.get(uid, 0)
            assert now >= before, f"{found['metadata']['name']} was changed by a record from before the last change"
            self._stamps[uid] = now

    def _check_proved(self, release_id: str) -> None:
        """We have sent clients to it."""
        type(self).moves += 1
        self._had.clear()
        assert release_id in self.scene.read
        assert release_id not in self.scene.faults
        assert self._view.proved, f"clients are sent to pods of {release_id} that nobody has asked"

    def _check_kept(self) -> None:
        """What a person has sent clients to is not stopped by us."""
        chosen = str(self.selector[labels.RELEASE]) if self.selector else ""
        wanted = self.scene.workloads.get(chosen, 0)
        if chosen == self._kept[0] and not self.by_hand:
            assert wanted >= min(self._kept[1], 1), f"{chosen}, to which a person has sent clients, was stopped"
        self._kept = chosen, wanted

    def _check_call(self, view: View, call: str) -> None:
        """It is about to be made."""
        verb, _, name = call.partition(" ")
        if verb == "patch" and name.startswith("deployments/"):
            assert view.record.owner == view.owner, f"{call} by {view.owner}, which no longer owned the record"
        if verb != "delete":
            return
        if name.startswith("pods/"):
            found = self.scene.cluster.objects(POD).get(name.removeprefix("pods/"))
            assert found is None or not ready(found), f"{call}, which serves"
        else:
            record = self.scene.record
            kept = {f"deployments/{DEPLOYMENT}-{r}" for r in (record.live, record.previous)}
            assert name not in kept, f"{call}, which the record names"

    def step(self, run: Run) -> Actor:
        """From where it was killed on, and its exit handler when it has ended."""
        return self._acts(run, run.promotion.whole)

    def exit_handler(self, run: Run) -> Actor:
        return self._acts(run, run.promotion.exits)

    def _acts(self, run: Run, work: Callable[[At], object]) -> Actor:
        actor = Actor(f"run {run.promotion.owner}", lambda at: work(self._watched(run.promotion.owner, at)))
        run.actors.append(actor)
        return actor

    def reconciles(self, owner: str, at: At) -> None:
        hand = self.scene.hand(owner, self._watched(owner, at))
        try:
            hand.reconciles()
        finally:
            self.scene.end(owner)

    def promotes(self, release: Release) -> None:
        """A run by itself, from its beginning to its end. Raises what ends it."""
        promotion = Promotion(self.scene, release)
        promotion.go(self._watched(promotion.owner, undisturbed))
        self.scene.end(promotion.owner)

    def _watched(self, owner: str, at: At) -> At:
        view = View(owner)

        def moment(call: str) -> None:
            at(call)
            self._check_call(view, call)
            view.see(self.scene, call)
            self._view = view

        return moment

    def actors(self) -> list[Actor]:
        """Those that have not ended; who has is forgotten."""
        self.runs = [r for r in self.runs if not r.actors or not all(a.over for a in r.actors)]
        self.reconcilers = [(owner, a) for owner, a in self.reconcilers if not a.over]
        stepping = [a for r in self.runs for a in r.actors if not a.over]
        return [*stepping, *(a for _, a in self.reconcilers)]

    def one(self, which: int) -> Actor:
        found = self.actors()
        return found[which % len(found)]

    def name(self, which: int) -> str:
        return f"{DEPLOYMENT}-{self.releases[which].release_id}"

    def edit(self, kind: Kind, name: str, change: Json) -> None:
        if name in self.scene.cluster.objects(kind):
            self.by_hand = True
            self.scene.api.edit(kind, name, change)
            self.by_hand = False
