"""The whole pipeline by Argo: the real images, a store, a Hub, and a model server that is quick and fails on demand."""

import pytest

from steps.clients.kube.api import CRON_WORKFLOW, WORKFLOW
from steps.core import labels
from steps.core.installed import REFRESH_TEMPLATE
from tests.cluster.argo.premises import MODEL, Premises, premises
from tests.cluster.scripted.scenario import Interruption

WRONG = {"answer": "I do not know."}
SLOW = {"fault": "slow-start:40"}
EVERY_MINUTE = "* * * * *"


@pytest.fixture(scope="module")
def installed(house, tmp_path_factory):
    """It stays: the accounts are the other tests' too."""
    with premises(house, tmp_path_factory.mktemp("premises")) as made:
        made.install("--take-over")
        yield made


@pytest.fixture(scope="module")
def served(installed: Premises):
    """Its tests leave a good model serving."""
    commit = installed.publish(seed=1)
    ended = promote(installed)
    assert ended.code == 0, ended.text
    assert installed.serves() == commit
    return installed


def promote(at: Premises):
    asked = ("--model", MODEL, "--deployment", at.deployment)
    return at.person.end(at.person.start("promote", *asked), 400)


def by_the_steps_own_sentence(run, step: str, code: int) -> str:
    failure = run.failure()
    assert failure, run
    node, attempt = failure
    assert (node.name, attempt.exit_code) == (step, code), run
    return str(attempt.message)


def test_what_serves_already_is_not_done_again(served):
    before = served.record()

    ended = promote(served)

    assert ended.code == 0, ended.text
    assert served.record() == before


def test_a_program_upgrades_by_the_api(served):
    commit = served.publish(seed=2)

    run = served.ended(served.submit())

    assert run.phase == "Succeeded", run
    assert run.output("report", "outcome") == "promoted"
    assert served.serves() == commit


def test_one_that_answers_nonsense_is_refused_and_the_old_one_serves_again(served):
    good = served.serves()
    served.publish(seed=3, **WRONG)

    ended = promote(served)

    assert ended.code == 1, ended.text
    assert "I do not know" in ended.text
    assert served.serves() == good
    assert served.record().refused


def test_the_night_promotes_where_the_catalog_says_so(served):
    commit = served.publish(seed=4)
    served.install(refresh="promote")
    before = served.runs()
    try:
        served.api.patch(CRON_WORKFLOW, REFRESH_TEMPLATE, {"spec": {"schedules": [EVERY_MINUTE]}})
        served.house.until(lambda: {"names": names} if (names := served.runs() - before) else None)
    finally:
        served.install("--take-over")

    (run,) = served.runs() - before
    assert served.ended(run).phase == "Succeeded"
    assert served.serves() == commit


@pytest.mark.parametrize("deed", ["Stop", "Terminate"])
def test_a_run_that_was_cut_short_while_it_started_the_model_is_gone_on_with(served, deed):
    good = served.serves()
    commit = served.publish(seed=5 if deed == "Stop" else 6, **SLOW)
    name = served.submit()
    served.house.interrupt(name, Interruption("deploy", deed))
    cut = served.ended(name)
    assert (cut.phase, cut.message) == ("Failed", f"Stopped with strategy '{deed}'")
    if deed == "Stop":
        assert served.serves() == good

    served.house.access.retry(name)
    run = served.ended(name)

    assert run.phase == "Succeeded", run
    assert served.serves() == commit


def test_a_name_that_cannot_be_is_refused_by_the_first_step_and_makes_no_error_of_the_run(served):
    name = served.submit(deployment="Chat Bot!")
    run = served.ended(name)

    assert run.phase == "Failed"
    assert "deployment 'Chat Bot!' cannot be used" in by_the_steps_own_sentence(run, "resolve", 10)
    workflow = served.api.get(WORKFLOW, name)
    assert workflow["metadata"]["labels"][labels.DEPLOYMENT] == "refused"
