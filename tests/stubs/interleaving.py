"""Promotions, crashes, retries, stops, reconcilers and people, at one deployment, in any order, at every call.

A hypothesis machine: each run is frozen ahead of each of its calls, and goes on when it is let. Five invariants hold
at each write and after each step:

1. at most one release gets clients, and it is the record's, unless a person has moved the pointer and still wants that
2. what clients are sent to was read by ``checksum``, and its pods, as who sends them saw them last, have been asked
3. nothing that serves or is the rollback target is deleted by us, and what serves is stopped only to make room
   (``recreate``), or to be started again
4. where nothing is in flight, what is live is to have the replicas that it had, unless a person has made them fewer
5. who has lost the record changes no Deployment: neither knowingly, nor after one who knew a newer record

In the end all runs are gone, people have undone what they did, a reconciler goes back, what is live then serves, and a
further promotion converges.
"""

import sys
from dataclasses import replace
from functools import partial

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule, run_state_machine_as_test

from steps.clients.kube.api import DEPLOYMENT as WORKLOAD
from steps.errors import RollbackFailed, StepError
from tests.stubs.actor import Actor
from tests.stubs.deeds import DEEDS, puts_the_pointer_back
from tests.stubs.exploring import Promotion, undisturbed
from tests.stubs.invariants import Run, Watching
from tests.stubs.scene import DEPLOYMENT, make_release
from tests.stubs.watched import is_write

RUNS = 3
"""In flight at a time: beyond two, nothing new was seen to happen."""
WHICH = st.integers(0, 7)
CALLS = st.integers(1, 160)
START_SECONDS = 30
"""Ten times what a pod takes to end and another one to be ready."""


class Interleaving(Watching):
    @precondition(lambda self: len(self.runs) < RUNS)
    @rule(which=st.integers(0, 3), calls=CALLS)
    def promote(self, which: int, calls: int) -> None:
        """By a run of its own; whoever is at it already is not asked."""
        run = Run(Promotion(self.scene, self.releases[which]))
        self.runs.append(run)
        self.step(run).advance(calls)

    @rule(which=WHICH, calls=CALLS)
    def go_on(self, which: int, calls: int) -> None:
        """Where nobody is at it, somebody begins."""
        if self.actors():
            self.one(which).advance(calls)
        else:
            self.promote(which % len(self.releases), calls)

    @precondition(lambda self: self.actors())
    @rule(which=WHICH, writes=st.integers(1, 12))
    def go_on_to_a_write(self, which: int, writes: int) -> None:
        """It stands ahead of it, and what it will do rests on what it has seen."""
        actor = self.one(which)
        for _ in range(writes):
            if actor.until(is_write):
                actor.advance()
        actor.until(is_write)

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

    @rule(which=st.integers(0, 3), deed=st.sampled_from(sorted(DEEDS)))
    def somebody(self, deed: str, which: int) -> None:
        """One rule for all of them: as many as there are of the runs would leave these no turn."""
        DEEDS[deed](self, which)

    def teardown(self) -> None:
        try:
            if sys.exc_info()[0] is None:  # what has failed already need not converge
                self._converge()
                type(self).examples += 1
        finally:
            for actor in self.actors():
                actor.kill()

    def _converge(self) -> None:
        for actor in self.actors():
            actor.kill()
        self.scene.end(*(run.promotion.owner for run in self.runs), *(owner for owner, _ in self.reconcilers))
        puts_the_pointer_back(self)
        last = make_release("9")
        self.scene.publish(*self.releases, last)
        self._what_was_lowered_is_put_back()
        self.time_passes(5.0)
        self._go_back()
        self._check_serves()
        self.promotes(last)
        record = self.scene.record
        assert self.scene.serves(last)
        assert (record.phase, record.owner, record.live) == ("idle", None, last.release_id)
        assert set(self.scene.workloads) <= {record.live, record.previous}
        assert self.scene.running == {record.live}

    def _what_was_lowered_is_put_back(self) -> None:
        for release_id in self.lowered & set(self.scene.workloads):
            replicas = self.scene.known[release_id].replicas
            self.edit(WORKLOAD, f"{DEPLOYMENT}-{release_id}", {"spec": {"replicas": replicas}})

    def _go_back(self) -> None:
        """Where a person has deleted what serves, as the sentence says: it is promoted again first."""
        live = self.scene.record.live
        try:
            self.reconciles(self.scene.hand().owner, undisturbed)
        except RollbackFailed:
            if live in {None, *self.scene.workloads}:
                raise
        live = self.scene.record.live
        if live and live not in self.scene.workloads:
            self.promotes(self.scene.known[live])

    def _check_serves(self) -> None:
        """What the record says, within the time of a start; the weights are there, and so is room."""
        live = self.scene.record.live
        if live is None:
            return
        release = replace(self.scene.known[live], replicas=max(self.scene.workloads[live], 1))
        for _ in range(START_SECONDS):
            if self.scene.serves(release):
                return
            self.scene.clock.sleep(1.0)
        raise AssertionError(f"what is live does not serve: {self.scene.told}")


def explored(machine: type[Interleaving], examples: int) -> str:
    """What was done, in words. The same each time, so that it fails for a change and never by luck."""
    before, moved = machine.examples, machine.moves
    run_state_machine_as_test(machine, settings=_settings(examples, Phase.generate, Phase.shrink))
    done, moves = machine.examples - before, machine.moves - moved
    assert done >= examples
    assert moves >= examples / 2
    return f"{done} interleavings with strategy {machine.strategy}: the pointer was moved {moves} times"


def found(machine: type[Interleaving], examples: int, tries: int) -> str:
    """What is wrong, in words, which so many examples have to show; where it is found is enough.

    Each try begins somewhere else: what most find within a hundred, one did not in a thousand.
    """
    before = machine.examples
    try:
        for _ in range(tries):
            anywhere = settings(_settings(examples, Phase.generate), derandomize=False)
            run_state_machine_as_test(machine, settings=anywhere)
    except (AssertionError, StepError) as err:
        return f"found after {machine.examples - before} interleavings: {type(err).__name__}: {err}"
    raise AssertionError(f"not found by {tries} times {examples} interleavings")


def _settings(examples: int, *phases: Phase) -> settings:
    """What Hypothesis draws depends on which modules are loaded beside, and on nothing else."""
    return settings(
        max_examples=examples,
        stateful_step_count=20,
        derandomize=True,
        database=None,
        deadline=None,
        phases=phases,
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
    )
