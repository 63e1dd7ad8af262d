"""Runs reached by the Kubernetes API and by argo-server: whoever commands must not see a difference."""

from dataclasses import replace
from typing import Any

import httpx2
import pytest

from steps.clients.kube.api import POD, WORKFLOW
from steps.core import argo
from steps.core.run import Run
from steps.errors import BadInput, Conflict, Missing, Transient
from tests.stubs.argo_server import LOGIN, ArgoServer
from tests.stubs.kube import FakeApi
from tests.stubs.recorded import workflow as recorded
from tests.stubs.scene import FakeClock
from workflows.argo.direct import NODE, Direct
from workflows.argo.server import Server, address, connect

ASKED = argo.workflow("vllm-promote", {"model": "org/chat"}, generate_name="promote-")


def through(handler, login=LOGIN):
    client = httpx2.Client(
        transport=httpx2.MockTransport(handler), base_url="http://argo", headers={"Authorization": login}
    )
    return Server(client, "models")


@pytest.fixture
def api():
    return FakeApi()


@pytest.fixture(params=["direct", "server"])
def access(request, api):
    return Direct(api) if request.param == "direct" else through(ArgoServer(api))


def put(api: FakeApi, name: str, **changes: Any) -> str:
    """A recorded run, with a pod for each of its pod nodes."""
    whole = recorded(name)
    created = whole["metadata"] | {"uid": None}
    api.create(WORKFLOW, {**whole, **changes, "metadata": {k: v for k, v in created.items() if v}})
    for node in whole["status"]["nodes"].values():
        if node["type"] == "Pod":
            metadata = {"name": node["id"], "labels": {argo.RUN: created["name"]}, "annotations": {NODE: node["id"]}}
            api.create(POD, {"metadata": metadata})
    return str(created["name"])


def seen(access, name) -> Run:
    found = access.get(name)
    assert found
    return argo.run(found)


def test_a_run_that_is_submitted_has_the_name_that_the_cluster_gave_it(access):
    taken = access.submit(ASKED)
    assert taken["metadata"]["name"].startswith("promote-")
    assert access.get(taken["metadata"]["name"])["spec"] == ASKED["spec"]


def test_a_name_that_is_taken_is_a_conflict(access):
    named = argo.workflow("vllm-promote", {}, name="mine")
    access.submit(named)
    with pytest.raises(Conflict):
        access.submit(named)


def test_a_run_that_is_not_there_is_none(access):
    assert access.get("nope") is None


@pytest.mark.parametrize("verb", ["stop", "terminate", "retry"])
def test_what_is_not_there_cannot_be_acted_on(access, verb):
    with pytest.raises((Missing, Conflict)):
        getattr(access, verb)("nope")


@pytest.mark.parametrize(("verb", "strategy"), [("stop", "Stop"), ("terminate", "Terminate")])
def test_a_run_is_told_to_end_and_shows_by_whose_hand(access, api, verb, strategy):
    name = put(api, "stop-stopping")
    getattr(access, verb)(name)
    found = access.get(name)
    assert found["spec"]["shutdown"] == strategy
    assert found["metadata"]["labels"]["workflows.argoproj.io/action"] == strategy


def test_the_changes_of_a_run_arrive_and_the_watch_ends_in_its_time(access, api):
    name = access.submit(ASKED)["metadata"]["name"]
    version = access.get(name)["metadata"]["resourceVersion"]
    api.tell(WORKFLOW, name, {"phase": "Running"})
    assert [w["status"]["phase"] for w in access.watch(name, version, 0.2)] == ["Running"]


def test_a_watch_tells_of_the_deletion(access, api):
    name = access.submit(ASKED)["metadata"]["name"]
    version = access.get(name)["metadata"]["resourceVersion"]
    api.delete(WORKFLOW, name)
    with pytest.raises(Missing, match="deleted"):
        list(access.watch(name, version, 0.2))


def test_a_retry_keeps_what_succeeded_and_removes_the_pods_of_the_rest(access, api):
    name = put(api, "bad")
    kept = {n.name for n in seen(access, name).nodes[:6]}
    run = argo.run(access.retry(name))
    assert (run.phase, run.finished, run.message) == ("Pending", None, "")
    assert {n.name for n in run.nodes if n.phase == "Succeeded"} == kept
    assert {n.name for n in run.nodes if n.phase == "Pending"} == {"smoke", "promote", "rollback", "report"}
    left = {pod["metadata"]["name"] for pod in api.list(POD)}
    nodes = access.get(name)["status"]["nodes"]
    assert left == {node["id"] for node in nodes.values() if node["type"] == "Pod"}
    assert len(left) == 7  # with both attempts of mirror


@pytest.mark.parametrize("name", ["promoted", "stop-stopping"])
def test_what_has_not_failed_is_not_retried(api, name):
    with pytest.raises(Conflict, match="only one that failed can be gone on with"):
        Direct(api).retry(put(api, name))


def test_a_retry_forgets_the_end_and_every_way_to_what_is_gone(api):
    fresh = Direct(api).retry(put(api, "stop"))
    nodes = fresh["status"]["nodes"]
    ways = [way for node in nodes.values() for key in ("children", "outboundNodes") for way in node.get(key, ())]
    assert set(ways) <= set(nodes)
    assert "shutdown" not in fresh["spec"]
    assert "workflows.argoproj.io/completed" not in fresh["metadata"]["labels"]
    assert fresh["metadata"]["labels"]["workflows.argoproj.io/action"] == "Retry"
    root = next(node for node in nodes.values() if node["name"] == fresh["metadata"]["name"])
    assert (root["phase"], "finishedAt" in root) == ("Running", False)


def test_a_retry_begins_when_the_pods_of_its_steps_are_gone(api):
    name, clock = put(api, "bad"), FakeClock()
    api.ending = 3

    run = argo.run(Direct(api, clock).retry(name))

    assert run.phase == "Pending"
    assert len(api.list(POD)) == 7
    assert clock.slept


def test_a_retry_does_not_wait_for_ever_for_a_pod_that_stays(api):
    name, clock = put(api, "bad"), FakeClock()
    api.ending = 10_000

    with pytest.raises(Conflict, match=r"pod .* is deleted and does not go"):
        Direct(api, clock).retry(name)

    assert argo.run(api.get(WORKFLOW, name)).phase == "Failed"


@pytest.mark.parametrize(("seconds", "waits"), [(3.0, 12.0), (3600.0, 0.0)])
def test_a_retry_by_argo_server_leaves_the_last_pods_time_to_go(api, seconds, waits):
    name = put(api, "bad")
    ended = seen(Direct(api), name).finished
    clock = FakeClock(time=ended + seconds)

    replace(through(ArgoServer(api)), clock=clock).retry(name)

    assert clock.slept == [waits]


def test_pods_of_another_run_stay(api):
    name = put(api, "bad")
    api.create(POD, {"metadata": {"name": "other", "labels": {argo.RUN: "other"}, "annotations": {NODE: "other"}}})
    Direct(api).retry(name)
    assert api.get(POD, "other")


def test_whoever_has_no_login_is_told_to_renew_it(api):
    with pytest.raises(Missing, match=r"token not valid.*set ARGO_TOKEN"):
        through(ArgoServer(api), "Bearer bad").get("x")


def test_another_namespace_is_a_matter_of_rights(api):
    server = through(ArgoServer(api))
    with pytest.raises(Missing, match="no right to get workflow x"):
        Server(server.client, "elsewhere").get("x")


def test_what_is_no_argo_server_is_told_so(api):
    with pytest.raises(BadInput, match="is no argo-server"):
        through(ArgoServer(api, base="/argo")).get("x")


def test_a_server_that_is_away_is_transient_for_asking_and_watching():
    def away(request):
        raise httpx2.ConnectError("refused", request=request)

    server = through(away)
    for ask in (lambda: server.get("x"), lambda: server.stop("x"), lambda: list(server.watch("x", "1", 1))):
        with pytest.raises(Transient, match=r"argo-server at http://argo/? does not answer \(ConnectError\)"):
            ask()


@pytest.mark.parametrize("status", [500, 502, 503])
def test_a_server_in_trouble_is_transient(status):
    with pytest.raises(Transient, match=str(status)):
        through(lambda _request: httpx2.Response(status, text="upstream")).get("x")


def test_a_watch_that_asks_for_too_old_a_version_is_asked_anew():
    told = 'data: {"error":{"http_code":400,"message":"too old resource version: 1 (2)"}}'
    with pytest.raises(Transient, match=r"cannot watch workflow x: too old resource version: 1 \(2\)$"):
        list(through(lambda _request: httpx2.Response(400, text=told)).watch("x", "1", 1))


@pytest.mark.parametrize("cut", ['{"result":{"type":"MODIF', '{"result":{"type":"MODIFIED"}}', "null", "{}"])
def test_an_event_that_is_not_whole_ends_the_watch_and_not_the_following(cut):
    with pytest.raises(Transient, match=r"^cannot watch workflow x: "):
        list(through(lambda _request: httpx2.Response(200, text=f"data: {cut}\n")).watch("x", "1", 1))


@pytest.mark.parametrize(
    ("told", "url"),
    [
        ({"ARGO_SERVER": "argo:2746"}, "https://argo:2746"),
        ({"ARGO_SERVER": "argo:2746", "ARGO_SECURE": "false"}, "http://argo:2746"),
        ({"ARGO_SERVER": "http://argo:2746/"}, "http://argo:2746"),
        ({"ARGO_SERVER": "[::1]:2746", "ARGO_BASE_HREF": "/argo/"}, "https://[::1]:2746/argo"),
    ],
)
def test_the_servers_address_is_told_as_the_argo_command_is_told_it(told, url):
    assert address(told) == url


@pytest.mark.parametrize(
    "told", ["user:secret@argo:2746", "argo/path", "argo 2746", "argo:port", "argo:999999", "[::1", "[1:2]:80", "-argo"]
)
def test_what_is_no_address_is_refused_and_not_repeated(told):
    with pytest.raises(BadInput, match="set it to HOST:PORT") as caught:
        connect("models", {"ARGO_SERVER": told})
    assert told not in str(caught.value)


@pytest.mark.parametrize(
    ("token", "sent"), [("Bearer x", "Bearer x"), ("Basic x", "Basic x"), ("x", "Bearer x"), ("", None)]
)
def test_a_login_is_sent_as_it_is_told(token, sent):
    server = connect("models", {"ARGO_SERVER": "argo:2746", "ARGO_TOKEN": token})
    assert server.client.headers.get("Authorization") == sent
