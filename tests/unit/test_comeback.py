"""Going back in a cluster that is short of something: room, a node, pods that come up."""

import pytest

from steps.clients.kube.api import DEPLOYMENT as WORKLOAD
from steps.comeback import SHORT_SECONDS, _Enough
from steps.errors import Failed, RollbackFailed, StepError
from steps.ports.serving import Pod
from tests.stubs.exploring import Promotion
from tests.stubs.kube_scene import KubeScene, twice
from tests.stubs.scene import FakeClock, make_release

OLD, NEW, THIRD = (make_release(mark) for mark in "123")
BESIDE = make_release("2", strategy="blue-green")


def scene_of(new=NEW, **room: int) -> KubeScene:
    """OLD serves and the new one fails its test; there is ``room`` for so many servers on each node."""
    scene = KubeScene()
    if room:
        scene.cluster.room = dict(room)
    scene.publish(new, THIRD)
    scene.live(OLD)
    scene.faults[new.release_id] = "empty-text"
    return scene


def scales(scene: KubeScene, replicas: int) -> None:
    """An autoscaler does, and has the time to see what comes of it."""
    scene.api.edit(WORKLOAD, f"chat-{OLD.release_id}", {"spec": {"replicas": replicas}}, "autoscaler")
    passes(scene, 10)


def passes(scene: KubeScene, seconds: int) -> None:
    for _ in range(seconds):
        scene.clock.sleep(1.0)


def deployed(scene: KubeScene, new=NEW) -> Promotion:
    promotion = Promotion(scene, new)
    promotion._checksum(promotion.hand())
    promotion._deploy(promotion.hand())
    return promotion


def refused(scene: KubeScene, promotion: Promotion) -> None:
    with pytest.raises(Failed):
        promotion._smoke(promotion.hand())
    assert promotion.release.release_id in scene.record.refused


def goes_back(scene: KubeScene, promotion: Promotion):
    return promotion.hand().rollback(promotion.owner)


def counted(scene: KubeScene) -> list[int]:
    """Pods that clients reach, from now on, each time that it is another number."""
    seen = list[int]()

    def look() -> None:
        if seen[-1:] != [len(scene.reached)]:
            seen.append(len(scene.reached))

    scene.clock.ticks.append(look)
    return seen


# Clients' own pods, where they ran all the while.


@pytest.mark.parametrize(("before", "after"), [(1, 3), (3, 1)])
def test_what_was_scaled_beside_a_candidate_stays_as_somebody_scaled_it(before, after):
    scene = scene_of(BESIDE)
    scales(scene, before)
    promotion = deployed(scene, BESIDE)
    scales(scene, after)
    refused(scene, promotion)
    seen = counted(scene)

    assert goes_back(scene, promotion).outcome == "rolled-back"
    passes(scene, 10)
    assert (scene.workloads[OLD.release_id], seen) == (after, [after])


def test_a_replica_that_had_no_room_before_the_run_keeps_nobody_from_going_back_to_the_others():
    scene = scene_of(BESIDE, node=2)
    scales(scene, 3)
    promotion = Promotion(scene, BESIDE)
    with pytest.raises(StepError, match="no node takes it"):
        promotion.go()
    seen, began = counted(scene), scene.clock.time

    outputs = goes_back(scene, promotion)

    assert (outputs.outcome, outputs.outage_seconds) == ("rolled-back", 0.0)
    assert f"2 of 3 replicas of release {OLD.release_id} serve; the rest waits: no node takes it" in outputs.noticed
    assert (seen, scene.workloads[OLD.release_id], scene.record.phase) == ([2], 3, "idle")
    assert scene.clock.time - began < 70


# Its pods were ended to make room.


def test_one_more_replica_without_room_ends_none_that_serve():
    scene = scene_of(NEW, node=2)
    scales(scene, 3)
    promotion = deployed(scene)
    refused(scene, promotion)
    seen = counted(scene)

    outputs = goes_back(scene, promotion)

    assert outputs.outcome == "rolled-back"
    assert f"2 of 3 replicas of release {OLD.release_id} serve; the rest waits: no node takes it" in outputs.noticed
    assert (seen, scene.workloads[OLD.release_id], scene.record.phase) == ([0, 2], 3, "idle")
    scene.cluster.room["node"] = 3
    passes(scene, 5)
    assert seen == [0, 2, 3]


def test_one_that_nobody_makes_keeps_nobody_waiting_either(monkeypatch):
    scene = scene_of(NEW)
    make = scene.cluster._make
    two = len(scene.cluster.pods()) + 1

    def at_most_two(name, uid, deployment) -> None:
        if len(scene.cluster.pods(OLD.release_id)) < two or OLD.release_id not in name:
            make(name, uid, deployment)

    monkeypatch.setattr(scene.cluster, "_make", at_most_two)
    scales(scene, 3)
    promotion = deployed(scene)
    refused(scene, promotion)

    assert "2 of 3 replicas" in goes_back(scene, promotion).noticed
    assert len(scene.reached) == 2


def pod(number: int, **said) -> Pod:
    return Pod(uid=str(number), release_id=OLD.release_id, url=None, **{"ready": False, **said})


def test_what_the_cluster_refuses_to_make_for_good_is_not_waited_for():
    quota = pod(2, unplaced=True, failure="the cluster refuses to make its pod: exceeded quota")
    enough = _Enough(FakeClock(), until=FakeClock().now() + 900)
    assert enough((pod(1, ready=True), quota))
    assert enough.why == quota.failure


@pytest.mark.parametrize(
    "rest",
    [pod(2, waiting="it loads"), pod(2, failure="its model server ended 3 times")],
    ids=["loads", "ended"],
)
def test_one_that_a_node_has_taken_is_waited_for(rest):
    clock = FakeClock()
    enough = _Enough(clock, until=clock.now() + 10)
    for _ in range(3):
        assert not enough((pod(1, ready=True), rest))
        clock.sleep(SHORT_SECONDS)


def test_one_more_replica_that_does_not_come_up_calls_a_person_and_ends_none_that_serve():
    scene = scene_of(NEW, node=2)
    scales(scene, 3)
    promotion = deployed(scene)
    refused(scene, promotion)
    seen = counted(scene)

    def third_is_bad() -> None:
        if len(scene.reached) == 2:
            scene.spoil(OLD)
            scene.cluster.room["node"] = 3

    scene.clock.ticks.append(third_is_bad)
    with pytest.raises(RollbackFailed, match="ended 3 times"):
        goes_back(scene, promotion)
    assert (seen, scene.record.phase) == ([0, 2], "rolling-back")


def test_where_none_has_room_it_is_waited_for_and_a_person_is_called():
    scene = scene_of(NEW)
    promotion = deployed(scene)
    refused(scene, promotion)
    scene.cluster.room.clear()
    with pytest.raises(RollbackFailed, match="no node takes it"):
        goes_back(scene, promotion)
    assert (scene.workloads[OLD.release_id], scene.record.phase) == (1, "rolling-back")


# The candidate's node is lost: it was told to end, and nobody knows whether it has.


def lost_node(scene: KubeScene, release=NEW) -> str:
    (pod,) = scene.cluster.pods(release.release_id)
    node = str(pod["spec"]["nodeName"])
    scene.cluster.lose_node(node)
    return node


@pytest.fixture
def two_nodes():
    return scene_of(NEW, one=1, two=1)


def test_a_candidate_on_a_lost_node_keeps_nobody_without_the_previous_release(two_nodes):
    promotion = deployed(two_nodes)
    lost_node(two_nodes)
    began = two_nodes.clock.time

    outputs = goes_back(two_nodes, promotion)

    assert outputs.outcome == "rolled-back"
    assert two_nodes.serves(OLD)
    assert outputs.outage_seconds < two_nodes.clock.time - began, "what is waited for behind clients is no outage"
    assert f"release {NEW.release_id} of chat has not ended after 120 s" in outputs.noticed
    assert (two_nodes.record.phase, two_nodes.record.candidate) == ("idle", None)


def test_a_refused_one_is_not_removed_while_a_pod_of_it_may_run(two_nodes):
    promotion = deployed(two_nodes)
    refused(two_nodes, promotion)
    lost_node(two_nodes)

    assert "has not ended" in goes_back(two_nodes, promotion).noticed
    assert two_nodes.serves(OLD)
    assert two_nodes.workloads == {OLD.release_id: 1, NEW.release_id: 0}
    assert two_nodes.running == {OLD.release_id, NEW.release_id}


@pytest.mark.parametrize("after", ["node_is_back", "node_is_removed"])
def test_a_node_that_is_heard_of_again_while_the_previous_release_loads_leaves_nothing(two_nodes, after):
    promotion = deployed(two_nodes)
    refused(two_nodes, promotion)
    node = lost_node(two_nodes)

    def once_it_serves() -> None:
        if two_nodes.serves(OLD) and node in two_nodes.cluster.room and node in two_nodes.cluster.lost:
            getattr(two_nodes.cluster, after)(node)

    two_nodes.clock.ticks.append(once_it_serves)
    assert goes_back(two_nodes, promotion).noticed == ""
    assert two_nodes.workloads == {OLD.release_id: 1}
    assert two_nodes.running == {OLD.release_id}


@pytest.mark.parametrize("after", ["node_is_back", "node_is_removed"])
def test_what_lingers_is_swept_by_a_later_promotion_and_keeps_none_from_its_end(two_nodes, after):
    promotion = deployed(two_nodes)
    refused(two_nodes, promotion)
    node = lost_node(two_nodes)
    goes_back(two_nodes, promotion)

    Promotion(two_nodes, THIRD).whole()
    assert two_nodes.serves(THIRD)
    assert two_nodes.record.phase == "idle"
    assert two_nodes.workloads == {THIRD.release_id: 1, OLD.release_id: 0, NEW.release_id: 0}

    getattr(two_nodes.cluster, after)(node)
    Promotion(two_nodes, OLD).whole()
    assert two_nodes.serves(OLD)
    assert two_nodes.workloads == {OLD.release_id: 1, THIRD.release_id: 0}


def test_a_first_candidate_on_a_lost_node_stays_at_zero_and_that_is_told():
    scene = KubeScene()
    scene.publish(NEW)
    promotion = deployed(scene)
    lost_node(scene)

    outputs = goes_back(scene, promotion)

    assert (outputs.outcome, scene.record.phase) == ("removed", "idle")
    assert f"release {NEW.release_id} of chat has not ended after 120 s" in outputs.noticed
    assert scene.workloads == {NEW.release_id: 0}


def test_where_the_lost_node_was_the_only_one_a_person_is_called_and_the_next_turn_goes_on():
    scene = scene_of(NEW, one=1)
    promotion = deployed(scene)
    node = lost_node(scene)
    with pytest.raises(RollbackFailed, match="no node takes it"):
        goes_back(scene, promotion)
    assert (scene.record.phase, scene.workloads[OLD.release_id]) == ("rolling-back", 1)

    scene.cluster.node_is_back(node)
    scene.end(promotion.owner)
    assert scene.hand().reconciles() == "back at the previous release"
    assert scene.serves(OLD)


def test_a_start_of_the_previous_release_whose_node_is_lost_is_made_anew_on_another(two_nodes):
    promotion = deployed(two_nodes)
    two_nodes.spoil(OLD)

    def lost_as_it_ends() -> None:
        """The one that was started first, and did not come up."""
        pods = two_nodes.cluster.pods(OLD.release_id)
        if pods and not two_nodes.workloads[OLD.release_id] and not two_nodes.cluster.lost:
            two_nodes.publish(OLD)
            two_nodes.cluster.lose_node(str(pods[0]["spec"]["nodeName"]))

    two_nodes.clock.ticks.append(lost_as_it_ends)
    assert goes_back(two_nodes, promotion).outcome == "rolled-back"
    assert two_nodes.cluster.lost
    assert two_nodes.serves(OLD)


# What serves is promoted again, and some of it has no room.


def test_a_repair_ends_none_that_serve_because_another_has_no_room():
    both = twice(OLD)
    scene = KubeScene()
    scene.cluster.room = {"one": 1, "two": 1}
    scene.live(both)
    scene.cluster.lose_node("one")
    passes(scene, 5)
    seen = counted(scene)
    promotion = Promotion(scene, both)

    with pytest.raises(Failed, match="no node takes it"):
        promotion.go()
    promotion.exits()
    assert (seen, scene.workloads, scene.record.phase) == ([1], {OLD.release_id: 2}, "idle")


def test_what_waits_for_room_alone_does_not_serve_so_that_is_an_outage():
    scene = scene_of(BESIDE, one=1, two=1)
    promotion = deployed(scene, BESIDE)
    scene.cluster.lose_node("one")
    passes(scene, 5)
    assert scene.reached == []

    outputs = goes_back(scene, promotion)

    assert scene.serves(OLD)
    assert outputs.outage_seconds > 0
