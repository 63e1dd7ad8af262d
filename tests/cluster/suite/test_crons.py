"""What a clock starts, in the cluster: branches are followed by night, and the dead's work is put right.

The reconciler runs every minute here, beside all the rest.
"""

import re

import pytest

from steps.clients.clock import SystemClock
from steps.clients.kube.api import CRON_JOB, JOB, POD, WORKFLOW
from steps.core import argo, labels
from steps.core.installed import PROMOTE_TEMPLATE, RECONCILE_JOB, REFRESH_TEMPLATE
from steps.core.run import Run
from tests.cluster.suite.estate import Estate, told
from tests.cluster.suite.node import until
from workflows.cluster import by_hand

EVERY_MINUTE = "* * * * *"
CPU = {"device": "cpu"}
"""No GPU is needed to follow a branch."""


@pytest.fixture(scope="module")
def served(estate: Estate) -> Estate:
    estate.api.patch(CRON_JOB, RECONCILE_JOB, {"spec": {"suspend": False, "schedule": EVERY_MINUTE}})
    estate.catalog(**CPU)
    estate.publish(seed=1, **CPU)
    run = estate.promote()
    assert run.phase == "Succeeded", told(run)
    return estate


def night(estate: Estate) -> Run:
    """As the CronWorkflow would start it."""
    created = estate.api.create(WORKFLOW, argo.workflow(REFRESH_TEMPLATE, {}, generate_name="night-"))
    return estate.ended(created["metadata"]["name"])


def begun(estate: Estate) -> list[str]:
    """Promotions that no person began."""
    found = estate.api.list(WORKFLOW, labels=f"{labels.DEPLOYMENT}={estate.deployment},{labels.RELEASE}")
    return [w["metadata"]["name"] for w in found if w["spec"]["workflowTemplateRef"]["name"] == PROMOTE_TEMPLATE]


def summary(run: Run) -> str:
    assert run.phase == "Succeeded", told(run)
    return run.output("refresh", "summary")


def test_a_branch_that_has_not_moved_is_up_to_date(served):
    assert summary(night(served)) == "1 up to date"


def test_a_branch_that_has_moved_is_proposed_and_nothing_is_begun(served):
    served.publish(seed=2, **CPU)

    assert summary(night(served)) == "proposed: chat"
    assert begun(served) == []


def test_where_the_entry_says_so_it_is_promoted_once_at_the_commit_that_was_found(served):
    commit = served.publish(seed=2, **CPU)
    served.catalog(**CPU, refresh="promote")

    first, second = night(served), night(served)

    assert summary(first) == "promoted: chat"
    assert summary(second) in ("in flight: chat", "1 up to date")
    (promotion,) = begun(served)
    ended = served.ended(promotion)
    assert ended.phase == "Succeeded", told(ended)
    assert ended.parameters == {"model": served.model, "revision": commit, "deployment": "chat"}
    assert served.root() == served.directory(commit)


def test_what_has_failed_is_not_promoted_again_the_night_after(served):
    good, known = served.root(), begun(served)
    served.publish(seed=3, **CPU, answer="I do not know.")
    served.catalog(**CPU, refresh="promote")
    assert summary(night(served)) == "promoted: chat"
    (promotion,) = set(begun(served)) - set(known)
    assert served.ended(promotion).phase == "Failed"

    assert summary(night(served)) == "refused: chat"

    assert set(begun(served)) == {*known, promotion}
    assert served.root() == good


def test_a_run_that_is_ended_without_its_exit_handler_is_put_right_by_the_clock(served):
    good = served.root()
    served.publish("slow", seed=4, **CPU, fault="slow-start:600")
    promotion = served.submit("slow")
    served.reached(promotion, "deploy", begun=lambda: served.record().phase == "swapping")

    served.stop(promotion, "Terminate")

    until(lambda: served.record().phase == "idle", seconds=400)
    assert served.root() == good
    until(lambda: any("back at the previous release" in log for log in logs(served)))  # said when it is done
    assert by_the_clock(served)


def test_out_of_its_turn_it_finds_nothing_left_to_do(served):
    said: list[str] = []
    job = by_hand.start(served.api, RECONCILE_JOB, [f"--deployment={served.deployment}"])

    ended = by_hand.follow(served.api, job, SystemClock(), said.append)

    assert (ended.code, said) == (0, [])
    assert f"{served.deployment}: nothing unfinished" in ended.log


def test_no_reconciler_has_failed_meanwhile(served):
    jobs = served.api.list(JOB, labels=f"{labels.COMPONENT}=reconcile")

    assert jobs
    assert not [j["metadata"]["name"] for j in jobs if j.get("status", {}).get("failed")]


def by_the_clock(estate: Estate) -> list[str]:
    """Reconcilers that no person started: named for the CronJob and the minute."""
    jobs = estate.api.list(JOB, labels=f"{labels.COMPONENT}=reconcile")
    return [j["metadata"]["name"] for j in jobs if re.fullmatch(rf"{RECONCILE_JOB}-\d+", j["metadata"]["name"])]


def logs(estate: Estate) -> list[str]:
    pods = estate.api.list(POD, labels=f"{labels.COMPONENT}=reconcile")
    return [estate.api.log(pod["metadata"]["name"], "reconcile", 1000) for pod in pods]
