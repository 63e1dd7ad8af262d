"""Which claims a run can use, and what is said of the others."""

import pytest

from steps.clients.kube.api import CLAIM, EVENT, NODE, VOLUME
from steps.clients.kube.claims import volume_of
from steps.core.claim import Seen, binds, problem
from steps.errors import Missing
from tests.stubs.kube import FakeApi
from tests.stubs.scene import FakeClock
from workflows.cluster.claim import require, settled


def seen(*modes, phase="Bound", **rest):
    claim = {"metadata": {"name": "models"}, "spec": {"accessModes": [*modes]}, "status": {"phase": phase}}
    return Seen(claim=claim, **rest)


def node(**spec):
    return {"spec": spec}


def volume(*hosts, phase="Bound"):
    terms = [{"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": [*hosts]}]}]
    affinity = {"nodeAffinity": {"required": {"nodeSelectorTerms": terms}}} if hosts else {}
    return {"metadata": {"name": "pv"}, "spec": affinity, "status": {"phase": phase}}


def event(message, reason="ProvisioningFailed", at="2026-01-01T00:00:00Z"):
    return {"message": message, "reason": reason, "lastTimestamp": at}


TWO = [node(), node()]


@pytest.mark.parametrize(
    "good",
    [
        seen("ReadWriteMany", nodes=TWO),
        seen("ReadWriteOnce", "ReadWriteMany", nodes=TWO),
        seen("ReadWriteOnce", nodes=[node()]),
        seen("ReadWriteOnce", nodes=[node(), node(unschedulable=True)]),
        seen("ReadWriteOnce", nodes=[node(), node(taints=[{"key": "node-role.kubernetes.io/control-plane"}])]),
        seen("ReadWriteOnce", nodes=TWO, volume=volume("this-one")),
        seen("ReadWriteOnce"),
        seen("ReadWriteMany", phase="Pending", events=[event("waiting for first consumer", "WaitForFirstConsumer")]),
        seen("ReadWriteMany", phase="Pending", events=[event("waiting for pod x", "WaitForPodScheduled")]),
    ],
)
def test_a_claim_that_all_pods_can_reach_is_good(good):
    assert problem(good) == ""


@pytest.mark.parametrize(
    "trap",
    [
        seen("ReadWriteOnce", nodes=TWO),
        seen("ReadWriteOnce", nodes=[node(), node(taints=[{"key": "nvidia.com/gpu"}])]),
        seen("ReadWriteOnce", nodes=TWO, volume=volume("this-one", "that-one")),
        seen("ReadWriteOnce", nodes=TWO, volume=volume()),
        seen("ReadWriteOnce", phase="Pending", nodes=TWO),
    ],
)
def test_one_node_at_a_time_is_a_trap_where_pods_may_go_to_two(trap):
    told = problem(trap)
    assert told.startswith("is ReadWriteOnce, which is on one node at a time, and pods may go to 2 nodes here")
    assert "use one that is ReadWriteMany: nfs = SERVER:/PATH" in told


def test_a_claim_for_one_pod_or_without_writing_is_none_for_a_pipeline():
    assert "is ReadWriteOncePod, and the steps and the model servers share it" in problem(seen("ReadWriteOncePod"))
    assert "cannot be written to (ReadOnlyMany)" in problem(seen("ReadOnlyMany"))


def test_a_pending_claim_is_told_with_the_newest_reason():
    events = [event("old", at="2026-01-01T00:00:00Z"), event("class nope\nnot found", at="2026-01-02T00:00:00Z")]
    told = problem(seen("ReadWriteMany", phase="Pending", events=events))
    assert told.startswith("is Pending: class nope not found; see that its volume, or its StorageClass (none)")
    assert "nothing says why" in problem(seen("ReadWriteMany", phase="Pending"))


def test_a_volume_that_remembers_a_deleted_claim_is_told_with_what_frees_it():
    told = problem(seen("ReadWriteMany", phase="Pending", volume=volume(phase="Released")))
    assert "kubectl patch pv pv --type json" in told
    assert "/spec/claimRef/uid" in told


def test_a_claim_that_is_going_or_has_lost_its_volume_is_told():
    going = seen("ReadWriteMany")
    going.claim["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    assert problem(going).startswith("is being deleted")
    assert problem(seen("ReadWriteMany", phase="Lost")).startswith("has lost its volume")


@pytest.fixture
def api():
    api = FakeApi()
    spec = {"accessModes": ["ReadWriteOnce"], "volumeName": "pv"}
    api.create(CLAIM, {**CLAIM.header, "metadata": {"name": "models"}, "spec": spec})
    api.tell(CLAIM, "models", {"phase": "Bound"})
    api.create(VOLUME, {**VOLUME.header, "metadata": {"name": "pv"}, "spec": {}})
    for name in ("one", "two"):
        api.create(NODE, {**NODE.header, "metadata": {"name": name}, "spec": {}})
    return api


def test_the_cluster_is_asked_about_claim_volume_and_nodes(api):
    with pytest.raises(Missing, match=r"claim models in namespace models is ReadWriteOnce.* 2 nodes"):
        require(api, "models")
    with pytest.raises(Missing, match="no claim weights in namespace models; give install nfs"):
        require(api, "weights")


def test_what_one_has_no_right_to_see_is_not_held_against_the_claim(api):
    api.forbidden |= {("list", NODE.plural), ("get", VOLUME.plural), ("list", EVENT.plural)}
    require(api, "models")
    assert volume_of(api, "models") is None


@pytest.mark.parametrize(
    "stays",
    [
        seen("ReadWriteMany"),
        seen("ReadWriteMany", phase="Lost"),
        seen("ReadWriteMany", phase="Pending", volume=volume(phase="Released")),
        seen("ReadWriteMany", phase="Pending", events=[event("class nope not found") | {"type": "Warning"}]),
        seen("ReadWriteMany", phase="Pending", events=[event("waits for a pod", "WaitForFirstConsumer")]),
        seen("ReadWriteOncePod", phase="Pending"),
        seen("ReadOnlyMany", phase="Pending"),
        seen("ReadWriteMany", phase="Pending", events=[event("no persistent volumes available", "FailedBinding")]),
    ],
)
def test_what_will_not_be_otherwise_in_a_moment_is_not_waited_for(stays):
    assert not binds(stays)


def test_a_claim_that_nothing_speaks_against_is_given_a_moment():
    assert binds(seen("ReadWriteMany", phase="Pending"))
    assert binds(seen("ReadWriteMany", phase="Pending", volume=volume(phase="Available")))
    asked = event("waiting for a volume to be created", "ExternalProvisioning") | {"type": "Normal"}
    assert binds(seen("ReadWriteMany", phase="Pending", events=[asked]))


def test_who_waits_for_a_claim_is_told_so_once(api, caplog):
    api.tell(CLAIM, "models", {"phase": "Pending"})
    settled(api, "models", 2.0, FakeClock())
    assert caplog.messages == []
    settled(api, "models", 20.0, FakeClock())
    assert caplog.messages == ["claim models is not bound to its volume yet; waiting for that, at most 20 s"]


def test_binding_is_waited_for_no_longer_than_it_takes_and_not_for_ever(api):
    class Meanwhile(FakeClock):
        def sleep(self, seconds):
            super().sleep(seconds)
            api.tell(CLAIM, "models", {"phase": "Bound"})

    bound = Meanwhile()
    settled(api, "models", 2.0, bound)
    settled(api, "none", 2.0, bound)
    assert bound.slept == []
    api.tell(CLAIM, "models", {"phase": "Pending"})
    settled(api, "models", 2.0, bound)
    assert len(bound.slept) == 1
    never = FakeClock()
    api.tell(CLAIM, "models", {"phase": "Pending"})
    settled(api, "models", 2.0, never)
    assert sum(never.slept) == 2.0


def test_a_claim_is_waited_for_by_the_clock_however_long_a_look_takes_and_without_a_look_at_nodes(api, monkeypatch):
    clock, listed, ask = FakeClock(), [], api.list

    def slowly(kind, **how):
        clock.time += 5.0
        listed.append(kind)
        return ask(kind, **how)

    monkeypatch.setattr(api, "list", slowly)
    api.tell(CLAIM, "models", {"phase": "Pending"})
    settled(api, "models", 20.0, clock)
    assert clock.time - 10_000.0 < 20.0 + 6.0
    assert NODE not in listed
