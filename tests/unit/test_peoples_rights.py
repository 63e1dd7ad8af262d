"""What people may do by the Roles that are bound to them, tried with the commands' own code."""

import pytest

from steps.clients.kube.api import DEPLOYMENT, POD, SERVICE, WORKFLOW
from steps.clients.kube.errors import Forbidden
from steps.clients.kube.runs import KubeRuns
from steps.clients.kube.serving import KubeServing
from steps.core import argo
from steps.core.labels import PROJECT
from steps.core.record import Record
from steps.core.refresh import Found, run_name
from steps.core.workload import Where
from steps.errors import Conflict
from steps.refresh import Outside, refresh
from steps.scheduled import RefreshInputs
from tests.stubs.kube import FakeApi
from tests.stubs.scene import FakeClock, make_release
from workflows.allow import lift
from workflows.argo.direct import Direct
from workflows.cluster import rights

KINDS = (SERVICE, DEPLOYMENT, POD, WORKFLOW)
VERBS = ("get", "list", "watch", "create", "update", "patch", "delete")
REFUSED = "ab12ab12ab12"


def person(api, *roles):
    """From now on ``api`` is asked by somebody to whom these Roles are bound."""
    rules = [rule for role in roles for rule in rights.ROLES[f"{PROJECT}-{role}"][0]]
    given = {(verb, resource) for rule in rules for resource in rule.resources for verb in rule.verbs}
    api.forbidden = {(verb, kind.plural) for kind in KINDS for verb in VERBS} - given


@pytest.fixture
def api():
    return FakeApi()


@pytest.fixture
def serving(api):
    made = KubeServing(api, "chat", Where(claim="models", volume="/models"), FakeClock())
    made.swap(made.read(), Record(refused=(REFUSED,)))
    return made


def test_who_may_allow_lets_a_refused_release_be_tried_again(api, serving):
    person(api, "allow")
    lift(serving, "chat", REFUSED)
    assert serving.read().record.refused == ()


def test_who_may_allow_and_see_no_runs_is_told_all_the_same_that_one_is_at_work(api, serving):
    serving.swap(serving.read(), Record(refused=(REFUSED,), phase="swapping", candidate="a" * 12, owner="uid-9"))
    person(api, "allow")
    with pytest.raises(Conflict, match="run uid-9 is at work on chat"):
        lift(serving, "chat", REFUSED)


def test_who_may_only_start_runs_may_not(api, serving):
    person(api, "start")
    with pytest.raises(Forbidden, match="no right to patch services"):
        lift(serving, "chat", REFUSED)
    assert serving.read().record.refused == (REFUSED,)


@pytest.mark.parametrize("end", ["stop", "terminate"])
def test_who_may_start_runs_may_end_them(api, end):
    person(api, "start")
    runs = Direct(api)
    runs.submit(argo.workflow("vllm-promote", {"deployment": "chat"}, name="promote-1"))
    getattr(runs, end)("promote-1")
    assert "shutdown" in api.get(WORKFLOW, "promote-1")["spec"]


def test_the_nightly_refresh_does_its_work_with_its_rights_and_has_no_other(api, serving):
    live = make_release("1")
    held = serving.swap(serving.read(), Record(phase="swapping", candidate=live.release_id, owner="earlier"))
    serving.ensure(live, 1, "earlier")
    serving.swap(held, Record(live=live.release_id))
    found = Found(
        deployment="chat", model="org/tiny", revision="main", refresh="promote", commit="2" * 40, release_id=REFUSED
    )
    person(api, "refresh")
    api.calls.clear()

    outside = Outside(serving=lambda _name: serving, runs=KubeRuns(api), flag="")
    assert refresh(RefreshInputs(run="night-1"), [found], outside).summary == "promoted: chat"
    KubeRuns(api).promote(run_name(found, "night-1"), found.parameters, {})  # as another attempt of it would

    asked = {tuple(call.partition("/")[0].split()) for call in api.calls}
    assert asked == {(verb, each) for rule in rights.REFRESHING for each in rule.resources for verb in rule.verbs}
