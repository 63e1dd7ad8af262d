import logging
from dataclasses import replace

import pytest

from steps.core.record import Record
from steps.errors import BadInput, Conflict, Corrupt, Failed, Missing, Refused
from steps.ports.serving import Held, Pod
from tests.stubs.scene import Killed, Scene, make_release
from tests.stubs.serving import Manner

OLD, NEW, THIRD = (make_release(mark) for mark in "123")
BUDGET = 900.0


@pytest.fixture
def scene():
    scene = Scene()
    scene.serving.owners.add("run")
    scene.publish(NEW, THIRD)
    scene.live(OLD)
    return scene


def test_no_room_is_made_where_another_release_serves_than_the_one_that_was_proved(scene):
    for proved in (THIRD.commit, ""):
        with pytest.raises(Conflict, match="somebody promoted in between; start a new promotion"):
            scene.deploy(NEW, proved_commit=proved)
        assert scene.serving.calls == []
    scene.deploy(NEW, proved_commit=OLD.commit)
    scene.deploy(NEW, proved_commit=THIRD.commit)  # room is made already; what was proved then still is


class TestWhatSomebodyWantedToLeave:
    """A rollback by hand that waited: it says what served when it was asked for."""

    def test_is_left_while_it_serves(self, scene):
        scene.deploy(NEW, served=OLD.release_id)
        scene.smoke(NEW, served=OLD.release_id)
        scene.promote(NEW, served=OLD.release_id)
        scene.promote(NEW, served=OLD.release_id)  # again, by who has moved the pointer already
        assert scene.serves(NEW)

    @pytest.mark.parametrize("step", ["deploy", "smoke", "promote"])
    def test_may_serve_no_more_and_then_nothing_moves_and_nobody_is_refused(self, scene, step):
        before, changed = scene.serving.held, f"since you asked: it was {THIRD.release_id}, now {OLD.release_id}"
        with pytest.raises(Conflict, match=changed):
            getattr(scene, step)(NEW, served=THIRD.release_id)
        assert (scene.serving.held, scene.serving.calls) == (before, [])

    def test_is_not_looked_for_before_unfinished_work_is_put_right_and_then_it_is_not_put_right_here(self, scene):
        scene.deploy(NEW, "dead")
        before = scene.record
        with pytest.raises(Conflict, match="since you asked"):
            scene.deploy(THIRD, served=THIRD.release_id[::-1])
        assert scene.record == before

    def test_is_no_concern_of_who_wants_what_serves_already(self, scene):
        scene.deploy(OLD, served=THIRD.release_id)
        assert scene.serves(OLD)


@pytest.mark.parametrize("moved", [OLD, NEW])
def test_no_room_is_made_where_another_volume_would_be_read_than_the_one_that_was_proved(scene, moved):
    scene.serving.away[moved.release_id] = "Deployment reads claim old"
    with pytest.raises(BadInput, match="has its models elsewhere"):
        scene.deploy(NEW)
    assert scene.serving.calls == []


def test_a_live_release_is_not_repaired_from_another_volume(scene):
    scene.publish(OLD)
    scene.serving.away[OLD.release_id] = "Deployment reads claim old"
    scene.deploy(OLD)  # it serves: nothing is started
    scene.serving.crash(OLD.release_id)
    with pytest.raises(BadInput, match="has its models elsewhere"):
        scene.deploy(OLD)
    assert scene.serving.calls == []


def test_the_way_back_is_gone_wherever_its_models_are(scene):
    scene.deploy(NEW)
    scene.serving.away[OLD.release_id] = "Deployment reads claim old"
    assert scene.rollback().outcome == "rolled-back"
    assert scene.record.live == OLD.release_id


def test_recreate_makes_room_before_it_starts_the_candidate(scene):
    scene.deploy(NEW)
    assert scene.serving.calls == [
        ("swap", "swapping"),
        ("stop", OLD.release_id),
        ("ensure", NEW.release_id),
        ("swap", "testing"),
    ]
    record = scene.record
    assert (record.phase, record.live, record.candidate, record.owner) == (
        "testing",
        OLD.release_id,
        NEW.release_id,
        "run",
    )


def test_blue_green_leaves_the_live_release_alone(scene):
    new = make_release("2", strategy="blue-green")
    scene.publish(new)
    scene.deploy(new)
    assert ("stop", OLD.release_id) not in scene.serving.calls
    assert scene.serving.pods(OLD.release_id)[0].ready


def test_the_record_remembers_how_many_replicas_were_live(scene):
    scene.with_record(owner="human")
    scene.serving.ensure(OLD, 3, "human")
    scene.with_record(owner=None)
    scene.deploy(NEW)
    assert scene.record.replicas == 3


def test_it_waits_until_every_replica_is_ready_and_says_how_long_it_took(scene):
    new = make_release("2", replicas=2)
    scene.publish(new)
    scene.serving.manners[new.release_id] = Manner(ready_after=10)
    assert scene.deploy(new) == pytest.approx(3.0)


def test_one_replica_that_is_ready_is_not_two(scene):
    new = make_release("2", replicas=2)
    scene.publish(new)
    pods = scene.serving.pods

    def one_by_one(release_id: str) -> tuple[Pod, ...]:
        ready_after = (10_000.0, 10_005.0)
        return tuple(
            replace(p, ready=scene.clock.time >= at) for p, at in zip(pods(release_id), ready_after, strict=False)
        )

    scene.serving.pods = one_by_one
    assert scene.deploy(new) == pytest.approx(5.0, abs=0.3)


def test_what_it_waits_for_is_said_at_once_and_then_now_and_then(scene, caplog):
    scene.serving.manners[NEW.release_id] = Manner(waiting="no node has a free GPU")
    with caplog.at_level(logging.INFO), pytest.raises(Failed):
        scene.deploy(NEW)
    said = [r.getMessage() for r in caplog.records if "no node has a free GPU" in r.getMessage()]
    assert said[0].endswith("0 s: no node has a free GPU")
    assert 10 <= len(said) <= 20


def test_a_crash_on_start_is_refused_with_its_last_words(scene, caplog):
    scene.serving.manners[NEW.release_id] = Manner(failure="ended", log="loading\nValueError: bad header\nbye")
    with (
        caplog.at_level(logging.INFO),
        pytest.raises(Failed, match=r"ended while it started \(ended\): ValueError: bad h"),
    ):
        scene.deploy(NEW)
    assert scene.record.refused == (NEW.release_id,)
    assert scene.record.phase == "swapping"
    assert any(r.getMessage().endswith("| loading") for r in caplog.records)


def test_a_candidate_that_is_never_ready_fails_when_its_time_is_over(scene):
    scene.serving.manners[NEW.release_id] = Manner(waiting="loading")
    began = scene.clock.time
    with pytest.raises(Failed, match=r"was not ready in time \(loading\)"):
        scene.deploy(NEW)
    assert scene.clock.time - began == pytest.approx(BUDGET, abs=1)
    assert scene.record.refused == (NEW.release_id,)


def test_a_second_attempt_goes_on_with_the_first_ones_deadline(scene):
    scene.deploy(NEW)
    record = scene.record
    scene.clock.time += 500
    scene.serving.crash(NEW.release_id)
    scene.deploy(NEW)
    assert scene.record == record
    assert scene.serving.pods(NEW.release_id)[0].ready


def test_a_retry_after_its_deadline_gets_a_new_one_and_keeps_the_outage_honest(scene):
    scene.deploy(NEW)
    since = scene.record.since
    scene.clock.time += 100_000
    scene.deploy(NEW)
    assert scene.record.since == since
    assert scene.record.deadline == scene.clock.time + BUDGET + 120
    assert scene.record.phase == "testing"


def test_a_pod_that_restarts_while_it_is_tested_has_the_time_that_a_start_takes(scene):
    scene.deploy(NEW)
    scene.clock.time = scene.record.deadline - 1.0
    scene.serving.crash(NEW.release_id)
    scene.serving.manners[NEW.release_id] = Manner(ready_after=100)
    scene.deploy(NEW)
    assert scene.serving.pods(NEW.release_id)[0].ready
    assert scene.record.refused == ()


def test_a_release_that_failed_in_this_run_is_not_tried_twice(scene):
    scene.serving.manners[NEW.release_id] = Manner(failure="ended")
    for sentence in ("ended while it started", "has failed in this run already"):
        with pytest.raises(Failed, match=sentence):
            scene.deploy(NEW)


def test_a_refused_release_is_not_started_before_it_is_allowed(scene):
    scene.with_record(refused=(NEW.release_id,))
    with pytest.raises(Refused, match=r"workflows\.allow"):
        scene.deploy(NEW)
    assert scene.serving.calls == []
    assert scene.serves(OLD)


def test_another_run_in_flight_is_named_and_left_alone(scene):
    scene.deploy(NEW)
    before = scene.serving.held
    with pytest.raises(Conflict, match=f"run run is testing release {NEW.release_id} of chat"):
        scene.deploy(THIRD, "second")
    assert scene.serving.held == before


def test_another_run_in_flight_is_named_as_people_stop_it(scene):
    scene.deploy(NEW)
    scene.serving.called["run"] = "promote-x"
    named = rf"\(org/tiny at {NEW.commit}; `python -m workflows\.stop --run promote-x`\)"
    with pytest.raises(Conflict, match=rf"run run is testing .* or stop it {named}"):
        scene.deploy(THIRD, "second")


def test_a_dead_runs_work_is_rolled_back_first(scene):
    scene.deploy(NEW)
    scene.serving.owners.clear()
    scene.deploy(THIRD, "second")
    record = scene.record
    assert (record.phase, record.live, record.candidate, record.owner) == (
        "testing",
        OLD.release_id,
        THIRD.release_id,
        "second",
    )
    assert record.refused == ()


def test_a_run_past_its_deadline_counts_as_dead(scene):
    scene.deploy(NEW)
    scene.clock.time += 100_000
    scene.deploy(THIRD, "second")
    assert scene.record.owner == "second"


def test_a_run_that_is_replaced_while_it_waits_changes_nothing_more(scene):
    scene.serving.manners[NEW.release_id] = Manner(waiting="loading")
    sleep = scene.clock.sleep

    def replaced(seconds: float) -> None:
        sleep(seconds)
        if scene.record.owner != "other":
            scene.with_record(owner="other", phase="rolling-back")

    scene.clock.sleep = replaced
    with pytest.raises(Conflict, match=r"rolling-back of other while this step worked on it.*workflows\.status"):
        scene.deploy(NEW)
    assert scene.record.refused == ()


def test_a_record_that_is_deleted_under_a_run_is_told_to_be_gone_and_not_idle(scene):
    scene.serving.manners[NEW.release_id] = Manner(waiting="loading")
    sleep = scene.clock.sleep

    def deleted(seconds: float) -> None:
        sleep(seconds)
        scene.serving.held = Held(Record(), "0", None)

    scene.clock.sleep = deleted
    with pytest.raises(Conflict, match=r"record of chat is gone.*from a backup.*promote again, as for the first"):
        scene.deploy(NEW)


def test_a_pointer_moved_by_hand_is_not_overwritten(scene):
    scene.serving.held = replace(scene.serving.held, target=THIRD.release_id)
    with pytest.raises(Conflict, match="moved it by hand"):
        scene.deploy(NEW)


def test_what_is_live_with_no_replica_is_restored_with_one(scene):
    scene.serving.forget(OLD.release_id)
    scene.deploy(NEW)
    assert scene.record.replicas == 1


def test_no_room_is_made_without_a_way_back(scene):
    scene.serving._specs.clear()
    with pytest.raises(Corrupt, match="refusing: no verified rollback target"):
        scene.deploy(NEW)
    assert scene.serving.calls == []


def test_a_live_release_that_ended_is_started_again_in_its_place(scene):
    scene.serving.crash(OLD.release_id)
    scene.deploy(OLD)
    assert scene.record.phase == "repairing"
    assert scene.serving.pods(OLD.release_id)[0].ready
    assert scene.serving.held.target == OLD.release_id


def test_a_live_release_with_a_good_pod_left_keeps_it_while_it_is_repaired(scene):
    two = make_release("1", replicas=2)
    scene.publish(two)
    kept = scene.serving.pods(OLD.release_id)[0].uid
    scene.deploy(two)
    assert kept in [p.uid for p in scene.serving.pods(OLD.release_id)]
    assert len(scene.serving.pods(OLD.release_id)) == 2


@pytest.mark.parametrize("replicas", [3, 40])
def test_a_repair_brings_back_as_many_as_somebody_had_scaled_it_to(scene, replicas):
    scene.with_record(owner="human")
    scene.serving.ensure(OLD, replicas, "human")
    scene.with_record(owner=None)
    scene.serving.crash(OLD.release_id)
    scene.serving.manners[OLD.release_id] = Manner(ready_after=replicas)
    scene.deploy(OLD)
    assert [p.ready for p in scene.serving.pods(OLD.release_id)] == [True] * replicas


def look_away(scene, seconds: float, uid: str) -> None:
    """This pod does not answer /health for a while."""
    pods, until = scene.serving.pods, scene.clock.time + seconds

    def seen(release_id: str) -> tuple[Pod, ...]:
        hidden = scene.clock.time < until
        return tuple(replace(p, ready=p.ready and not (hidden and p.uid == uid)) for p in pods(release_id))

    scene.serving.pods = seen


@pytest.mark.parametrize("seconds", [1.0, 5.0, 9.0])
def test_a_live_pod_that_is_silent_for_less_than_a_request_may_take_is_not_stopped(scene, seconds):
    (pod,) = scene.serving.pods(OLD.release_id)
    look_away(scene, seconds, pod.uid)
    scene.deploy(OLD)
    assert ("stop", OLD.release_id) not in scene.serving.calls
    assert scene.serving.pods(OLD.release_id) == (pod,)


def test_a_live_pod_that_is_silent_for_longer_hangs_and_is_started_again(scene):
    (pod,) = scene.serving.pods(OLD.release_id)
    look_away(scene, 100_000.0, pod.uid)
    scene.deploy(OLD)
    assert ("stop", OLD.release_id) in scene.serving.calls
    assert [p.ready for p in scene.serving.pods(OLD.release_id)] == [True]


def two_replicas(scene):
    release = make_release("1", replicas=2)
    scene.live(release)
    return release, scene.serving.pods(release.release_id)


def test_one_of_two_that_loads_is_waited_for_and_the_other_serves_on(scene):
    release, pods = two_replicas(scene)
    look_away(scene, 600.0, pods[1].uid)
    scene.deploy(release)
    assert scene.serving.pods(release.release_id) == pods


def test_one_of_two_that_hangs_is_started_again_in_the_end(scene):
    release, pods = two_replicas(scene)
    look_away(scene, 100_000.0, pods[1].uid)
    scene.deploy(release)
    after = scene.serving.pods(release.release_id)
    assert [p.ready for p in after] == [True, True]
    assert pods[1].uid not in [p.uid for p in after]


def test_a_retried_repair_leaves_what_it_has_started_to_load(scene):
    scene.serving.crash(OLD.release_id)
    scene.serving.manners[OLD.release_id] = Manner(ready_after=200)
    sleep = scene.clock.sleep

    def killed(_seconds: float) -> None:
        raise Killed

    scene.clock.sleep = killed
    with pytest.raises(Killed):
        scene.deploy(OLD)
    loading = [p.uid for p in scene.serving.pods(OLD.release_id)]
    scene.clock.sleep = sleep
    scene.deploy(OLD)
    assert [p.uid for p in scene.serving.pods(OLD.release_id)] == loading


def test_a_live_release_with_other_weights_is_started_afresh(scene):
    scene.faults[OLD.release_id] = "wrong-root"
    old = scene.serving.pods(OLD.release_id)[0].uid
    scene.deploy(OLD)
    assert [p.uid for p in scene.serving.pods(OLD.release_id)] != [old]


def test_a_repair_that_fails_is_no_refusal(scene):
    scene.serving.crash(OLD.release_id)
    scene.serving.manners[OLD.release_id] = Manner(failure="ended")
    with pytest.raises(Failed):
        scene.deploy(OLD)
    assert (scene.record.phase, scene.record.refused) == ("repairing", ())


def test_a_live_and_healthy_release_is_left_alone(scene):
    assert scene.deploy(OLD) == 0.0
    assert scene.serving.calls == []


def test_without_the_store_a_release_is_started_as_it_was_before(scene):
    scene.run(NEW)
    scene.store.bucket_exists = False
    scene.deploy(OLD)
    assert scene.serving.pods(OLD.release_id)[0].ready
    with pytest.raises(Missing):
        scene.deploy(THIRD)


@pytest.mark.parametrize("trouble", ["damaged", "cannot be asked"])
def test_a_rollback_by_hand_goes_on_whatever_is_wrong_with_the_store(scene, trouble):
    scene.run(NEW)
    if trouble == "damaged":
        scene.store.objects[scene.layout.release("chat", OLD.release_id)] = b"{"
    else:
        scene.no_store = BadInput("no S3 client can be made")
    scene.run(OLD, "by-hand")
    assert scene.serves(OLD)


def removed_once(scene, release):
    """Somebody does so while it loads."""
    left, sleep = [True], scene.clock.sleep

    def slept(seconds):
        sleep(seconds)
        if left and scene.serving.replicas(release.release_id):
            left.clear()
            scene.serving.forget(release.release_id)

    scene.clock.sleep = slept


def test_a_candidate_that_somebody_removes_while_it_loads_is_told_at_once_and_not_refused(scene):
    scene.serving.manners[NEW.release_id] = Manner(ready_after=1000)
    removed_once(scene, NEW)
    scene.serving.meddling = {NEW.release_id: ("replicas were changed from 1 to 0 by kubectl at noon",)}
    began = scene.clock.time
    said = (
        rf"somebody has scaled release {NEW.release_id} of chat to 0 replicas, or rem.*; replicas .* by kubectl at noon"
    )
    with pytest.raises(Conflict, match=said):
        scene.deploy(NEW)
    assert scene.clock.time - began < 5
    assert scene.record.refused == ()


def test_what_is_brought_back_is_brought_back_again_where_somebody_removes_it_meanwhile(scene):
    scene.deploy(NEW)
    scene.serving.manners[OLD.release_id] = Manner(ready_after=5)
    removed_once(scene, OLD)
    assert scene.rollback().outcome == "rolled-back"
    assert scene.serves(OLD)
