"""Argo's buttons, pressed while each step of a whole promotion is at work: what clients have then, and how it goes on.

Each test leaves one release serving, whichever it is, and tells a line of the table that OPERATIONS.md sums up.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count

import pytest

from steps.clients.kube.api import CRON_JOB, WORKFLOW
from steps.contracts import CHECKSUM, DEPLOY, MIRROR, POPULATE, PREFLIGHT, PROMOTE, RESOLVE, ROLLBACK, SMOKE
from steps.core import argo
from steps.core.installed import RECONCILE_JOB
from steps.core.run import Run
from steps.errors import StepError
from tests.cluster.argo import buttons
from tests.cluster.argo.premises import Premises, premises
from tests.stubs.machine import served_root

STEPS = [step.name for step in (RESOLVE, PREFLIGHT, MIRROR, POPULATE, CHECKSUM, DEPLOY, SMOKE, PROMOTE)]
IN_FLIGHT = [DEPLOY.name, SMOKE.name, PROMOTE.name]
SLOW_START = {"fault": "slow-start:8"}
SLOW_ANSWER = {"fault": "slow:1"}
WRONG = {**SLOW_START, "answer": "I do not know."}
STORE_SECONDS = 0.3
"""For what the store says: so that a step which asks it lasts, and can be met at work."""
LOOK_SECONDS = 0.05
"""Some steps are at work for half a second."""
REACHED_SECONDS = 300.0
ENDED_SECONDS = 180.0
SETTLED_SECONDS = 35.0
"""Not earlier may a run be retried, as the README says."""
NUMBERS = count(1)

pytestmark = pytest.mark.timeout(900)
Deed = Callable[[Premises, str], object]


@dataclass(frozen=True)
class Met:
    """A run whose step was at work as something was done to it; ``before`` is the commit that served."""

    at: Premises
    run: str
    commit: str
    before: str

    @property
    def serves(self) -> str:
        """Which model clients get, as they find out."""
        root = served_root(self.at.url).rpartition("/")[2]
        return {self.commit: "new", self.before: "old"}[root]

    def ended(self) -> Run:
        return self.at.ended(self.run)

    def gone(self) -> None:
        """Once it was deleted, and its pods with it."""
        self.at.house.until(lambda: None if self.at.house.began(self.run) else True)

    def retried(self) -> Run:
        """To its end."""
        time.sleep(SETTLED_SECONDS)
        self.at.house.access.retry(self.run)
        return self.ended()

    def reconciled(self) -> str:
        """As the reconciler does, which comes every ten minutes: what it says once the run's last pod has ended."""
        deadline = time.monotonic() + ENDED_SECONDS
        while True:
            told = self.at.person.run("reconcile")
            assert told.code == 0, told.text
            said = [line.rpartition(": ")[2] for line in told.text.splitlines() if self.at.deployment in line]
            if self.at.record().phase == "idle":
                return "; ".join(said) or "nothing to do"
            assert time.monotonic() < deadline, told.text


@pytest.fixture(scope="module")
def installed(house, tmp_path_factory):
    with premises(house, tmp_path_factory.mktemp("premises")) as made:
        made.install("--take-over")
        made.publish(seed=next(NUMBERS))
        assert made.ended(made.submit()).phase == "Succeeded"
        made.store.down = late
        made.api.patch(CRON_JOB, RECONCILE_JOB, {"spec": {"suspend": True}})  # else what it finds is a matter of luck
        yield made


def late(data: bytes) -> bytes:
    time.sleep(STORE_SECONDS)
    return data


@pytest.fixture
def meet(installed: Premises) -> Callable[..., Met]:
    """Begin a promotion, wait until the step is at work, and do something to its run then."""

    def meet(step: str, deed: Deed, stub: dict[str, str] | None = None) -> Met:
        before = installed.serves()
        commit = installed.publish(seed=next(NUMBERS), **(stub or (SLOW_ANSWER if step == SMOKE.name else SLOW_START)))
        run, deadline = installed.submit(), time.monotonic() + REACHED_SECONDS
        while not (installed.house.at_work(run, step) and in_the_middle(installed, step)):
            assert time.monotonic() < deadline, f"{step} did not begin"
            assert not argo.is_over(argo.run(installed.house.run(run))), f"{step} was missed"
            time.sleep(LOOK_SECONDS)
        deed(installed, run)
        return Met(installed, run, commit, before)

    return meet


def in_the_middle(at: Premises, step: str) -> bool:
    """Of deploy, that is when nothing serves: before, it prepares."""
    return step != DEPLOY.name or at.record().phase == "swapping"


def stop(at: Premises, run: str) -> None:
    at.house.access.stop(run)


def terminate(at: Premises, run: str) -> None:
    at.house.access.terminate(run)


def delete(at: Premises, run: str) -> None:
    at.api.delete(WORKFLOW, run)


def ended_well(run: Run, step: str) -> bool:
    """The very moment of the Stop. argo-server then finds nothing to do anew, and its Retry ends as it began."""
    node = run.node(step)
    return bool(node and node.attempts and node.attempts[-1].phase == "Succeeded")


def outcome(run: Run) -> str:
    """Of its exit handler, as it tells."""
    return run.output("rollback", "outcome") or "none"


@pytest.mark.parametrize("step", STEPS)
def test_who_stops_a_run_finds_one_release_serving_and_who_waits_behind_it_has_his_turn(meet, step, measured):
    """Before Stop: Resubmit, which makes a run that waits, and Retry, which a run that is at work cannot have."""
    pressed = {}

    def press(at: Premises, run: str) -> None:
        pressed["second"] = buttons.resubmit(at.house.access, run)
        with pytest.raises(StepError) as refused:
            at.house.access.retry(run)
        pressed["retry"] = str(refused.value)
        at.house.access.stop(run)

    met = meet(step, press)
    first, second = met.ended(), met.at.ended(pressed["second"])
    again = met.retried()

    assert (first.phase, second.phase) == ("Failed", "Succeeded"), (first, second)
    assert again.phase == ("Failed" if ended_well(first, step) else "Succeeded"), again
    assert (met.serves, met.at.record().phase) == ("new", "idle")
    measured(
        f"{step}: Retry: {pressed['retry']}; Stop: rollback {outcome(first)}; Resubmit: "
        f"{second.output('report', 'outcome')}; Retry then: {again.output('report', 'outcome')}"
    )


@pytest.mark.parametrize("step", STEPS)
def test_who_terminates_a_run_leaves_it_to_the_reconciler_and_may_retry_it(meet, step, measured):
    met = meet(step, terminate)
    run, left = met.ended(), met.at.record().phase

    assert run.phase == "Failed", run
    said, after = met.reconciled(), met.serves
    assert after == "old" or step == PROMOTE.name
    again = met.retried()
    assert (again.phase, met.serves) == ("Succeeded", "new"), again
    measured(
        f"{step}: Terminate: record {left}; reconciler: {said}, {after} serves; "
        f"Retry: {again.output('report', 'outcome')}"
    )


@pytest.mark.parametrize("step", IN_FLIGHT)
def test_who_terminates_a_run_may_retry_it_before_any_reconciler_came(meet, step, measured):
    met = meet(step, terminate)
    run, left = met.ended(), met.at.record().phase

    assert run.phase == "Failed", run
    again = met.retried()
    assert (again.phase, met.serves, met.at.record().phase) == ("Succeeded", "new", "idle"), again
    measured(f"{step}: Terminate: record {left}; Retry at once: {again.output('report', 'outcome')}")


@pytest.mark.parametrize("step", STEPS)
def test_who_deletes_a_run_leaves_it_to_the_reconciler_and_begins_a_new_one(meet, step, measured):
    met = meet(step, delete)
    met.gone()

    left, said = met.at.record().phase, met.reconciled()
    after = met.serves
    assert after == "old" or step == PROMOTE.name
    new = met.at.ended(met.at.submit())
    assert (new.phase, met.serves) == ("Succeeded", "new"), new
    measured(f"{step}: Delete: record {left}; reconciler: {said}, {after} serves; Submit: promoted")


@pytest.mark.parametrize("deed", [stop, terminate, delete])
def test_who_ends_a_run_in_its_rollback_has_the_old_model_back(meet, deed, measured):
    met = meet(ROLLBACK.name, deed, WRONG)
    if deed is not delete:
        met.ended()
    else:
        met.gone()

    left, said = met.at.record().phase, met.reconciled()
    assert met.serves == "old"
    assert met.at.record().refused
    measured(f"rollback: {deed.__name__}: record {left}; reconciler: {said}, old serves")
