"""Two runs of one deployment: the second waits for the first, and only Argo and the local engine's Stop differ."""

from dataclasses import replace

from steps.core import argo
from tests.cluster.scripted.scenario import Part, Scenario, fails

LONG = Part(seconds=30.0)
TWO = Scenario(name="two-at-once", script={"resolve": (LONG,), "preflight": (fails(11),)})


def test_a_second_run_waits_for_the_first_and_its_exit_handler_and_says_so(house):
    first, second = house.begin(TWO), house.begin(TWO)
    house.until(lambda: house.at_work(first, "resolve"))

    waiting = argo.run(house.until(lambda: house.waits(second)))
    ended = argo.run(house.end(first)), argo.run(house.end(second))

    assert waiting.phase == "Pending"
    assert waiting.message == f"waits for {first}, which holds vllm-promote-{TWO.name}"
    begun = ended[1].node("resolve")
    assert begun
    assert begun.attempts[0].started >= (ended[0].finished or 0)
    house.remove(first)
    house.remove(second)


def test_a_run_that_is_stopped_while_it_waits_runs_its_exit_handler_when_its_turn_comes(house):
    """The local engine does nothing at all then. So a rollback has to look whether there is anything of its own."""
    scenario = replace(TWO, name="stopped-while-it-waits")
    first, second = house.begin(scenario), house.begin(scenario)
    house.until(lambda: house.waits(second))

    house.access.stop(second)
    ended = argo.run(house.end(first)), argo.run(house.end(second))

    assert ended[1].phase == "Failed"
    assert house.began(second) == {"rollback", "report"}
    report = ended[1].node("report")
    assert report
    assert report.attempts[0].started >= (ended[0].finished or 0)
    house.remove(first)
    house.remove(second)


def test_runs_of_two_deployments_do_not_wait_for_each_other(house):
    other = replace(TWO, name="another-deployment")
    first, second = house.begin(replace(TWO, name="one-deployment")), house.begin(other)

    house.until(lambda: house.at_work(first, "resolve"))
    house.until(lambda: house.at_work(second, "resolve"))

    for run in (first, second):
        house.access.terminate(run)
        house.end(run)
        house.remove(run)
