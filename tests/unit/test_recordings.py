"""What Argo's controller did with our templates, and what the local engine does with the same: steps that only act.

The recordings are made by `make argo-record`.
"""

from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from steps.clients.kube.api import POD
from steps.core import argo
from steps.core.run import Run
from tests.cluster.argo.house import House
from tests.cluster.scripted import recording
from tests.cluster.scripted.comparison import differences
from tests.cluster.scripted.played import play_quickly
from tests.cluster.scripted.scenarios import TABLE, WAITS_IN_VAIN
from tests.stubs.kube import FakeApi
from tests.stubs.recorded import workflow as recorded
from workflows.argo.direct import Direct

AT_A_TIME = 8
"""They mostly wait for the engine to look again."""


@pytest.fixture(scope="module")
def played(tmp_path_factory) -> Mapping[str, Future[list[Run]]]:
    with ThreadPoolExecutor(AT_A_TIME) as threads:
        return {name: threads.submit(play_quickly, s, tmp_path_factory.mktemp(name)) for name, s in TABLE.items()}


def test_argo_waits_before_it_gives_up_and_the_local_engine_does_not(played):
    recorded, here = (
        recording.read(recording.load(WAITS_IN_VAIN)[0], WAITS_IN_VAIN),
        played[WAITS_IN_VAIN.name].result()[0],
    )

    assert between(recorded, "resolve", "rollback") >= WAITS_IN_VAIN.retry_base_seconds
    assert between(here, "resolve", "rollback") < WAITS_IN_VAIN.retry_base_seconds


def between(run: Run, first: str, second: str) -> float:
    """Seconds from the end of one step to the beginning of another."""
    before, after = run.node(first), run.node(second)
    assert before
    assert after
    return after.attempts[0].started - (before.attempts[-1].finished or 0)


def test_a_recording_says_by_which_argo_and_when_it_was_made():
    argos, unseen = "quay.example/argoexec:v4.1.2", ""
    made = recording.trimmed(recorded("promoted"), argos)

    assert (made["executor"], made["recorded"]) == (argos, recorded("promoted")["status"]["startedAt"][:10])
    assert "executor" not in recording.trimmed(recorded("promoted"), unseen)
    assert made["startedAt"] == recording.MIDNIGHT.isoformat()


def test_who_made_it_makes_no_other_run_of_it():
    made = recording.trimmed(recorded("promoted"), "quay.example/argoexec:v4.1.2")
    older = {key: value for key, value in made.items() if key not in ("executor", "recorded")}

    assert recording.read(made, TABLE["good"]) == recording.read(older, TABLE["good"])


def test_which_argo_it_is_is_seen_by_the_container_that_it_puts_beside_the_steps():
    api = FakeApi()
    house = House(api=api, access=Direct(api), image="python")
    assert house.executor("run-1") == ""

    containers = [{"name": "main", "image": "python"}, {"name": "wait", "image": "quay.example/argoexec:v4.1.2"}]
    made = {"metadata": {"name": "run-1-mirror", "labels": {argo.RUN: "run-1"}}, "spec": {"containers": containers}}
    api.create(POD, made)
    assert house.executor("run-1") == "quay.example/argoexec:v4.1.2"


def test_all_that_may_happen_is_recorded():
    assert [name for name in TABLE if not recording.exists(TABLE[name])] == []


@pytest.mark.parametrize("scenario", TABLE.values(), ids=lambda scenario: scenario.name)
def test_both_engines_do_the_same(scenario, played):
    recorded = [recording.read(life, scenario) for life in recording.load(scenario)]

    found = differences(scenario, recorded, played[scenario.name].result())

    assert not found, "\n" + "\n".join(found)
