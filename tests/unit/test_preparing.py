"""What deploy has done before it makes room, so that nothing serves for a shorter time."""

import logging
from dataclasses import replace

import pytest

from steps.contracts import DeployInputs
from steps.deploy import deploy
from steps.errors import Conflict, Failed, RollbackFailed, Transient
from steps.ports.serving import Place
from tests.stubs.scene import Scene, make_release

OLD, NEW, THIRD = (make_release(mark) for mark in "123")
READY = Place(name="node-1", done=True, said="its image is there; 1.0 KiB of 1.0 KiB are in memory")
PULLING = Place(name="node-2", done=False, startable=False, said="its image is being pulled")


@pytest.fixture
def scene():
    scene = Scene()
    scene.serving.owners.add("run")
    scene.publish(NEW)
    scene.live(OLD)
    return scene


def shown(scene, *looks):
    """One after the other; the last one for ever. The moments of the looks."""
    left, moments = list(looks), []

    def places():
        moments.append(scene.clock.time)
        return left.pop(0) if len(left) > 1 else left[0]

    scene.serving.places = places
    return moments


def test_room_is_made_when_all_is_ready_on_every_node_and_not_before(scene, caplog):
    seen = shown(scene, (READY, PULLING), (READY, PULLING), (READY, replace(READY, name="node-2")))
    with caplog.at_level(logging.INFO):
        scene.deploy(NEW)
    assert len(seen) == 3
    assert scene.record.since >= seen[-1]
    told = [r.getMessage() for r in caplog.records if "preparing" in r.getMessage()]
    assert told == [
        f"preparing release {NEW.release_id} on node-1: {READY.said}",
        f"preparing release {NEW.release_id} on node-2: {PULLING.said}",
        f"preparing release {NEW.release_id} on node-2: {READY.said}",
    ]


def test_an_image_that_is_nowhere_stops_nothing_and_refuses_nothing(scene):
    shown(scene, (READY, replace(PULLING, problem="its image vllm cannot be pulled: not found")))
    before = scene.serving.held
    with pytest.raises(Failed, match=r"not started, on node-2 its image vllm cannot be pulled: not found; what serves"):
        scene.deploy(NEW)
    assert scene.serving.held == before
    assert scene.serving.calls == []
    assert scene.serves(OLD)
    assert scene.serving.prepared == {}
    assert scene.rollback().outcome == "nothing"


def test_files_that_were_removed_since_they_were_checked_stop_nothing_and_refuse_nothing(scene):
    shown(scene, (replace(READY, problem="/models/org--tiny/abc has been removed since it was checked"),))
    before = scene.serving.held
    with pytest.raises(Failed, match=r"not started, on node-1 /models/org--tiny/abc has been removed .*; what serves"):
        scene.deploy(NEW)
    assert scene.serving.held == before
    assert scene.serving.calls == []
    assert scene.serves(OLD)


def test_what_is_not_ready_in_the_time_that_a_start_has_stops_nothing(scene):
    seen = shown(scene, (READY, PULLING))
    with pytest.raises(Failed, match="on node-2 it is not ready to start: its image is being pulled"):
        scene.deploy(NEW)
    assert seen[-1] - seen[0] == pytest.approx(900, abs=1)
    assert scene.serving.calls == []


def test_what_is_merely_slow_to_read_is_waited_for_no_longer_than_a_start_takes(scene):
    seen = shown(scene, (READY, Place(name="node-2", done=False, said="its files are read into memory")))
    scene.deploy(NEW)
    assert seen[-1] - seen[0] == pytest.approx(900, abs=1)
    assert scene.record.candidate == NEW.release_id


def test_what_is_ready_stays_until_the_release_serves(scene):
    scene.deploy(NEW)
    assert scene.serving.prepared == {NEW.release_id: "run"}
    scene.promote(NEW)
    assert scene.serving.prepared == {}


def test_a_rollback_ends_what_is_held_ready_also_for_a_run_that_has_touched_nothing(scene):
    scene.serving.prepared[NEW.release_id] = "run"
    assert scene.rollback().outcome == "nothing"
    assert scene.serving.prepared == {}
    scene.deploy(NEW)
    assert scene.rollback().outcome == "rolled-back"
    assert scene.serving.prepared == {}


def test_it_is_prepared_again_where_a_retry_begins_anew_and_not_where_it_goes_on(scene):
    seen = shown(scene, (READY,))
    scene.deploy(NEW)
    scene.deploy(NEW)
    assert len(seen) == 1
    scene.rollback()
    scene.deploy(NEW)
    assert len(seen) == 2


@pytest.mark.parametrize("why", ["beside it", "a first one"])
def test_nothing_is_prepared_for_whose_start_nobody_waits(scene, why):
    seen = shown(scene, (READY,))
    new = make_release("2", strategy="blue-green" if why == "beside it" else "recreate")
    scene.publish(new)
    if why == "a first one":
        scene.with_record(live=None)
        scene.serving.held = replace(scene.serving.held, target=None)
    scene.deploy(new)
    assert seen == []


def test_who_prepares_notices_that_somebody_else_has_promoted_meanwhile(scene):
    def places():
        scene.with_record(owner="other", phase="swapping", candidate="a" * 12)
        return (PULLING,)

    scene.serving.places = places
    with pytest.raises(Conflict, match="changed to swapping of other"):
        scene.deploy(NEW)
    assert scene.serving.calls == []
    assert scene.serving.prepared == {}


def test_a_cluster_that_is_away_meanwhile_ends_the_attempt_and_leaves_what_serves(scene):
    def places():
        raise Transient("away")

    scene.serving.places = places
    with pytest.raises(Transient):
        scene.deploy(NEW)
    assert scene.serves(OLD)
    assert scene.record.phase == "idle"


def test_what_cannot_be_ended_fails_no_promotion(scene):
    def hit(moment):
        if moment == "before:unprepare":
            raise Transient("away")

    scene.serving.disturb = hit
    scene.run(NEW)
    assert scene.serves(NEW)


def test_a_step_of_a_run_that_has_ended_prepares_nothing(scene):
    seen = shown(scene, (READY,))
    scene.serving.owners.clear()
    scene.serving.acting = ""
    with pytest.raises(Conflict, match="run gone has ended or was deleted, so a step of it begins nothing"):
        deploy(DeployInputs(deployment="chat", release_id=NEW.release_id, run="gone", owner="gone"), scene.stage, NEW)
    assert seen == []
    assert scene.serving.prepared == {}


def test_what_was_prepared_is_given_up_where_somebody_else_begins_meanwhile(scene):
    shown(scene, (READY,))

    def others_begin(moment):
        if moment == "after:prepare":
            scene.with_record(refused=("0" * 12,))

    scene.serving.disturb = others_begin
    with pytest.raises(Conflict, match="since it was read"):
        scene.deploy(NEW)
    assert scene.serving.prepared == {}
    assert scene.serves(OLD)


def test_what_another_run_has_prepared_outlives_who_loses_the_race_and_who_is_stopped(scene):
    scene.serving.prepared[THIRD.release_id] = "other"
    scene.serving.disturb = lambda moment: scene.with_record(refused=("0" * 12,)) if moment == "after:prepare" else None
    with pytest.raises(Conflict):
        scene.deploy(NEW)
    assert scene.rollback("waiting").outcome == "nothing"
    assert scene.serving.prepared == {THIRD.release_id: "other"}


def test_a_promotion_that_is_complete_ends_also_what_others_have_prepared(scene):
    scene.serving.prepared[THIRD.release_id] = "other"
    scene.run(NEW)
    assert scene.serving.prepared == {}


@pytest.mark.parametrize("error", [RollbackFailed("no way back"), ValueError("a bug")])
def test_a_rollback_that_fails_says_so_and_leaves_nothing_that_was_prepared(scene, monkeypatch, error):
    def fails(*_args, **_named):
        raise error

    monkeypatch.setattr("steps.rollback.recover", fails)
    scene.serving.prepared[NEW.release_id] = "run"
    with pytest.raises(type(error), match=str(error)):
        scene.rollback()
    assert scene.serving.prepared == {}
