"""Promotions, crashes, retries, stops, reconcilers and people, at one deployment, in any order, at every call.

A hypothesis machine: each run is frozen ahead of each of its calls, and goes on when it is let. Three invariants hold
at each write and after each step:

1. at most one release gets clients, and it is the record's, unless a person has moved the pointer and still wants that
2. what clients are sent to was read by ``checksum`` and has answered ``smoke`` before the pointer moved
3. nothing that serves or is the rollback target is deleted by us, and what serves is stopped only to make room

In the end all runs are gone, people have undone what they did, and a reconciler and a further promotion converge.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from urllib.parse import urlsplit

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from steps.clients.kube.api import DEPLOYMENT as WORKLOAD
from steps.clients.kube.api import POD, SERVICE, Json, Kind
from steps.core import labels
from steps.core.release import Release, Strategy
from steps.errors import RollbackFailed
from tests.stubs.actor import Actor
from tests.stubs.exploring import At, Promotion
from tests.stubs.kube_scene import KubeScene, twice
from tests.stubs.living import ready
from tests.stubs.scene import DEPLOYMENT, make_release

BAD = "empty-text"
RUNS = 3
"""In flight at a time: beyond two, nothing new was seen to happen."""
WHICH = st.integers(0, 7)
CALLS = st.integers(1, 40)


@dataclass
class Run:
    """A workflow: ``actors`` are its step, and its exit handler while a step that was told to end goes on."""

    promotion: Promotion
    actors: list[Actor] = field(default_factory=list)


class Interleaving(RuleBasedStateMachine):
    """``examples`` counts what was run to its end."""

    strategy: Strategy = "recreate"
    examples = 0
    moves = 0
    """Of the pointer, by us."""

    def __init__(self) -> None:
        super().__init__()
        self.scene = KubeScene()
        self.releases = [self._release(mark) for mark in "1234"]
        self.scene.publish(*self.releases)
        self.runs: list[Run] = []
        self.reconcilers: list[tuple[str, Actor]] = []
        self.selector: dict[str, str] | None = None
        """A person's, for as long as they want it."""
        self._pointed_at: str | None = None
        self._by_hand = False
        self._kept = "", 0
        self.gone: set[str] = set()
        """Releases whose Deployment a person has deleted."""
        self.scene.api.after = lambda _kind: self.at_most_one_release_gets_clients_and_it_is_the_records()

    def _release(self, mark: str) -> Release:
        made = make_release(mark, strategy=self.strategy)
        return twice(made) if mark == "3" else made

    @initialize(live=st.booleans(), bad=st.sampled_from(["", "2", "4"]))
    def begins(self, live: bool, bad: str) -> None:  # noqa: FBT001  # hypothesis gives it
        if live:
            self.scene.live(self.releases[0])
        if bad:
            self.scene.faults[self._release(bad).release_id] = BAD

    @precondition(lambda self: len(self.runs) < RUNS)
    @rule(which=st.integers(0, 3), calls=CALLS)
    def promote(self, which: int, calls: int) -> None:
        """By a run of its own; whoever is at it already is not asked."""
        run = Run(Promotion(self.scene, self.releases[which]))
        self.runs.append(run)
        self._step(run).advance(calls)

    @precondition(lambda self: self._actors())
    @rule(which=WHICH, calls=CALLS)
    def go_on(self, which: int, calls: int) -> None:
        self._one(which).advance(calls)

    @precondition(lambda self: self._actors())
    @rule(which=WHICH)
    def finish(self, which: int) -> None:
        self._one(which).finish()

    @precondition(lambda self: self._actors() and self.runs)
    @rule(which=WHICH, calls=CALLS)
    def crash_and_retry(self, which: int, calls: int) -> None:
        """The pod of a step is lost wherever it is, and the step is tried again."""
        run = self.runs[which % len(self.runs)]
        for actor in run.actors:
            actor.kill()
        self._step(run).advance(calls)

    @precondition(lambda self: self._actors() and self.runs)
    @rule(which=WHICH, heard=st.booleans(), calls=CALLS)
    def stop(self, which: int, heard: bool, calls: int) -> None:  # noqa: FBT001  # hypothesis gives it
        """Its exit handler begins; a step that has not ``heard`` of it goes on beside that."""
        run = self.runs[which % len(self.runs)]
        if heard:
            for actor in run.actors:
                actor.kill()
        self._exit_handler(run).advance(calls)

    @precondition(lambda self: self._actors() and self.runs)
    @rule(which=WHICH)
    def terminate(self, which: int) -> None:
        """No exit handler; its step is cut off from who could end it, and may wake up later."""
        self.scene.end(self.runs[which % len(self.runs)].promotion.owner)

    @precondition(lambda self: len(self.reconcilers) < RUNS - 1)
    @rule(calls=CALLS)
    def reconcile(self, calls: int) -> None:
        owner = self.scene.hand().owner
        actor = Actor(f"reconciler {owner}", partial(self._reconciles, owner))
        self.reconcilers.append((owner, actor))
        actor.advance(calls)

    @rule(seconds=st.sampled_from([1.0, 5.0, 400.0]))
    def time_passes(self, seconds: float) -> None:
        """The last is beyond every deadline."""
        self.scene.clock.sleep(seconds)

    @rule()
    def node_is_lost(self) -> None:
        self.scene.cluster.lose_pods()

    @rule(which=st.integers(0, 3), replicas=st.integers(0, 2))
    def somebody_scales(self, which: int, replicas: int) -> None:
        self._edit(WORKLOAD, self._name(which), {"spec": {"replicas": replicas}})

    @rule(which=st.integers(0, 3), value=st.sampled_from(["a", "b"]))
    def somebody_edits_the_template(self, which: int, value: str) -> None:
        change = {"metadata": {"annotations": {"somebody": value}}}
        self._edit(WORKLOAD, self._name(which), {"spec": {"template": change}})

    @rule(which=st.integers(0, 3))
    def somebody_deletes_a_deployment(self, which: int) -> None:
        if self._name(which) in self.scene.cluster.objects(WORKLOAD):
            self._by_hand = True
            self.scene.api.delete(WORKLOAD, self._name(which))
            self._by_hand = False
            self.gone.add(self.releases[which].release_id)

    @precondition(lambda self: self.scene.cluster.objects(SERVICE))
    @rule(which=st.integers(0, 3))
    def somebody_moves_the_pointer(self, which: int) -> None:
        release_id = self.releases[which].release_id
        selector = labels.pods(DEPLOYMENT, release_id)
        self.selector = None if release_id == self.scene.record.live else selector
        self._edit(SERVICE, DEPLOYMENT, {"spec": {"selector": selector}})

    @precondition(lambda self: self.selector)
    @rule()
    def the_pointer_is_put_back(self) -> None:
        self.selector = None
        target = labels.pods(DEPLOYMENT, self.scene.record.live or labels.NO_RELEASE)
        self._edit(SERVICE, DEPLOYMENT, {"spec": {"selector": target}})

    @rule(which=st.integers(0, 3))
    def a_directory_is_deleted(self, which: int) -> None:
        self.scene.spoil(self.releases[which])

    @rule(which=st.integers(0, 3))
    def a_directory_is_populated_again(self, which: int) -> None:
        self.scene.publish(self.releases[which])

    @invariant()
    def at_most_one_release_gets_clients_and_it_is_the_records(self) -> None:
        service = self.scene.cluster.objects(SERVICE).get(DEPLOYMENT)
        if service is None:
            return
        if self.selector is not None:
            assert service["spec"]["selector"] == self.selector, "what a person did to the pointer is silently undone"
        else:
            assert self.scene.target == self.scene.record.live
        if self.scene.target not in (None, self._pointed_at) and not self._by_hand:
            self._check_proved(str(self.scene.target))
        self._check_kept()
        self._pointed_at = self.scene.target

    @invariant()
    def what_the_record_names_is_there(self) -> None:
        record = self.scene.record
        assert {r for r in (record.live, record.previous) if r} - self.gone <= set(self.scene.workloads)

    def teardown(self) -> None:
        try:
            self._converge()
            type(self).examples += 1
        finally:
            for actor in self._actors():
                actor.kill()

    def _converge(self) -> None:
        for actor in self._actors():
            actor.kill()
        self.scene.end(*(run.promotion.owner for run in self.runs), *(owner for owner, _ in self.reconcilers))
        if self.selector is not None:
            self.the_pointer_is_put_back()
        last = make_release("9")
        self.scene.publish(*self.releases, last)
        self.time_passes(5.0)
        self._go_back()
        Promotion(self.scene, last).go()
        record = self.scene.record
        assert self.scene.serves(last)
        assert (record.phase, record.owner, record.live) == ("idle", None, last.release_id)
        assert set(self.scene.workloads) <= {record.live, record.previous}
        assert self.scene.running == {record.live}

    def _go_back(self) -> None:
        """Where a person has deleted what serves, as the sentence says: it is promoted again first."""
        with suppress(RollbackFailed):  # a person has deleted what it would go back to
            self.scene.hand().reconciles()
        live = self.scene.record.live
        if live and live not in self.scene.workloads:
            Promotion(self.scene, self.scene.known[live]).go()

    def _check_proved(self, release_id: str) -> None:
        """We have sent clients to it."""
        type(self).moves += 1
        assert release_id in self.scene.read
        assert release_id not in self.scene.faults
        assert release_id in {self.scene.cluster.addresses[urlsplit(url).hostname or ""] for url in self.scene.asked}

    def _check_kept(self) -> None:
        """What a person has sent clients to is not stopped by us."""
        chosen = str(self.selector[labels.RELEASE]) if self.selector else ""
        wanted = self.scene.workloads.get(chosen, 0)
        if chosen == self._kept[0] and not self._by_hand:
            assert wanted >= min(self._kept[1], 1), f"{chosen}, to which a person has sent clients, was stopped"
        self._kept = chosen, wanted

    def _check_call(self, call: str) -> None:
        """It is about to be made."""
        verb, _, name = call.partition(" ")
        if verb != "delete":
            return
        if name.startswith("pods/"):
            found = self.scene.cluster.objects(POD).get(name.removeprefix("pods/"))
            assert found is None or not ready(found), f"{call}, which serves"
        else:
            record = self.scene.record
            kept = {f"deployments/{DEPLOYMENT}-{r}" for r in (record.live, record.previous)}
            assert name not in kept, f"{call}, which the record names"

    def _step(self, run: Run) -> Actor:
        """From where it was killed on, and its exit handler when it has ended."""
        return self._acts(run, run.promotion.whole)

    def _exit_handler(self, run: Run) -> Actor:
        return self._acts(run, run.promotion.exits)

    def _acts(self, run: Run, work: Callable[[At], object]) -> Actor:
        actor = Actor(f"run {run.promotion.owner}", lambda at: work(self._watched(at)))
        run.actors.append(actor)
        return actor

    def _reconciles(self, owner: str, at: At) -> None:
        hand = self.scene.hand(owner, self._watched(at))
        try:
            hand.reconciles()
        finally:
            self.scene.end(owner)

    def _watched(self, at: At) -> At:
        def moment(call: str) -> None:
            at(call)
            self._check_call(call)

        return moment

    def _actors(self) -> list[Actor]:
        """Those that have not ended; who has is forgotten."""
        self.runs = [r for r in self.runs if not r.actors or not all(a.over for a in r.actors)]
        self.reconcilers = [(owner, a) for owner, a in self.reconcilers if not a.over]
        stepping = [a for r in self.runs for a in r.actors if not a.over]
        return [*stepping, *(a for _, a in self.reconcilers)]

    def _one(self, which: int) -> Actor:
        found = self._actors()
        return found[which % len(found)]

    def _name(self, which: int) -> str:
        return f"{DEPLOYMENT}-{self.releases[which].release_id}"

    def _edit(self, kind: Kind, name: str, change: Json) -> None:
        if name in self.scene.cluster.objects(kind):
            self._by_hand = True
            self.scene.api.edit(kind, name, change)
            self._by_hand = False


def explored(machine: type[Interleaving], examples: int) -> str:
    """What was done, in words. The same each time, so that it fails for a change and never by luck."""
    before, moved = machine.examples, machine.moves
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=20,
            derandomize=True,
            database=None,
            deadline=None,
            phases=[Phase.generate, Phase.shrink],
            suppress_health_check=list(HealthCheck),
        ),
    )
    done, moves = machine.examples - before, machine.moves - moved
    assert done >= examples
    assert moves >= examples / 2
    return f"{done} interleavings with strategy {machine.strategy}: the pointer was moved {moves} times"
