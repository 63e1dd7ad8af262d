import pytest

from steps.clients.kube.api import WORKFLOW
from steps.clients.kube.runs import KubeRuns
from steps.clients.runs import connect
from steps.core import argo
from steps.core.standstill import LASTING_SECONDS
from steps.errors import Conflict, Missing
from steps.ports.runs import Unfinished
from steps.settings import from_environment
from tests.stubs.kube import FakeApi
from tests.stubs.recorded import workflow as recorded
from tests.stubs.scene import FakeClock

PENDING_SINCE = 1_795_405_956.0
"""When the recorded pod was made."""
CHAT = {"model": "o/n", "revision": "c" * 40, "deployment": "chat"}


@pytest.fixture
def api():
    return FakeApi()


@pytest.fixture
def runs(api):
    return KubeRuns(api)


def test_a_promotion_is_a_thin_workflow_with_every_parameter_given(api, runs):
    assert runs.promote("night-chat", CHAT, {"vllm-promote/release": "r"})

    made = api.get(WORKFLOW, "night-chat")
    assert made["spec"]["workflowTemplateRef"] == {"name": "vllm-promote"}
    assert {p["name"]: p["value"] for p in made["spec"]["arguments"]["parameters"]} == CHAT
    assert made["metadata"]["labels"]["vllm-promote/release"] == "r"


def test_the_same_name_again_begins_nothing(api, runs):
    runs.promote("night-chat", CHAT, {})
    before = api.get(WORKFLOW, "night-chat")

    assert runs.promote("night-chat", {**CHAT, "revision": "d" * 40}, {})

    assert api.get(WORKFLOW, "night-chat") == before


def test_one_of_that_name_that_has_ended_is_not_said_to_be_under_way(api, runs):
    over = argo.workflow("vllm-promote", CHAT, name="night-chat")
    over["metadata"]["labels"] = {"workflows.argoproj.io/completed": "true"}
    api.create(WORKFLOW, over)

    assert not runs.promote("night-chat", CHAT, {})


def test_a_conflict_about_something_else_is_told(api, runs):
    def quota(request):
        if request.startswith("create"):
            raise Conflict("the quota changed")

    api.before = quota
    with pytest.raises(Conflict, match="the quota changed"):
        runs.promote("night-chat", CHAT, {})


def test_what_has_not_ended_is_found_by_its_deployment_whoever_began_it(api, runs):
    waiting = argo.workflow("vllm-promote", CHAT, name="waiting")
    by_hand = argo.workflow("vllm-promote-rollback", {**CHAT, "deployment": "other"}, name="by-hand")
    over = argo.workflow("vllm-promote", {**CHAT, "deployment": "done"}, name="over")
    over["metadata"]["labels"] = {"workflows.argoproj.io/completed": "true"}
    theirs = argo.workflow("somebody-elses", {"deployment": "chat"}, name="theirs")
    for each in (waiting, by_hand, over, theirs):
        api.create(WORKFLOW, each)

    assert runs.unfinished() == {"chat": Unfinished("waiting"), "other": Unfinished("by-hand")}


@pytest.mark.parametrize("waiting", ["a-waiting", "z-waiting"])
def test_a_run_whose_step_does_not_start_for_an_hour_is_told_whoever_waits_for_it(api, waiting):
    for name, status in (("holds", recorded("bad-pull")["status"]), (waiting, {"phase": "Pending"})):
        api.create(WORKFLOW, argo.workflow("vllm-promote", CHAT, name=name))
        api.tell(WORKFLOW, name, named(status, name))
    clock = FakeClock(PENDING_SINCE + LASTING_SECONDS - 1)
    runs = KubeRuns(api, clock)

    assert runs.unfinished() == {"chat": Unfinished("holds")}
    clock.time += 1
    held = runs.unfinished()["chat"]
    assert held.run == "holds"
    assert held.standstill.startswith("its step preflight has not started for 1 h 0 min: ImagePullBackOff: Back-off")


def test_a_run_whose_nodes_are_kept_elsewhere_is_told_without_a_word_of_how_it_goes(api, runs):
    api.create(WORKFLOW, argo.workflow("vllm-promote", CHAT, name="big"))
    api.tell(WORKFLOW, "big", {"phase": "Running", "offloadNodeStatusVersion": "fnv:1"})

    assert runs.unfinished() == {"chat": Unfinished("big")}


def named(status, run):
    """What was recorded of another run, as this one's."""
    nodes = {key: {**n, "name": n["name"].replace("badpull-q9lnh", run)} for key, n in status.get("nodes", {}).items()}
    return {**status, "nodes": nodes}


def test_a_run_that_names_no_deployment_is_at_none(api, runs):
    nameless = argo.workflow("vllm-promote", {}, name="nameless")
    del nameless["spec"]["arguments"]
    api.create(WORKFLOW, nameless)

    assert runs.unfinished() == {}


def test_no_right_to_begin_one_is_told(api, runs):
    api.forbidden.add(("create", "workflows"))
    with pytest.raises(Missing):
        runs.promote("night-chat", CHAT, {})


def test_on_one_machine_nothing_is_begun(tmp_path):
    assert connect(from_environment({"VLLM_PROMOTE_SERVING": f"local://{tmp_path}"})) is None
