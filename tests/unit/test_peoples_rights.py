"""What people may do by the Roles that are bound to them, tried with the commands' own code."""

import pytest

from steps.clients.kube.api import DEPLOYMENT, POD, SERVICE, WORKFLOW
from steps.clients.kube.errors import Forbidden
from steps.clients.kube.serving import KubeServing
from steps.core import argo
from steps.core.labels import PROJECT
from steps.core.record import Record
from steps.core.workload import Where
from tests.stubs.kube import FakeApi
from tests.stubs.scene import FakeClock
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
