"""What a pod waits for, and why it will not be ready, in the words of a real cluster."""

import pytest

from steps.core import pod_state
from steps.core.pod_state import State

IMAGE = "registry/vllm:1"
NO_GPU = "0/1 nodes are available: 1 Insufficient nvidia.com/gpu. no new claims to deallocate."


def a_pod(container=None, *, ready="False", scheduled=("True", ""), phase="Running", limits=None, name="chat-1"):
    conditions = [
        {"type": "PodScheduled", "status": scheduled[0], "message": scheduled[1], "reason": "Unschedulable"},
        {"type": "Ready", "status": ready},
    ]
    statuses = [{"name": "vllm", "restartCount": 0, "state": {}, **container}] if container is not None else []
    resources = {"limits": limits or {}, "requests": limits or {}}
    return {
        "metadata": {"name": name},
        "spec": {"nodeName": "node-1", "containers": [{"image": IMAGE, "resources": resources}]},
        "status": {"phase": phase, "conditions": conditions, "containerStatuses": statuses},
    }


def waits(reason, message="", **container):
    return {"state": {"waiting": {"reason": reason, "message": message}}, **container}


def ended(code, reason="Error"):
    return {"terminated": {"exitCode": code, "reason": reason}}


def test_a_ready_pod_waits_for_nothing_whatever_it_went_through():
    assert pod_state.state(a_pod({"restartCount": 7}, ready="True")) == State(ready=True)


def test_a_pod_on_its_way_out_is_not_ready():
    leaving = a_pod({}, ready="True")
    leaving["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    assert pod_state.is_ending(leaving)
    assert not pod_state.is_ready(leaving)


@pytest.mark.parametrize(
    ("pod", "said"),
    [
        (
            a_pod(waits("InvalidImageName", "couldn't parse image name")),
            "registry/vllm:1 is no name of an image: couldn't parse image name",
        ),
        (
            a_pod(waits("CrashLoopBackOff", restartCount=2, lastState=ended(1))),
            "its model server ended 3 times, last with exit code 1",
        ),
        (
            a_pod({"restartCount": 1, "state": ended(139)}),
            "its model server ended 2 times, last with exit code 139",
        ),
        (
            a_pod({"restartCount": 2, "state": ended(137, "OOMKilled")}, limits={"memory": "64Gi"}),
            "its model server ended 3 times, last for want of memory (OOMKilled; its limit is 64Gi)",
        ),
    ],
)
def test_what_will_not_pass_is_a_failure(pod, said):
    assert pod_state.state(pod) == State(ready=False, failure=said)


@pytest.mark.parametrize(
    ("pod", "said"),
    [
        (
            a_pod(scheduled=("False", NO_GPU)),
            f"no node takes it: {NO_GPU}; nvidia.com/gpu is held by nobody in this namespace",
        ),
        (a_pod(scheduled=("False", "0/1 nodes are available.")), "no node takes it: 0/1 nodes are available."),
        (
            a_pod(waits("ErrImagePull", "connection refused")),
            "its image registry/vllm:1 cannot be pulled, which is tried again: connection refused",
        ),
        (
            a_pod(waits("CrashLoopBackOff", "back-off 10s", restartCount=0, lastState=ended(2))),
            "its model server ended and is about to be started again: last with exit code 2",
        ),
        (
            a_pod({"restartCount": 1, "state": {"running": {}}, "lastState": ended(137, "OOMKilled")}),
            "it loads, for the 2. time: last for want of memory (OOMKilled; its limit is what its node has)",
        ),
        (
            a_pod({"restartCount": 3, "state": {"running": {}}, "lastState": ended(139)}),
            "it loads, for the 4. time: last with exit code 139",
        ),
        (a_pod({"state": {"running": {}}}), "it loads"),
        (a_pod(waits("ContainerCreating")), "its node node-1 prepares it (ContainerCreating)"),
        (a_pod(), "its node node-1 prepares it (no word of it yet)"),
    ],
)
def test_what_may_pass_is_waited_for_and_told(pod, said):
    assert pod_state.state(pod) == State(ready=False, waiting=said)


NOON = 1767268800.0


def event(reason, *, first, last=None, kind="Warning"):
    """So many seconds past noon."""
    began, told = (f"2026-01-01T12:00:{s:02}Z" for s in (first, first if last is None else last))
    return {"type": kind, "reason": reason, "firstTimestamp": began, "lastTimestamp": told}


@pytest.mark.parametrize(
    ("reason", "said"),
    [
        ("ErrImagePull", "its image registry/vllm:1 cannot be pulled"),
        ("ImagePullBackOff", "its image registry/vllm:1 cannot be pulled"),
        ("CreateContainerConfigError", "its container cannot be made, as something that it names is not there"),
    ],
)
class TestOfWhatMayBeAHiccup:
    def test_it_is_waited_for_and_final_once_it_has_lasted_a_minute(self, reason, said):
        mounted_late = event("FailedMount", first=0)
        pod, events = a_pod(waits(reason, "503")), [mounted_late, event("Failed", first=30, last=50)]
        assert pod_state.state(pod, events, now=NOON + 89).waiting == f"{said}, which is tried again: 503"
        assert pod_state.state(pod, events, now=NOON + 90).failure == f"{said}: 503"

    def test_it_is_waited_for_while_it_is_tried_once_more_however_long_that_takes(self, reason, said):
        again = event("Pulling", first=0, last=20, kind="Normal")
        events = [event("Failed", first=5, last=6), again]
        assert pod_state.state(a_pod(waits(reason)), events, now=NOON + 900).waiting

    def test_nobody_who_tells_when_it_began_is_no_reason_to_give_up(self, reason, said):
        assert pod_state.state(a_pod(waits(reason)), now=NOON).waiting
        assert pod_state.state(a_pod(waits(reason)), [{"type": "Warning", "reason": "Failed"}], now=NOON).waiting


def test_who_holds_the_resource_that_is_short_is_named():
    held = [
        a_pod({}, ready="True", limits={"nvidia.com/gpu": "1"}, name="chat-b"),
        a_pod({}, ready="True", limits={"nvidia.com/gpu": "2"}, name="chat-a"),
        a_pod({}, ready="True", name="report"),
        a_pod({}, phase="Failed", limits={"nvidia.com/gpu": "1"}, name="evicted"),
    ]
    waiting = pod_state.state(a_pod(scheduled=("False", NO_GPU)), neighbours=held).waiting
    assert waiting == f"no node takes it: {NO_GPU}; nvidia.com/gpu is held by chat-a (2), chat-b (1)"


def test_of_events_the_last_warning_tells_what_keeps_a_pod():
    events = [
        {"type": "Warning", "reason": "FailedMount", "message": "mount failed:\n exit status 32"},
        {"type": "Normal", "reason": "Pulling", "message": "Pulling image"},
    ]
    said = pod_state.state(a_pod(waits("ContainerCreating")), events).waiting
    assert said == "FailedMount: mount failed: exit status 32"


def test_a_pod_whose_node_is_silent_says_so():
    silent = a_pod({"state": {"running": {}}})
    silent["status"]["conditions"][1] |= {"reason": "NodeStatusUnknown", "message": "Node is not ready"}
    assert pod_state.state(silent).waiting == "it runs and is not ready: NodeStatusUnknown: Node is not ready"


def test_a_long_text_of_kubernetes_is_cut():
    said = pod_state.state(a_pod(scheduled=("False", "x" * 1000))).waiting
    assert said
    assert len(said) < 400


def test_a_pod_that_was_evicted_has_ended_and_says_why():
    evicted = a_pod(phase="Failed")
    evicted["status"] |= {"reason": "Evicted", "message": "The node was low on resource: memory."}
    assert pod_state.has_ended(evicted)
    assert pod_state.ended(evicted) == "Evicted The node was low on resource: memory."
    assert pod_state.ended(a_pod({"state": ended(1)}, phase="Failed")) == "last with exit code 1"


def a_deployment(replicas=1, status="True"):
    refused = {"type": "ReplicaFailure", "status": status, "message": "exceeded quota: gpus"}
    return {"spec": {"replicas": replicas}, "status": {"conditions": [refused]}}


def test_a_pod_that_the_cluster_refuses_to_make_is_told():
    assert pod_state.refusal(a_deployment()) == "the cluster refuses to make its pod: exceeded quota: gpus"


def test_nobody_refuses_what_nobody_asks_for():
    assert pod_state.refusal(a_deployment(replicas=0)) is None
    assert pod_state.refusal(a_deployment(status="False")) is None
    assert pod_state.refusal({"spec": {"replicas": 1}}) is None
