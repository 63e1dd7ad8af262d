"""Clients arrive at a release after the pointer does, or they do not: then it is said, and nothing is undone."""

import pytest

from steps.core.record import Record
from steps.endpoint import PATIENCE_SECONDS, Arrival, wait_for_clients
from tests.stubs.scene import Scene, make_release

OLD, NEW = (make_release(mark) for mark in "12")
BESIDE = make_release("3", strategy="blue-green")
NOBODY = "http://nobody-0"
FOR_EVER = 1000
STARTING_SECONDS = 40.0


@pytest.fixture
def scene():
    scene = Scene()
    scene.serving.owners.add("run")
    scene.publish(NEW, BESIDE)
    scene.live(OLD)
    return scene


def promoted_late(scene, release, address, questions):
    """What promote gives where the endpoint leads to ``address`` at so many questions after the pointer has moved."""
    scene.deploy(release)
    scene.clock.time += STARTING_SECONDS
    proof = scene.smoke(release).proof
    scene.late = [address] * questions
    return scene.promote(release, proof=proof)


def test_an_endpoint_that_leads_there_already_is_not_waited_for(scene):
    began = scene.clock.time
    assert wait_for_clients(scene.stage, OLD.release_id) == Arrival(0.0)
    assert scene.clock.time == began


@pytest.mark.parametrize("unknown", [None, NEW.release_id])
def test_a_release_of_which_nothing_is_known_is_not_waited_for(scene, unknown):
    scene.late = [NOBODY] * FOR_EVER
    assert wait_for_clients(scene.stage, unknown) == Arrival(0.0)


def test_an_outage_lasts_until_clients_are_answered(scene):
    assert promoted_late(scene, NEW, NOBODY, questions=20) == pytest.approx(STARTING_SECONDS + 3, abs=1)


def test_the_old_release_goes_on_until_clients_no_longer_come_to_it(scene):
    there = []
    scene.serving.disturb = lambda moment: there.append((moment, len(scene.late)))
    old = scene.serving.entry
    assert promoted_late(scene, BESIDE, old, questions=10) == 0, "clients were answered all the while"
    assert ("before:stop", 10) not in there
    assert ("before:stop", 0) in there
    assert scene.serves(BESIDE)


def test_clients_who_do_not_arrive_undo_nothing_and_a_person_is_told(scene):
    scene.late = [NOBODY] * FOR_EVER
    arrival = wait_for_clients(scene.stage, OLD.release_id)
    assert arrival.seconds == pytest.approx(PATIENCE_SECONDS, abs=0.5)
    assert arrival.notice.startswith(
        f"after 30 s the endpoint http://endpoint does not lead to release {OLD.release_id}, whose pods answer: "
        "nobody answers there; look at what is between them, on Kubernetes the Service's selector and EndpointSlices"
    )


def test_who_else_answers_there_is_named(scene):
    scene.deploy(BESIDE)
    scene.late = [scene.serving.entry] * FOR_EVER
    told = wait_for_clients(scene.stage, BESIDE.release_id).notice
    assert f": what answers there serves {scene.stage.root(OLD)}; look" in told


def test_another_model_there_is_named(scene):
    scene.faults[OLD.release_id] = "wrong-model"
    assert "what answers there serves another-model;" in wait_for_clients(scene.stage, OLD.release_id).notice


def test_who_wants_another_key_is_believed_to_be_the_release(scene):
    scene.faults[OLD.release_id] = "other-key"
    assert wait_for_clients(scene.stage, OLD.release_id) == Arrival(0.0)


def test_a_promotion_whose_clients_do_not_arrive_ends_well_all_the_same(scene):
    assert promoted_late(scene, NEW, NOBODY, FOR_EVER) == pytest.approx(STARTING_SECONDS + PATIENCE_SECONDS, abs=1)
    assert scene.record == Record(live=NEW.release_id, previous=OLD.release_id)


def test_a_rollback_counts_the_outage_until_clients_are_answered_and_tells_when_they_are_not(scene):
    scene.deploy(NEW)
    scene.late = [NOBODY] * 10
    soon = scene.rollback()
    assert (soon.outcome, soon.noticed) == ("rolled-back", "")
    assert soon.outage_seconds == pytest.approx(1.5, abs=0.5)
    scene.deploy(NEW)
    scene.late = [NOBODY] * FOR_EVER
    never = scene.rollback()
    assert never.outage_seconds >= PATIENCE_SECONDS
    assert "nobody answers there" in never.noticed


def test_who_completes_the_promotion_of_another_waits_for_clients_too(scene):
    scene.deploy(NEW)
    scene.clock.time += STARTING_SECONDS
    proof = scene.smoke(NEW).proof

    def killed(moment):
        if moment == "after:point":
            raise KeyboardInterrupt

    scene.serving.disturb = killed
    with pytest.raises(KeyboardInterrupt):
        scene.promote(NEW, proof=proof)
    scene.serving.disturb = lambda _moment: None
    scene.late = [NOBODY] * FOR_EVER
    done = scene.rollback()
    assert (done.outcome, scene.record.live) == ("completed", NEW.release_id)
    assert done.outage_seconds == pytest.approx(STARTING_SECONDS + PATIENCE_SECONDS, abs=1)
    assert "does not lead to release" in done.noticed


def test_there_is_no_outage_to_be_prolonged_where_the_old_release_served_on():
    assert Arrival(4.0).prolonged(0.0) == 0.0
    assert Arrival(4.0).prolonged(20.0) == 24.0
