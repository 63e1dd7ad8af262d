"""Kill a promotion at its worst moments on a real API server, with real pods; what comes next puts it right.

A sample of what tests/faults/test_switch_killed.py does at every call. The steps run here, with the rights that they
have in the cluster, on a deployment whose tests follow one another: each leaves one release serving.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from steps import reconcile
from steps.clients import chat
from steps.clients.kube.api import POD, WORKFLOW
from steps.clients.kube.serving import KubeServing
from steps.contracts import DeployInputs, PromoteInputs, RollbackInputs, SmokeInputs
from steps.core import labels
from steps.core.budget import Patience
from steps.core.names import Layout
from steps.core.record import Phase
from steps.core.release import Release, Strategy
from steps.deploy import deploy
from steps.promote import promote
from steps.rollback import rollback
from steps.smoke import smoke
from steps.stage import Stage
from tests.cluster.suite.estate import KEY, Estate
from tests.cluster.suite.serving_bench import ClusterBench
from tests.stubs.machine import served_root
from tests.stubs.scene import Killed
from tests.stubs.store import FakeStore
from tests.stubs.watched import ANSWER, Moments, WatchedApi

pytestmark = pytest.mark.timeout(600)

At = Callable[[str], None]


class House:
    """One deployment of the estate, and the runs that work on it."""

    def __init__(self, estate: Estate) -> None:
        self.estate, self.bench = estate, ClusterBench(estate)
        self.workflows: dict[str, str] = {}
        self.number = 0
        self.first = self.release("blue-green")

    def release(self, strategy: Strategy) -> Release:
        self.number += 1
        return replace(self.bench.release(self.number), strategy=strategy)

    def begin(self) -> str:
        owner = self.bench.live()
        self.workflows[owner] = self.bench.called(owner)
        return owner

    def end(self, owner: str) -> None:
        """As a person deletes it: no exit handler, and nobody who retries."""
        self.estate.api.delete(WORKFLOW, self.workflows[owner])

    def stage(self, at: At = lambda _call: None) -> Stage:
        serving = self.bench.serving
        assert isinstance(serving, KubeServing)
        return Stage(
            deployment=self.bench.deployment,
            serving=replace(serving, api=WatchedApi(serving.api, Moments(at))),
            chat=chat.connect(self.estate.settings()),
            clock=serving.clock,
            patience=Patience(request=20.0, startup=90.0, retry_base=0.5),
            volume=Path("/models"),
        )

    def promote(self, release: Release, owner: str, at: At = lambda _call: None) -> None:
        stage = self.stage(at)
        named: dict[str, Any] = {
            "deployment": stage.deployment,
            "release_id": release.release_id,
            "run": owner,
            "owner": owner,
        }
        deploy(DeployInputs(**named), stage, release)
        proof = smoke(SmokeInputs(**named), stage, release, FakeStore, Layout("")).proof
        promote(PromoteInputs(**named, proof=proof), stage, release)

    def killed(self, release: Release, call: str, phase: Phase) -> str:
        """The owner of a promotion that was killed ahead of such a call in that phase."""
        owner = self.begin()

        def at(made: str) -> None:
            if made.startswith(call) and self.bench.serving.read().record.phase == phase:
                raise Killed

        with pytest.raises(Killed):
            self.promote(release, owner, at)
        return owner

    def check(self, release: Release, previous: Release | None) -> None:
        """It serves, alone; nothing is in flight, and nothing is there that the record does not name."""
        held, serving = self.bench.serving.read(), self.bench.serving
        assert (held.record.phase, held.record.owner, held.record.candidate) == ("idle", None, None)
        assert (held.record.live, held.target) == (release.release_id, release.release_id)
        assert held.record.previous == (previous.release_id if previous else None)
        wanted = labels.selector(labels.servers(serving.deployment))  # type: ignore[attr-defined]  # of this adapter
        pods = [p for p in self.estate.api.list(POD, labels=wanted) if "deletionTimestamp" not in p["metadata"]]
        assert {p["metadata"]["labels"][labels.RELEASE] for p in pods} == {release.release_id}
        assert served_root(serving.url, key=KEY).endswith(release.commit)


@pytest.fixture(scope="module")
def house(estate: Estate) -> House:
    """The first release serves."""
    made = House(estate)
    owner = made.begin()
    made.promote(made.first, owner)
    made.end(owner)
    made.check(made.first, None)
    return made


def test_killed_when_room_is_made_and_nothing_serves_the_reconciler_brings_the_old_one_back(house):
    candidate = house.release("recreate")
    owner = house.killed(candidate, "create deployments", "swapping")
    assert house.bench.serving.replicas(house.first.release_id) == 0
    house.end(owner)
    reconcile.settle(house.stage(), house.begin())
    house.check(house.first, None)


def test_killed_ahead_of_the_move_of_the_pointer_its_exit_handler_goes_back(house):
    candidate = house.release("blue-green")
    owner = house.killed(candidate, "apply services", "testing")
    named = RollbackInputs(deployment=house.bench.deployment, run=owner, owner=owner)
    assert rollback(named, house.stage()).outcome == "rolled-back"
    house.check(house.first, None)
    house.end(owner)


def test_killed_before_it_heard_that_the_pointer_moved_the_next_promotion_completes_it_first(house, tell):
    candidate, third = house.release("blue-green"), house.release("blue-green")
    owner = house.killed(candidate, ANSWER, "draining")
    assert house.bench.serving.read().target == candidate.release_id
    house.end(owner)
    house.promote(third, house.begin())
    house.check(third, candidate)
    tell("3 crash points on the real API: the reconciler, the exit handler and a new promotion put them right")
