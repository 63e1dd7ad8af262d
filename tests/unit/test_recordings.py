"""What Argo's controller did with our templates, and what the local engine does with the same: steps that only act.

The recordings are made by `make argo-record`.
"""

from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from steps.core.run import Run
from tests.cluster.scripted import recording
from tests.cluster.scripted.comparison import differences
from tests.cluster.scripted.played import play_quickly
from tests.cluster.scripted.scenarios import TABLE, WAITS_IN_VAIN

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


@pytest.mark.parametrize("scenario", TABLE.values(), ids=lambda scenario: scenario.name)
def test_both_engines_do_the_same(scenario, played):
    recorded = [recording.read(life, scenario) for life in recording.load(scenario)]

    found = differences(scenario, recorded, played[scenario.name].result())

    assert not found, "\n" + "\n".join(found)
