"""Promotions, crashes, retries, stops, reconcilers and people, at one deployment, in any order, at every call.

A hypothesis machine: each run is frozen ahead of each of its calls, and goes on when it is let. Three invariants hold
at each write and after each step:

1. at most one release gets clients, and it is the record's, unless a person has moved the pointer and still wants that
2. what clients are sent to was read by ``checksum`` and has answered ``smoke`` before the pointer moved
3. nothing that serves or is the rollback target is deleted by us, and what serves is stopped only to make room

In the end all runs are gone, people have undone what they did, and a reconciler and a further promotion converge.
"""

from contextlib import suppress
from functools import partial

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule, run_state_machine_as_test

from steps.clients.kube.api import DEPLOYMENT as WORKLOAD
from steps.clients.kube.api import SERVICE
from steps.core import labels
from steps.errors import RollbackFailed
from tests.stubs.actor import Actor
from tests.stubs.exploring import Promotion
from tests.stubs.invariants import Run, Watching
from tests.stubs.scene import DEPLOYMENT, make_release

RUNS = 3
"""In flight at a time: beyond two, nothing new was seen to happen."""
WHICH = st.integers(0, 7)
CALLS = st.integers(1, 40)


class Interleaving(Watching):
    @precondition(lambda self: len(self.runs) < RUNS)
    @rule(which=st.integers(0, 3), calls=CALLS)
    def promote(self, which: int, calls: int) -> None:
        """By a run of its own; whoever is at it already is not asked."""
        run = Run(Promotion(self.scene, self.releases[which]))
        self.runs.append(run)
        self.step(run).advance(calls)

    @precondition(lambda self: self.actors())
    @rule(which=WHICH, calls=CALLS)
    def go_on(self, which: int, calls: int) -> None:
        self.one(which).advance(calls)

    @precondition(lambda self: self.actors())
    @rule(which=WHICH)
    def finish(self, which: int) -> None:
        self.one(which).finish()

    @precondition(lambda self: self.actors() and self.runs)
    @rule(which=WHICH, calls=CALLS)
    def crash_and_retry(self, which: int, calls: int) -> None:
        """The pod of a step is lost wherever it is, and the step is tried again."""
        run = self.runs[which % len(self.runs)]
        for actor in run.actors:
            actor.kill()
        self.step(run).advance(calls)

    @precondition(lambda self: self.actors() and self.runs)
    @rule(which=WHICH, heard=st.booleans(), calls=CALLS)
    def stop(self, which: int, heard: bool, calls: int) -> None:  # noqa: FBT001  # hypothesis gives it
        """Its exit handler begins; a step that has not ``heard`` of it goes on beside that."""
        run = self.runs[which % len(self.runs)]
        if heard:
            for actor in run.actors:
                actor.kill()
        self.exit_handler(run).advance(calls)

    @precondition(lambda self: self.actors() and self.runs)
    @rule(which=WHICH)
    def terminate(self, which: int) -> None:
        """No exit handler; its step is cut off from who could end it, and may wake up later."""
        self.scene.end(self.runs[which % len(self.runs)].promotion.owner)

    @precondition(lambda self: len(self.reconcilers) < RUNS - 1)
    @rule(calls=CALLS)
    def reconcile(self, calls: int) -> None:
        owner = self.scene.hand().owner
        actor = Actor(f"reconciler {owner}", partial(self.reconciles, owner))
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
        self.edit(WORKLOAD, self.name(which), {"spec": {"replicas": replicas}})

    @rule(which=st.integers(0, 3), value=st.sampled_from(["a", "b"]))
    def somebody_edits_the_template(self, which: int, value: str) -> None:
        change = {"metadata": {"annotations": {"somebody": value}}}
        self.edit(WORKLOAD, self.name(which), {"spec": {"template": change}})

    @rule(which=st.integers(0, 3))
    def somebody_deletes_a_deployment(self, which: int) -> None:
        if self.name(which) in self.scene.cluster.objects(WORKLOAD):
            self.by_hand = True
            self.scene.api.delete(WORKLOAD, self.name(which))
            self.by_hand = False
            self.gone.add(self.releases[which].release_id)

    @precondition(lambda self: self.scene.cluster.objects(SERVICE))
    @rule(which=st.integers(0, 3))
    def somebody_moves_the_pointer(self, which: int) -> None:
        release_id = self.releases[which].release_id
        selector = labels.pods(DEPLOYMENT, release_id)
        self.selector = None if release_id == self.scene.record.live else selector
        self.edit(SERVICE, DEPLOYMENT, {"spec": {"selector": selector}})

    @precondition(lambda self: self.selector)
    @rule()
    def the_pointer_is_put_back(self) -> None:
        self.selector = None
        target = labels.pods(DEPLOYMENT, self.scene.record.live or labels.NO_RELEASE)
        self.edit(SERVICE, DEPLOYMENT, {"spec": {"selector": target}})

    @rule(which=st.integers(0, 3))
    def a_directory_is_deleted(self, which: int) -> None:
        self.scene.spoil(self.releases[which])

    @rule(which=st.integers(0, 3))
    def a_directory_is_populated_again(self, which: int) -> None:
        self.scene.publish(self.releases[which])

    def teardown(self) -> None:
        try:
            self._converge()
            type(self).examples += 1
        finally:
            for actor in self.actors():
                actor.kill()

    def _converge(self) -> None:
        for actor in self.actors():
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
