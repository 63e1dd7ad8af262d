"""Nodes made ready for a release, as an API server sees it: what is asked for, and what becomes of a refusal."""

from dataclasses import replace

import pytest

from steps.clients.kube.api import EVENT, JOB, POD
from steps.clients.kube.preparations import Preparations
from steps.clients.kube.serving import KubeServing
from steps.core import labels
from steps.core.preparation import name
from steps.core.record import Record
from steps.core.workload import Where
from steps.errors import Transient
from tests.stubs.kube import BEGAN, FakeApi
from tests.stubs.kube_cluster import FakeCluster
from tests.stubs.local import a_release
from tests.stubs.scene import FakeClock

OWNER = "run-1"
LIVE, NEW = a_release(1, image="vllm:1"), a_release(2, image="vllm:2")
WHERE = Where(claim="models", volume="/models", image="ours:1")


@pytest.fixture
def api():
    return FakeApi()


@pytest.fixture
def cluster(api):
    return FakeCluster(api)


@pytest.fixture
def serving(api, cluster):
    made = KubeServing(api, "chat", WHERE, FakeClock(BEGAN + 1000))
    made.swap(made.read(), Record(owner=OWNER))
    made.ensure(LIVE, 2, OWNER)
    return made


def jobs(api):
    return [job["metadata"]["name"] for job in api.list(JOB)]


def look(serving):
    """Until nothing more comes of it."""
    for _ in range(5):
        places = serving.prepare(NEW, LIVE.release_id, 60.0, OWNER)
        if all(p.done for p in places):
            break
    return places


def on_nodes(api, *nodes):
    """Have the live release's pods be there."""
    for pod, node in zip(api.list(POD), nodes, strict=True):
        api.edit(POD, pod["metadata"]["name"], {"spec": {"nodeName": node}})


def test_each_node_on_which_the_live_release_runs_is_made_ready_once(api, serving):
    on_nodes(api, "a", "b")
    places = look(serving)
    assert [(p.name, p.done) for p in places] == [("a", True), ("b", True)]
    assert places[0].said == "its image is there; all is in memory"
    assert jobs(api) == sorted(name("chat", NEW.release_id, node) for node in ("a", "b"))
    made = [p["spec"]["nodeName"] for p in api.list(POD) if p["metadata"]["name"].endswith("-x")]
    assert sorted(made) == ["a", "b"]
    look(serving)
    assert api.calls.count("create jobs/" + jobs(api)[0]) == 1


def test_two_pods_on_one_node_are_one_place(api, serving):
    assert len(look(serving)) == 1
    assert len(jobs(api)) == 1


def test_where_nothing_serves_nothing_is_made_ready(api, serving):
    assert serving.prepare(NEW, NEW.release_id, 60.0, OWNER) == ()
    assert jobs(api) == []


def test_an_image_that_no_registry_has_is_the_places_problem(api, cluster, serving):
    cluster.absent.add("vllm:2")
    serving.prepare(NEW, LIVE.release_id, 60.0, OWNER)
    pod = next(p for p in api.list(POD) if p["metadata"]["name"].endswith("-x"))
    failed = {"involvedObject": {"uid": pod["metadata"]["uid"]}, "type": "Warning", "reason": "Failed"}
    moment = "2026-01-01T00:00:00Z"
    body = {"metadata": {"generateName": "e-"}, "firstTimestamp": moment, "lastTimestamp": moment, **failed}
    api.create(EVENT, body)
    (place,) = serving.prepare(NEW, LIVE.release_id, 60.0, OWNER)
    assert (place.done, place.problem) == (False, "its image vllm:2 cannot be pulled: not found")


def test_ending_it_takes_the_pods_along_and_leaves_what_serves(api, serving):
    look(serving)
    serving.unprepare(None)
    assert jobs(api) == []
    assert all(not p["metadata"]["name"].endswith("-x") for p in api.list(POD))
    assert len(serving.pods(LIVE.release_id)) == 2


def test_what_an_earlier_run_left_of_another_release_is_ended_too(api, serving):
    look(serving)
    KubeServing(api, "chat", WHERE, FakeClock()).unprepare(None)
    assert jobs(api) == []


def test_what_another_run_has_begun_is_its_own(api, serving):
    look(serving)
    serving.unprepare("waiting")
    assert len(jobs(api)) == 1
    serving.unprepare(OWNER)
    assert jobs(api) == []


def test_what_a_version_that_named_no_run_has_begun_is_ended_by_who_owns_the_record_alone(api, serving):
    look(serving)
    api.edit(JOB, jobs(api)[0], {"metadata": {"annotations": {labels.OWNER: None}}})
    serving.unprepare(OWNER)
    assert len(jobs(api)) == 1
    serving.unprepare(None)
    assert jobs(api) == []


def test_what_is_begun_anew_while_it_is_ended_stays(api, serving):
    def other(request):
        if request.startswith("delete jobs") and not begun:
            begun.append(request)
            serving.unprepare(OWNER)
            serving.prepare(NEW, LIVE.release_id, 60.0, "other")

    begun: list[str] = []
    look(serving)
    api.before = other
    serving.unprepare(OWNER)
    assert len(jobs(api)) == 1


def test_a_pod_of_what_was_ended_is_no_sign_that_the_image_is_there(api, serving):
    look(serving)
    (pod,) = (p for p in api.list(POD) if p["metadata"]["name"].endswith("-x"))
    serving.unprepare(OWNER)
    api.after = lambda _kind: None  # the next Job has no pod yet, and the last one's is not known to end
    api.create(POD, pod)
    for _ in range(2):
        (place,) = replace(serving, clock=FakeClock(BEGAN)).prepare(NEW, LIVE.release_id, 60.0, OWNER)
        assert (place.done, place.startable) == (False, False)


def test_a_pod_that_is_on_its_way_out_is_no_sign_that_the_image_is_there(api, serving):
    look(serving)
    (pod,) = (p["metadata"]["name"] for p in api.list(POD) if p["metadata"]["name"].endswith("-x"))
    api.edit(POD, pod, {"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}})
    (place,) = replace(serving, clock=FakeClock(BEGAN)).prepare(NEW, LIVE.release_id, 60.0, OWNER)
    assert (place.done, place.startable) == (False, False)


def test_another_deployments_is_left_alone(api, serving):
    look(serving)
    KubeServing(api, "other", WHERE, FakeClock()).unprepare(None)
    assert len(jobs(api)) == 1


@pytest.mark.parametrize("verb", ["list", "create"])
def test_an_account_from_before_this_right_existed_promotes_all_the_same(api, serving, verb):
    api.forbidden.add((verb, "jobs"))
    (place,) = serving.prepare(NEW, LIVE.release_id, 60.0, OWNER)
    assert (place.done, place.problem) == (True, None)
    assert f"no right to {verb} jobs" in place.said
    serving.unprepare(None)


def test_an_api_server_that_is_away_is_no_word_on_the_right(api, serving):
    def away(request):
        if request.startswith("create jobs"):
            raise Transient("away")

    api.before = away
    with pytest.raises(Transient):
        serving.prepare(NEW, LIVE.release_id, 60.0, OWNER)


def test_a_pod_that_is_never_made_is_told_and_not_waited_for(api):
    clock = FakeClock(BEGAN)
    preparations = Preparations(api, "chat", WHERE, clock)
    preparations.look(NEW, ["a"], 60.0, OWNER)  # no controller makes a pod of it
    (place,) = preparations.look(NEW, ["a"], 60.0, OWNER)
    assert not place.done
    clock.time += 100
    (place,) = preparations.look(NEW, ["a"], 60.0, OWNER)
    assert (place.done, place.problem) == (True, None)
    assert "for want of quota or by a policy" in place.said


def test_a_job_that_has_ended_is_told_and_not_waited_for(api, serving):
    look(serving)
    (job,) = jobs(api)
    api.tell(JOB, job, {"conditions": [{"type": "Failed", "status": "True", "message": "was active for too long"}]})
    (place,) = serving.prepare(NEW, LIVE.release_id, 60.0, OWNER)
    assert (place.done, place.said) == (True, "what prepared it has ended: was active for too long")


def test_whoever_comes_second_finds_what_the_first_has_begun(api, serving):
    def first(request):
        if request.startswith("create jobs") and not made:
            made.append(request)
            serving.prepare(NEW, LIVE.release_id, 60.0, OWNER)

    made: list[str] = []
    api.before = first
    assert [p.done for p in serving.prepare(NEW, LIVE.release_id, 60.0, OWNER)] == [False]
    assert len(jobs(api)) == 1


def test_a_changed_release_is_made_ready_by_a_job_of_its_own(api, serving):
    look(serving)
    other = replace(NEW, serving=replace(NEW.serving, image="vllm:3"))
    serving.prepare(other, LIVE.release_id, 60.0, OWNER)
    assert len(jobs(api)) == 2
