"""How far a step has come, as the UI and the follower see it."""

from dataclasses import replace

from steps.clients.kube.api import Json
from steps.core import argo
from tests.cluster.scripted.scenario import Part, Scenario

LONG = Scenario(name="long", script={"mirror": (Part(progress="3/5", seconds=90.0),)})
"""Argo passes it on once a minute, and at the end."""


def test_what_a_running_step_says_is_seen(house):
    name = house.begin(LONG)

    def told() -> Json | None:
        workflow = house.run(name)
        node = argo.run(workflow).node("mirror")
        return workflow if node and node.phase == "Running" and node.progress == "3/5" else None

    house.until(told)
    house.access.terminate(name)
    house.end(name)
    house.remove(name)


def test_a_run_that_is_done_has_come_all_the_way_whatever_its_steps_said_last(house):
    name = house.begin(replace(LONG, name="short", script={"mirror": (Part(progress="3/5", seconds=5.0),)}))

    done, whole = house.end(name)["status"]["progress"].split("/")

    assert done == whole
    house.remove(name)
