"""What the adapter of a cluster does beyond the contract: pods explained, logs found, owners and room looked at."""

from dataclasses import replace

import pytest

from steps.clients.kube import serving as kube
from steps.clients.kube.api import CLAIM, DEPLOYMENT, EVENT, NODE, POD, SERVICE, VOLUME, WORKFLOW
from steps.clients.kube.serving import KubeServing
from steps.core import labels
from steps.core.record import Record
from steps.core.workload import Where
from steps.errors import BadInput, Conflict, Lingering, Missing, NoSpace, Transient
from steps.settings import from_environment
from tests.stubs.kube import FakeApi
from tests.stubs.kube_cluster import CRASHED, FakeCluster, crash_loop
from tests.stubs.kube_cluster import NODE as NODE_NAME
from tests.stubs.kube_cluster import serving as serves
from tests.stubs.local import a_release
from tests.stubs.scene import FakeClock
from workflows.cluster import claim

OWNER = "run-1"
RELEASE = a_release(1)
ID = RELEASE.release_id
HERE = {"key": "kubernetes.io/hostname", "operator": "In", "values": ["n"]}
ON_NODE_N = {"nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [HERE]}]}}}
REFUSED = {"type": "ReplicaFailure", "status": "True", "message": "exceeded quota"}


@pytest.fixture
def api():
    api = FakeApi()
    FakeCluster(api)
    return api


@pytest.fixture
def serving(api):
    made = KubeServing(api, "chat", Where(claim="models", volume="/models"), FakeClock())
    made.swap(made.read(), Record(owner=OWNER))
    return made


@pytest.fixture
def pod(api, serving):
    """Of the release; its node tells of it what ``api.tell`` says."""
    serving.ensure(RELEASE, 1, OWNER)
    (made,) = api.list(POD)
    return made["metadata"]["name"]


def starting(reason, address=None):
    container = {"name": "vllm", "restartCount": 0, "state": {"waiting": {"reason": reason}}}
    conditions = [{"type": "PodScheduled", "status": "True"}]
    return {"phase": "Pending", "podIP": address, "conditions": conditions, "containerStatuses": [container]}


def test_a_pod_without_an_address_has_no_url_and_says_what_its_node_says(api, serving, pod):
    uid = api.get(POD, pod)["metadata"]["uid"]
    api.tell(POD, pod, starting("ContainerCreating"))
    for number, message in (("2", "mount failed"), ("1", "older")):
        moment = f"2026-01-01T00:00:0{number}Z"
        event = {"involvedObject": {"uid": uid}, "type": "Warning", "reason": "FailedMount", "message": message}
        api.create(EVENT, {"metadata": {"generateName": "e-"}, "lastTimestamp": moment, **event})
    (seen,) = serving.pods(ID)
    assert (seen.url, seen.ready, seen.waiting) == (None, False, "FailedMount: mount failed")


def test_an_address_of_the_sixth_version_is_written_in_brackets(api, serving, pod):
    api.tell(POD, pod, starting("ContainerCreating", "fd00::7"))
    assert serving.pods(ID)[0].url == "http://[fd00::7]:8000"


def test_a_pod_that_no_node_takes_tells_who_has_what_it_wants(api, serving, pod):
    message = "0/1 nodes are available: 1 Insufficient nvidia.com/gpu."
    conditions = [{"type": "PodScheduled", "status": "False", "message": message}]
    api.tell(POD, pod, {"phase": "Pending", "conditions": conditions})
    holder = {"nodeName": NODE_NAME, "containers": [{"resources": {"requests": {"nvidia.com/gpu": "1"}}}]}
    api.create(POD, {"metadata": {"name": "notebook"}, "spec": holder, "status": {"phase": "Running"}})
    (found,) = serving.pods(ID)
    assert found.waiting == f"no node takes it: {message}; nvidia.com/gpu is held by notebook (1)"
    assert found.unplaced


def test_a_pod_that_is_ended_is_no_pod_any_more(api, serving, pod):
    ending = api.edit(POD, pod, {"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}})
    (another,) = serving.pods(ID)
    assert another.uid != ending["metadata"]["uid"]


def test_one_eviction_is_an_accident_and_the_second_is_not(api, serving, pod):
    def evict(name):
        api.tell(POD, name, {"phase": "Failed", "reason": "Evicted", "message": "low on memory"})
        replaced = api.list(POD)[-1]["metadata"]["name"]
        api.tell(POD, replaced, starting("ContainerCreating"))
        return replaced

    second = evict(pod)
    (replaced,) = serving.pods(ID)
    assert replaced.failure is None
    evict(second)
    assert serving.pods(ID)[-1].failure == "2 of its pods were ended, the last one: Evicted low on memory"
    serving.ensure(RELEASE, 1, OWNER)
    assert (api.get(POD, pod), api.get(POD, second)) == (None, None)
    assert [p.failure for p in serving.pods(ID)] == [None]


def test_a_pod_that_the_cluster_does_not_make_is_told_at_once_and_final_half_a_minute_later(api, serving):
    api.after = lambda _kind: None  # no pods are made
    serving.ensure(RELEASE, 1, OWNER)
    assert serving.pods(ID) == ()
    since = {"lastTransitionTime": "1970-01-01T00:16:35Z"}
    api.tell(DEPLOYMENT, f"chat-{ID}", {"conditions": [{**REFUSED, **since}]})
    serving.clock.time = 1000.0
    (waiting,) = serving.pods(ID)
    serving.clock.time = 1030.0
    (refused,) = serving.pods(ID)
    assert (waiting.waiting, refused.failure) == ("the cluster refuses to make its pod: exceeded quota",) * 2
    assert not refused.ready
    assert waiting.unplaced
    assert refused.unplaced


def test_a_pod_that_is_refused_beside_one_that_serves_is_told_as_well(api, serving, pod):
    api.after = lambda _kind: None  # no more pods are made
    serving.ensure(RELEASE, 2, OWNER)
    since = {"lastTransitionTime": "1970-01-01T00:16:40Z"}
    api.tell(DEPLOYMENT, f"chat-{ID}", {"conditions": [{**REFUSED, **since}]})
    serving.clock.time = 1031.0
    served, refused = serving.pods(ID)
    assert (served.ready, refused.failure) == (True, "the cluster refuses to make its pod: exceeded quota")


def test_evictions_beside_one_that_serves_are_told_as_well(api, serving, pod):
    serving.ensure(RELEASE, 2, OWNER)
    for _ in range(2):
        last = api.list(POD)[-1]["metadata"]["name"]
        api.tell(POD, last, {"phase": "Failed", "reason": "Evicted"})
    api.tell(POD, api.list(POD)[-1]["metadata"]["name"], starting("ContainerCreating"))
    assert [p.failure for p in serving.pods(ID) if p.failure] == ["2 of its pods were ended, the last one: Evicted"]


def test_ensuring_replaces_the_pods_that_will_not_be_ready_and_no_other(api, serving):
    serving.ensure(RELEASE, 2, OWNER)
    first, second = api.list(POD)
    api.tell(POD, first["metadata"]["name"], crash_loop("10.0.0.1"))
    serving.ensure(RELEASE, 2, OWNER)
    now = {p.uid for p in serving.pods(ID)}
    assert second["metadata"]["uid"] in now
    assert first["metadata"]["uid"] not in now
    assert len(now) == 2
    assert all(p.ready for p in serving.pods(ID))


def test_a_pod_that_loads_once_more_or_is_ready_after_all_is_not_replaced(api, serving, pod):
    uid = api.get(POD, pod)["metadata"]["uid"]
    loads = {"name": "vllm", "restartCount": 5, "state": {"running": {}}}
    api.tell(POD, pod, {**starting("x"), "containerStatuses": [loads]})
    serving.ensure(RELEASE, 1, OWNER)
    api.tell(POD, pod, crash_loop("10.0.0.1"))
    api.before = lambda request: api.tell(POD, pod, serves("10.0.0.1")) if request.startswith("delete pods") else None
    serving.ensure(RELEASE, 1, OWNER)
    assert [(p.uid, p.ready) for p in serving.pods(ID)] == [(uid, True)]


def test_a_pod_that_has_failed_and_of_which_its_node_just_tells_more_is_replaced(api, serving, pod):
    """Ended, and a moment later: about to be started again, in ten seconds."""
    uid, told = api.get(POD, pod)["metadata"]["uid"], iter([crash_loop("10.0.0.1", restarts=3)])
    api.tell(POD, pod, crash_loop("10.0.0.1"))

    def more(request):
        if request.startswith("delete pods") and (status := next(told, None)):
            api.tell(POD, pod, status)

    api.before = more
    serving.ensure(RELEASE, 1, OWNER)
    (after,) = serving.pods(ID)
    assert (after.uid != uid, after.failure) == (True, None)


def test_a_pod_that_changes_at_every_look_keeps_nobody_for_ever(api, serving, pod):
    api.tell(POD, pod, crash_loop("10.0.0.1"))
    restarts = iter(range(3, 100))
    api.before = lambda request: (
        api.tell(POD, pod, crash_loop("10.0.0.1", next(restarts))) if request.startswith("delete pods") else None
    )
    serving.ensure(RELEASE, 1, OWNER)
    assert serving.pods(ID)[0].failure


def test_a_pod_that_does_not_end_is_never_taken_for_gone(api, serving, pod):
    api.ending = 10_000
    with pytest.raises(Lingering, match=rf"{ID} of chat has not ended after 120 s \({pod} on node {NODE_NAME}\)"):
        serving.stop(ID, OWNER)
    assert serving.clock.time >= 120


def test_of_a_deployment_that_somebody_deleted_the_pods_are_waited_for_all_the_same(api, serving, pod):
    api.ending = 5
    api.delete(DEPLOYMENT, f"chat-{ID}")
    assert api.list(POD)
    serving.stop(ID, OWNER)
    assert api.list(POD) == []


def test_a_release_that_somebody_starts_while_it_is_stopped_is_a_conflict(api, serving, pod):
    api.ending = 10_000
    serving.clock.sleep = lambda _seconds: api.edit(DEPLOYMENT, f"chat-{ID}", {"spec": {"replicas": 1}})
    with pytest.raises(Conflict, match="started again while it was stopped"):
        serving.stop(ID, OWNER)


def test_of_a_server_that_crashes_the_log_is_how_it_ended(api, serving, pod):
    api.tell(POD, pod, crash_loop("10.0.0.1"))
    api.logs[pod, False], api.logs[pod, True] = "INFO starting\n", CRASHED
    assert serving.log_tail(ID, 1) == "ValueError: the stub was told to crash"
    assert serving.log_tail(ID, 50).startswith("INFO starting\nTraceback")


def test_while_a_server_waits_to_be_started_again_its_log_is_not_told_twice(api, serving, pod):
    api.tell(POD, pod, crash_loop("10.0.0.1"))
    api.logs[pod, False] = api.logs[pod, True] = CRASHED
    assert serving.log_tail(ID, 50) == CRASHED.strip()


def test_a_log_that_cannot_be_read_is_an_empty_one(api, serving, pod, caplog):
    def unreachable(request):
        if request == f"get pods/{pod}":
            raise Transient("its node does not answer")

    api.before = unreachable
    assert serving.log_tail(ID, 5) == ""
    assert "its node does not answer" in caplog.text


@pytest.mark.parametrize("right", [("list", "pods"), ("get", "pods")])
def test_who_may_read_no_logs_is_kept_from_nothing(api, serving, pod, caplog, right):
    uid = api.get(POD, pod)["metadata"]["uid"]
    api.forbidden.add(right)
    assert (serving.log_tail(ID, 5), serving.device_seen(uid)) == ("", None)
    assert caplog.text.count("cannot be read: no right to") == 2


def test_a_release_that_its_deployment_does_not_tell_is_not_known(api, serving, pod, caplog):
    api.edit(DEPLOYMENT, f"chat-{ID}", {"metadata": {"annotations": {labels.RELEASE_DOCUMENT: "{}"}}})
    assert serving.release(ID) is None
    assert "does not tell its release" in caplog.text


class TestOfOwners:
    def test_a_workflow_that_has_ended_is_dead_as_soon_as_its_pods_are(self, api, serving):
        done = {"workflows.argoproj.io/completed": "true"}
        uid = api.create(WORKFLOW, {"metadata": {"name": "run", "labels": done}})["metadata"]["uid"]
        assert not serving.owner_alive(uid)
        body = {"metadata": {"name": "step", "ownerReferences": [{"uid": uid}]}, "spec": {}}
        api.create(POD, {**body, "status": {"phase": "Running"}})
        assert serving.owner_alive(uid)
        api.tell(POD, "step", {"phase": "Succeeded"})
        assert not serving.owner_alive(uid)

    def test_a_pod_may_be_an_owner_by_itself(self, api, serving):
        made = api.create(POD, {"metadata": {"name": "reconcile"}, "spec": {}, "status": {"phase": "Running"}})
        assert serving.owner_alive(made["metadata"]["uid"])

    def test_a_run_is_called_by_its_name_as_long_as_anything_of_it_is_there(self, api, serving):
        uid = api.create(WORKFLOW, {"metadata": {"name": "promote-x"}})["metadata"]["uid"]
        assert serving.run_of(uid) == "promote-x"
        api.delete(WORKFLOW, "promote-x")
        assert serving.run_of(uid) is None
        references = {"ownerReferences": [{"uid": "another", "name": "a"}, {"uid": uid, "name": "promote-x"}]}
        api.create(POD, {"metadata": {"name": "step", **references}, "spec": {}, "status": {"phase": "Running"}})
        assert serving.run_of(uid) == "promote-x"

    def test_a_pod_that_is_an_owner_by_itself_is_no_run(self, api, serving):
        made = api.create(POD, {"metadata": {"name": "reconcile"}, "spec": {}, "status": {"phase": "Running"}})
        assert serving.run_of(made["metadata"]["uid"]) is None

    def test_a_cluster_without_argo_has_no_workflows(self, api, serving):
        api.undefined.add("workflows")
        assert not serving.owner_alive(OWNER)
        assert serving.run_of(OWNER) is None

    def test_who_may_not_look_does_not_take_a_run_for_dead(self, api, serving):
        api.forbidden.add(("list", "workflows"))
        with pytest.raises(Missing, match="no right to list workflows"):
            serving.owner_alive(OWNER)


class TestOfRoom:
    @pytest.fixture(autouse=True)
    def _place(self, api):
        bound = {"spec": {"accessModes": ["ReadWriteMany"]}, "status": {"phase": "Bound"}}
        api.create(CLAIM, {"metadata": {"name": "models"}, **bound})
        api.create(NODE, {"metadata": {"name": "n"}, "spec": {}, "status": {"allocatable": {"nvidia.com/gpu": "1"}}})

    def test_a_claim_that_is_not_bound_tells_why(self, api, serving):
        api.tell(CLAIM, "models", {"phase": "Pending"})
        about = {"kind": "PersistentVolumeClaim", "name": "models"}
        api.create(EVENT, {"metadata": {"name": "e"}, "involvedObject": about, "message": "no volume\nfits"})
        with pytest.raises(
            Missing, match=r"claim models of the models' volume is Pending: no volume fits; see that its volume"
        ):
            serving.check_room(RELEASE)

    def test_a_claim_that_is_not_there_is_named_with_its_namespace(self, api, serving):
        api.delete(CLAIM, "models")
        with pytest.raises(Missing, match=r"claim models of the models' volume is not in namespace models;.*install"):
            serving.check_room(RELEASE)

    def test_a_claim_for_what_is_compiled_that_is_not_there_is_told_before_anything_moves(self, api, serving):
        release = a_release(1, pod='{"cacheClaim":"compiled"}')
        with pytest.raises(Missing, match=r"claim compiled .*is not in namespace models; make it, or take pod.cacheCl"):
            serving.check_room(release)
        api.create(CLAIM, {"metadata": {"name": "compiled"}, "spec": {"accessModes": ["ReadWriteMany"]}})
        with pytest.raises(Missing, match=r"claim compiled for what the model servers compile is Pending: nothing"):
            serving.check_room(release)
        api.tell(CLAIM, "compiled", {"phase": "Bound"})
        serving.check_room(release)

    @pytest.mark.parametrize(("replicas", "strategy"), [(2, "recreate"), (1, "blue-green")])
    def test_a_claim_for_what_is_compiled_that_only_one_pod_may_mount_is_none_for_two(
        self, api, serving, replicas, strategy
    ):
        spec, one = {"accessModes": ["ReadWriteOncePod"]}, a_release(1, pod='{"cacheClaim":"compiled"}')
        api.create(CLAIM, {"metadata": {"name": "compiled"}, "spec": spec, "status": {"phase": "Bound"}})
        serving.check_room(one)
        with pytest.raises(BadInput, match=r"claim compiled for what .* is ReadWriteOncePod, and 2 model servers run"):
            serving.check_room(replace(one, replicas=replicas, strategy=strategy))

    def test_a_claim_for_what_is_compiled_of_one_node_is_none_for_pods_that_no_node_holds_together(self, api, serving):
        spec = {"accessModes": ["ReadWriteOnce"]}
        api.create(CLAIM, {"metadata": {"name": "compiled"}, "spec": spec, "status": {"phase": "Bound"}})
        two = replace(a_release(1, device="cuda", gpus=1, pod='{"cacheClaim":"compiled"}'), replicas=2)
        with pytest.raises(BadInput, match=r"is ReadWriteOnce, which is on one node at a time, and no node .* 2 model"):
            serving.check_room(two)
        api.forbidden.add(("list", "nodes"))
        serving.check_room(two)  # nodes may come that hold both

    def test_more_gpus_than_any_node_has_are_refused(self, serving):
        serving.check_room(a_release(1, device="cuda", gpus=1))
        with pytest.raises(NoSpace, match=r"asks for 2 nvidia.com/gpu and the best node, n, has 1 in all; lower gpus"):
            serving.check_room(a_release(1, device="cuda", gpus=2))

    def test_a_claim_of_one_node_among_several_is_a_trap(self, api, serving):
        api.edit(CLAIM, "models", {"spec": {"accessModes": ["ReadWriteOnce"]}})
        serving.check_room(RELEASE)
        api.create(NODE, {"metadata": {"name": "m"}, "spec": {}})
        said = r"is ReadWriteOnce, which is on one node at a time, and pods may go to 2 nodes here.*ReadWriteMany"
        with pytest.raises(BadInput, match=said):
            serving.check_room(RELEASE)
        with pytest.raises(Missing, match=said):
            claim.require(api, "models")

    def test_a_claim_that_no_pod_has_mounted_yet_is_bound_with_the_first_one(self, api, serving):
        """What a dry run of a first promotion sees, from outside."""
        api.tell(CLAIM, "models", {"phase": "Pending"})
        about = {"kind": "PersistentVolumeClaim", "name": "models"}
        told = {"reason": "WaitForFirstConsumer", "message": "waiting for first consumer to be created before binding"}
        api.create(EVENT, {"metadata": {"name": "e"}, "involvedObject": about, "type": "Normal", **told})
        serving.check_room(RELEASE)

    @pytest.mark.parametrize(
        ("volume", "node"),
        [
            ({}, {"taints": [{"key": "node-role.kubernetes.io/control-plane", "effect": "NoSchedule"}]}),
            ({}, {"unschedulable": True}),
            (ON_NODE_N, {}),
        ],
    )
    def test_what_install_takes_preflight_takes_too(self, api, serving, volume, node):
        api.edit(CLAIM, "models", {"spec": {"accessModes": ["ReadWriteOnce"], "volumeName": "pv"}})
        api.create(VOLUME, {"metadata": {"name": "pv"}, "spec": volume})
        api.create(NODE, {"metadata": {"name": "m"}, "spec": node})
        claim.require(api, "models")
        serving.check_room(RELEASE)

    def test_who_may_not_list_nodes_is_told_what_was_not_looked_at(self, api, serving, caplog):
        caplog.set_level("INFO")
        api.forbidden.add(("list", "nodes"))
        serving.check_room(a_release(1, device="cuda", gpus=2))
        assert "may not list nodes" in caplog.text


def test_a_release_that_was_made_for_another_claim_is_elsewhere_and_the_way_out_is_told(api, serving, pod):
    assert serving.elsewhere(ID) is None
    assert serving.elsewhere("feedfeedfeed") is None
    moved = replace(serving, where=Where(claim="larger", volume="/models"))
    told = moved.elsewhere(ID)
    assert told is not None
    assert told.startswith(f"Deployment chat-{ID} reads claim models, and the steps prove what is on claim larger;")
    assert "install with claim = models again" in told
    assert f"`kubectl -n models delete deployment chat-{ID}`" in told
    api.delete(DEPLOYMENT, f"chat-{ID}")
    moved.ensure(RELEASE, 1, OWNER)
    assert moved.elsewhere(ID) is None


def test_deployments_are_the_endpoints_that_are_ours(api, serving):
    api.create(SERVICE, {"metadata": {"name": "other"}, "spec": {}})
    assert kube.deployments(api) == ("chat",)


def test_a_setting_that_is_no_cluster_is_refused():
    with pytest.raises(BadInput, match="kube://NAMESPACE"):
        kube.connect(from_environment({"VLLM_PROMOTE_SERVING": "local:///x"}), "chat")


def test_a_release_is_brought_back_with_more_replicas_and_more_time_by_the_same_template(api, serving, pod):
    before = api.get(DEPLOYMENT, f"chat-{ID}")["spec"]["template"]
    serving.ensure(replace(RELEASE, replicas=3, startup_budget_seconds=7200.0), 3, OWNER)
    now = api.get(DEPLOYMENT, f"chat-{ID}")["spec"]
    assert (now["template"], now["replicas"]) == (before, 3)
    assert len(serving.pods(ID)) == 3


def test_how_long_a_start_may_take_is_for_the_step_to_say_and_not_for_the_node(api, serving, pod):
    probe = api.get(POD, pod)["spec"]["containers"][0]["startupProbe"]
    assert probe["failureThreshold"] * probe["periodSeconds"] == 24 * 3600


def test_an_image_that_cannot_be_pulled_is_final_after_a_minute_and_ensuring_tries_another_pod(api, serving, pod):
    uid = api.get(POD, pod)["metadata"]["uid"]
    api.tell(POD, pod, starting("ImagePullBackOff"))
    told = {"type": "Warning", "reason": "Failed", "firstTimestamp": "1970-01-01T00:16:40Z"}
    api.create(EVENT, {"metadata": {"name": "e"}, "involvedObject": {"uid": uid}, **told})
    serving.clock.time = 1059.0
    serving.ensure(RELEASE, 1, OWNER)
    (waiting,) = serving.pods(ID)
    serving.clock.time = 1060.0
    (failed,) = serving.pods(ID)
    assert (waiting.uid, waiting.failure, failed.uid) == (uid, None, uid)
    assert "cannot be pulled" in str(failed.failure)
    serving.ensure(RELEASE, 1, OWNER)
    assert [p.failure for p in serving.pods(ID)] == [None]
