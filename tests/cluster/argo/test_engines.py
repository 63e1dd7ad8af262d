"""Argo's controller and the local engine, given the same manifest and the same steps, do the same."""

import pytest

from tests.cluster.scripted import recording
from tests.cluster.scripted.comparison import differences
from tests.cluster.scripted.played import play_quickly
from tests.cluster.scripted.scenarios import TABLE


@pytest.mark.parametrize("scenario", TABLE.values(), ids=lambda scenario: scenario.name)
def test_both_engines_do_the_same(scenario, house, tmp_path, pytestconfig):
    lives = [recording.trimmed(workflow, executor) for workflow, executor in house.play(scenario)]
    if pytestconfig.getoption("--record"):
        recording.save(scenario, lives)

    found = differences(scenario, [recording.read(life, scenario) for life in lives], play_quickly(scenario, tmp_path))

    assert not found, "\n" + "\n".join(found)
