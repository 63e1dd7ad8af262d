from dataclasses import replace

import pytest

from steps.contracts import PromoteInputs
from steps.core.record import Record
from steps.errors import BadInput, Conflict, Failed, Missing, Refused
from steps.promote import promote
from tests.stubs.scene import Scene, make_release

OLD, NEW, THIRD = (make_release(mark) for mark in "123")


@pytest.fixture
def scene():
    scene = Scene()
    scene.serving.owners.add("run")
    scene.publish(NEW, THIRD)
    scene.live(OLD)
    return scene


def test_a_promotion_makes_room_tests_points_and_drains_in_this_order(scene):
    scene.deploy(NEW)
    proof = scene.smoke(NEW).proof
    scene.serving.calls.clear()
    scene.promote(NEW, proof=proof)
    assert scene.serving.calls == [
        ("stop", OLD.release_id),
        ("ensure", NEW.release_id),
        ("point", NEW.release_id),
        ("stop", OLD.release_id),
        ("swap", "idle"),
    ]
    assert scene.record == Record(live=NEW.release_id, previous=OLD.release_id)
    assert scene.serves(NEW)
    assert scene.serving.release(OLD.release_id) == OLD


def test_clients_stay_where_they_are_until_the_candidate_is_proved(scene):
    scene.deploy(NEW)
    scene.smoke(NEW)
    assert scene.serving.held.target == OLD.release_id


def test_the_outage_is_from_making_room_to_pointing(scene):
    scene.deploy(NEW)
    scene.clock.time += 40
    proof = scene.smoke(NEW).proof
    scene.clock.time += 2
    assert scene.promote(NEW, proof=proof) == pytest.approx(42, abs=1)


def test_blue_green_has_no_outage_and_stops_the_old_release_after_the_move(scene):
    new = make_release("2", strategy="blue-green")
    scene.publish(new)
    scene.deploy(new)
    assert scene.serving.replicas(OLD.release_id) == 1
    assert scene.promote(new, proof=scene.smoke(new).proof) == 0.0
    verbs = [c for c in scene.serving.calls if c[0] in ("point", "stop")]
    assert verbs == [("point", new.release_id), ("stop", OLD.release_id)]
    assert scene.serves(new)


def test_a_first_promotion_has_no_outage_and_no_rollback_target():
    scene = Scene()
    scene.publish(NEW)
    scene.clock.time += 100
    assert scene.run(NEW) == 0.0
    assert scene.record == Record(live=NEW.release_id)
    assert scene.serves(NEW)


def test_a_proof_of_these_pods_is_believed(scene):
    scene.deploy(NEW)
    proof = scene.smoke(NEW).proof
    scene.chat.asked.clear()
    scene.promote(NEW, proof=proof)
    assert scene.chat.asked == []


def test_pods_that_the_proof_does_not_name_are_proved_again(scene):
    scene.deploy(NEW)
    proof = scene.smoke(NEW).proof
    scene.serving.crash(NEW.release_id)
    scene.chat.asked.clear()
    scene.promote(NEW, proof=proof)
    assert len(scene.chat.asked) == 1
    assert scene.serves(NEW)


def test_a_pointer_that_a_person_moves_between_test_and_promotion_is_not_written_over(scene):
    scene.deploy(NEW)
    proof = scene.smoke(NEW).proof
    scene.serving.held = replace(scene.serving.held, target="a" * 12)
    scene.serving.meddling = {None: ("where Service chat leads was changed by kubectl-patch at noon",)}
    with pytest.raises(Conflict, match=r"somebody moved it by hand.*; where Service chat leads .* by kubectl-patch"):
        scene.promote(NEW, proof=proof)
    assert scene.serving.held.target == "a" * 12
    assert scene.rollback().outcome == "rolled-back"
    assert scene.serving.held.target == "a" * 12, "nor by the way back"
    assert scene.record == Record(live=OLD.release_id)


def test_what_fails_that_proof_is_refused_and_gets_no_client(scene):
    scene.deploy(NEW)
    scene.faults[NEW.release_id] = "empty-text"
    with pytest.raises(Failed, match=r"its answer to .* is empty"):
        scene.promote(NEW)
    assert scene.record.refused == (NEW.release_id,)
    assert scene.serving.held.target == OLD.release_id


def test_promote_alone_brings_the_candidate_up_again_after_a_rollback(scene):
    scene.deploy(NEW)
    scene.rollback()
    assert scene.serves(OLD)
    scene.promote(NEW)
    assert scene.serves(NEW)


def test_promote_alone_brings_a_first_deployment_up_again_after_it_was_removed():
    scene = Scene()
    scene.publish(NEW)
    scene.deploy(NEW)
    assert scene.rollback().outcome == "removed"
    scene.promote(NEW)
    assert scene.serves(NEW)


def test_promote_needs_no_store_for_what_was_started(scene):
    scene.deploy(NEW)
    proof = scene.smoke(NEW).proof
    scene.no_store = BadInput("no S3 client can be made")
    scene.promote(NEW, proof=proof)
    assert scene.serves(NEW)


def test_promote_cannot_start_what_nobody_knows(scene):
    with pytest.raises(Missing, match="is not in the store"):
        scene.promote(make_release("4"))
    assert scene.serves(OLD)


def test_what_nothing_names_is_removed_and_the_rollback_target_is_kept(scene):
    scene.run(NEW)
    scene.run(THIRD)
    assert scene.serving.releases() == tuple(sorted((NEW.release_id, THIRD.release_id)))
    assert scene.record == Record(live=THIRD.release_id, previous=NEW.release_id)


def test_a_rollback_by_hand_is_a_promotion_of_the_previous_release(scene):
    scene.run(NEW)
    scene.deploy(OLD, "by-hand")
    scene.promote(OLD, "by-hand", refuse_previous=True)
    assert scene.record == Record(live=OLD.release_id, previous=NEW.release_id, refused=(NEW.release_id,))
    assert scene.serves(OLD)
    with pytest.raises(Refused, match="was rolled back by hand"):
        scene.deploy(NEW, "cron")


def test_doing_it_again_changes_nothing(scene):
    """Nor does it know what it cost the first time: that attempt may have been lost after its last write."""
    scene.run(NEW)
    calls, held = list(scene.serving.calls), scene.serving.held
    assert scene.promote(NEW) is None
    assert (scene.serving.calls, scene.serving.held) == (calls, held)


def test_a_run_that_was_replaced_moves_no_pointer(scene):
    scene.deploy(NEW)
    proof = scene.smoke(NEW).proof
    scene.serving.owners.add("other")
    scene.with_record(owner="other")
    with pytest.raises(Conflict, match="run other is testing release"):
        scene.promote(NEW, proof=proof)
    assert scene.serving.held.target == OLD.release_id


def test_a_run_that_is_replaced_in_the_middle_moves_no_pointer(scene):
    scene.deploy(NEW)
    proof = scene.smoke(NEW).proof

    def replace(moment: str) -> None:
        if moment == "before:point":
            scene.serving.disturb = lambda _moment: None
            scene.with_record(owner="other")

    scene.serving.disturb = replace
    with pytest.raises(Conflict):
        scene.promote(NEW, proof=proof)
    assert scene.serving.held.target == OLD.release_id
    assert scene.record.live == OLD.release_id


def test_a_repaired_release_is_proved_and_nothing_moves(scene):
    scene.serving.crash(OLD.release_id)
    scene.deploy(OLD)
    assert scene.record.phase == "repairing"
    inputs = PromoteInputs(deployment="chat", release_id=OLD.release_id, run="run", owner="run", proof="")
    scene.clock.time += 40
    assert promote(inputs, scene.stage, OLD).outage_seconds == pytest.approx(40, abs=1), "nothing served meanwhile"
    assert scene.record == Record(live=OLD.release_id)
    assert scene.serves(OLD)


def test_a_repair_of_one_of_several_does_not_know_whether_the_others_answered():
    two, scene = make_release("1", replicas=2), Scene()
    scene.serving.owners.add("run")
    scene.live(two)
    scene.serving.crash(two.release_id)
    scene.deploy(two)
    assert scene.promote(two) is None
    assert scene.serves(two)


def test_a_repaired_release_that_nobody_proved_is_proved_here(scene):
    scene.serving.crash(OLD.release_id)
    scene.deploy(OLD)
    scene.faults[OLD.release_id] = "empty-text"
    with pytest.raises(Failed, match=r"its answer to .* is empty"):
        scene.promote(OLD)
    assert (scene.record.phase, scene.record.refused) == ("repairing", ())


def test_a_pointer_that_a_person_moves_between_test_and_promotion_is_not_moved_back(scene):
    """Between its steps as well as in them: only the beginning looked."""
    scene.deploy(NEW)
    proof = scene.smoke(NEW).proof
    held = scene.serving.held
    scene.serving.held = replace(held, target="by hand", version="77")

    with pytest.raises(Conflict, match=f"sends clients to by hand, its record says {OLD.release_id}.*by hand"):
        scene.promote(NEW, proof=proof)
    assert (scene.serving.held.target, scene.record.phase) == ("by hand", "testing")


def test_the_old_release_is_not_ended_while_a_person_sends_clients_there(scene):
    beside = make_release("2", strategy="blue-green")
    scene.publish(beside)
    scene.deploy(beside)
    proof = scene.smoke(beside).proof

    def moved_back(moment):
        if moment == "after:point":
            scene.serving.held = replace(scene.serving.held, target=OLD.release_id)

    scene.serving.disturb = moved_back
    with pytest.raises(Conflict, match=f"clients are sent to release {OLD.release_id}, which is not live"):
        scene.promote(beside, proof=proof)
    assert scene.serving.replicas(OLD.release_id) == 1
    assert scene.record.phase == "draining"
