"""Submit and Resubmit from the UI. Retry, Stop and Terminate are among the scenarios of both engines."""

from dataclasses import replace

from steps.core import argo
from tests.cluster.argo import buttons
from tests.cluster.scripted.played import parameters
from tests.cluster.scripted.scenario import Scenario, fails
from tests.cluster.scripted.staged import template_name
from tests.stubs.rendered import manifest

AGAIN = Scenario(name="resubmitted", script={"mirror": (fails(12),)})


def test_a_run_that_is_submitted_again_is_another_run_which_begins_from_nothing(house):
    first = house.begin(AGAIN)
    failed = argo.run(house.end(first))
    house.tell(AGAIN, {})

    second = buttons.resubmit(house.access, first)
    run = argo.run(house.end(second))

    assert (failed.phase, run.phase) == ("Failed", "Succeeded")
    assert run.uid != failed.uid
    assert run.parameters == failed.parameters
    assert [len(n.attempts) for n in run.nodes if n.phase == "Succeeded"] == [1] * 9
    assert house.run(second)["metadata"]["labels"][buttons.RESUBMITTED] == first
    house.remove(first)
    house.remove(second)


def test_what_a_stopped_run_was_asked_for_is_carried_out_when_it_is_submitted_again(house):
    """argo-server leaves the order to stop out by itself; where there is none, a person's program has to: `buttons`."""
    scenario = replace(AGAIN, name="stopped-and-resubmitted", script={"resolve": (fails(10),)})
    first = house.begin(scenario)
    house.access.stop(first)
    house.end(first)
    house.tell(scenario, {})

    second = buttons.resubmit(house.access, first)

    assert argo.run(house.end(second)).phase == "Succeeded"
    house.remove(first)
    house.remove(second)


def test_the_template_can_be_submitted_from_its_page(house):
    scenario = replace(AGAIN, name="from-its-page", script={})
    house.prepare(scenario)
    given = parameters(scenario, manifest(scenario.template))

    name = buttons.submit(house.access, template_name(scenario), given, "from-its-page-")

    assert argo.run(house.end(name)).phase == "Succeeded"
    house.remove(name)
