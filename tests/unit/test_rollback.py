import threading
from dataclasses import replace

import pytest

from steps.contracts import DeployInputs, RollbackOutputs
from steps.core.record import Record
from steps.core.release import Smoke
from steps.deploy import deploy
from steps.errors import Conflict, Denied, Failed, Refused, RollbackFailed, Transient
from steps.filing import KEPT_BYTES
from steps.recovery import recover, settle
from steps.tries import not_brought_back
from tests.stubs.scene import Killed, Scene, make_release
from tests.stubs.serving import Manner

OLD, NEW, THIRD = (make_release(mark) for mark in "123")
NOTHING = RollbackOutputs(outcome="nothing", outage_seconds=0.0)


@pytest.fixture
def scene():
    scene = Scene()
    scene.serving.owners.add("run")
    scene.publish(NEW, THIRD)
    scene.live(OLD)
    return scene


def failing(times: int, error: BaseException, at: str):
    """A disturbance that happens so many times."""
    left = [times]

    def disturb(moment: str) -> None:
        if moment == at and left[0]:
            left[0] -= 1
            raise error

    return disturb


def test_nothing_in_flight_is_nothing_to_do(scene):
    assert scene.rollback() == NOTHING
    assert scene.serving.calls == []


def test_a_run_that_was_stopped_while_it_waited_touches_nobody_elses_work(scene):
    scene.deploy(NEW)
    before = scene.serving.held
    assert scene.rollback("waiting") == NOTHING
    assert scene.serving.held == before


def test_the_old_release_serves_again_and_has_answered(scene):
    scene.deploy(NEW)
    scene.clock.time += 30
    scene.chat.asked.clear()
    outputs = scene.rollback()
    assert outputs.outcome == "rolled-back"
    assert outputs.outage_seconds == pytest.approx(30, abs=1)
    assert scene.record == Record(live=OLD.release_id)
    assert scene.serves(OLD)
    assert scene.chat.asked == [p.url for p in scene.serving.pods(OLD.release_id)]


def test_an_old_release_of_which_no_fingerprint_is_known_is_not_asked_for_one(scene):
    """One that was promoted before there were any may be ended by the very question."""
    scene.faults[OLD.release_id] = "dead-of-logprobs"
    scene.deploy(NEW)
    assert scene.rollback().outcome == "rolled-back"
    assert scene.chat.ended == set()
    assert scene.serves(OLD)


def test_as_many_replicas_come_back_as_there_were(scene):
    scene.with_record(owner="human")
    scene.serving.ensure(OLD, 3, "human")
    scene.with_record(owner=None)
    scene.deploy(NEW)
    scene.rollback()
    assert len(scene.serving.pods(OLD.release_id)) == 3


def test_a_failed_candidate_is_removed_an_interrupted_one_waits_for_a_retry(scene):
    scene.deploy(NEW)
    scene.rollback()
    assert scene.serving.release(NEW.release_id) == NEW
    scene.deploy(NEW)
    scene.faults[NEW.release_id] = "empty-text"
    with pytest.raises(Failed):
        scene.smoke(NEW)
    scene.rollback()
    assert scene.serving.release(NEW.release_id) is None
    assert scene.record == Record(live=OLD.release_id, refused=(NEW.release_id,))
    assert scene.serves(OLD)


def test_a_failed_rollback_by_hand_keeps_its_target(scene):
    scene.run(NEW)
    scene.deploy(OLD, "by-hand")
    scene.faults[OLD.release_id] = "empty-text"
    with pytest.raises(Failed):
        scene.smoke(OLD, "by-hand")
    scene.rollback("by-hand")
    assert scene.serves(NEW)
    assert scene.record.previous == OLD.release_id
    assert scene.serving.release(OLD.release_id) == OLD


def test_what_a_dead_candidate_said_is_kept(scene, caplog):
    caplog.set_level("INFO")
    scene.serving.manners[NEW.release_id] = Manner(failure="ended", log="its last words")
    with pytest.raises(Failed):
        scene.deploy(NEW)
    caplog.clear()
    scene.rollback()
    assert "its last words" in caplog.text


KEY = f"p/reports/run/server-{NEW.release_id}.log"


def refused_by_its_test(scene, log="INFO\nTraceback\nCUDA error: hush"):
    scene.deploy(NEW)
    scene.serving.manners[NEW.release_id] = Manner(log=log)
    scene.faults[NEW.release_id] = "empty-text"
    with pytest.raises(Failed):
        scene.smoke(NEW)


def test_all_that_a_refused_candidate_said_is_kept_in_the_store_without_secrets(scene):
    refused_by_its_test(scene, "\n".join(f"line {number} hush" for number in range(1000)))
    scene.rollback()
    assert scene.serving.release(NEW.release_id) is None
    kept = scene.store.objects[KEY].decode().splitlines()
    assert (len(kept), kept[0], kept[-1]) == (1000, "line 0 [secret]", "line 999 [secret]")


def test_the_end_of_a_long_log_is_kept(scene):
    refused_by_its_test(scene, "x" * 2 * KEPT_BYTES + "the end")
    scene.rollback()
    assert len(scene.store.objects[KEY]) == KEPT_BYTES
    assert scene.store.objects[KEY].endswith(b"xthe end")


@pytest.mark.parametrize("trouble", [Transient("no answer"), Denied("no key"), KeyError("a bug")])
def test_a_store_that_is_away_fails_no_rollback_and_is_told(scene, caplog, trouble):
    refused_by_its_test(scene)
    scene.no_store = trouble
    assert scene.rollback().outcome == "rolled-back"
    assert scene.serves(OLD)
    assert f"is not kept at {KEY}" in caplog.text


def test_a_store_that_does_not_answer_costs_clients_no_second_and_the_rollback_not_many(scene, caplog, monkeypatch):
    monkeypatch.setattr("steps.filing.PATIENCE_SECONDS", 0.05)
    refused_by_its_test(scene)
    asked, back, answers = threading.Event(), [], threading.Event()

    class Silent:
        def put(self, _key, _body):
            asked.set()
            back.append(answers.wait(10))

    scene.stage = replace(scene.stage, files=replace(scene.stage.files, store=Silent))
    assert scene.rollback().outcome == "rolled-back"
    assert (asked.is_set(), back, scene.serves(OLD)) == (True, [], True)
    assert "the store does not answer" in caplog.text
    answers.set()


def test_a_candidate_that_said_nothing_leaves_what_is_kept_alone(scene):
    scene.deploy(NEW)
    scene.serving.manners[NEW.release_id] = Manner(log="")
    scene.rollback()
    assert KEY not in scene.store.objects


def test_a_first_deployment_is_removed_whole():
    scene = Scene()
    scene.publish(NEW)
    scene.deploy(NEW)
    assert scene.rollback() == RollbackOutputs(outcome="removed", outage_seconds=0.0)
    assert scene.record == Record()
    assert scene.serving.releases() == ()
    assert scene.serving.held.target is None


def test_blue_green_was_never_out(scene):
    new = make_release("2", strategy="blue-green")
    scene.publish(new)
    scene.deploy(new)
    scene.clock.time += 30
    pods = scene.serving.pods(OLD.release_id)
    assert scene.rollback() == RollbackOutputs(outcome="rolled-back", outage_seconds=0.0)
    assert scene.serving.pods(OLD.release_id) == pods


def busy(scene: Scene, release) -> None:
    """It answers who it is, and no completion in time."""
    scene.faults[release.release_id] = "hang"


@pytest.mark.parametrize("tries", [1, 2])
def test_a_live_release_that_never_stopped_is_not_stopped_for_being_busy(scene, tries):
    new = make_release("2", strategy="blue-green")
    scene.publish(new)
    scene.deploy(new)
    pods = scene.serving.pods(OLD.release_id)
    busy(scene, OLD)
    if tries == 2:
        scene.serving.disturb = failing(1, Failed("one look too few"), "after:ensure")
    assert scene.rollback() == RollbackOutputs(outcome="rolled-back", outage_seconds=0.0)
    assert scene.serving.pods(OLD.release_id) == pods
    assert ("stop", OLD.release_id) not in scene.serving.calls


def test_a_live_release_for_which_no_room_was_made_yet_is_not_stopped_for_being_busy(scene):
    scene.serving.disturb = failing(1, Transient("away"), "before:stop")
    with pytest.raises(Transient):
        scene.deploy(NEW)
    pods = scene.serving.pods(OLD.release_id)
    busy(scene, OLD)
    assert scene.rollback() == RollbackOutputs(outcome="rolled-back", outage_seconds=0.0)
    assert scene.serving.pods(OLD.release_id) == pods


def test_that_nothing_was_stopped_is_known_to_who_goes_on_with_a_killed_rollback(scene):
    new = make_release("2", strategy="blue-green")
    scene.publish(new)
    scene.deploy(new)
    busy(scene, OLD)
    scene.serving.disturb = failing(1, Killed(), "after:swap")
    with pytest.raises(Killed):
        scene.rollback()
    scene.clock.time += 30
    assert scene.rollback() == RollbackOutputs(outcome="rolled-back", outage_seconds=0.0)
    assert ("stop", OLD.release_id) not in scene.serving.calls


def test_beside_a_candidate_the_live_release_may_end_and_then_clients_were_without(scene):
    new = make_release("2", strategy="blue-green")
    scene.publish(new)
    scene.deploy(new)
    scene.serving.crash(OLD.release_id)
    scene.clock.time += 30
    outputs = scene.rollback()
    assert outputs.outcome == "rolled-back"
    assert outputs.outage_seconds == pytest.approx(30, abs=1)
    assert scene.serves(OLD)


def test_a_live_release_that_never_stopped_and_says_nothing_is_asked_until_it_does(scene):
    new = make_release("2", strategy="blue-green")
    scene.publish(new)
    scene.deploy(new)
    models, until = scene.chat.models, scene.clock.time + 60
    scene.chat.models = lambda url: models(url) if scene.clock.time > until else {}
    assert scene.rollback() == RollbackOutputs(outcome="rolled-back", outage_seconds=0.0)
    assert ("stop", OLD.release_id) not in scene.serving.calls


def test_a_live_release_that_never_stopped_and_wants_another_key_by_now_serves(scene, caplog):
    new = make_release("2", strategy="blue-green")
    scene.publish(new)
    scene.deploy(new)
    scene.faults[OLD.release_id] = "other-key"
    before = scene.serving.pods(OLD.release_id)
    assert scene.rollback().outcome == "rolled-back"
    assert [p.uid for p in scene.serving.pods(OLD.release_id)] == [p.uid for p in before]
    assert "wants another API key" in caplog.text


def test_once_clients_are_there_the_promotion_is_completed(scene):
    scene.deploy(NEW)
    scene.clock.time += 20
    proof = scene.smoke(NEW).proof
    scene.serving.disturb = failing(1, Transient("away"), "after:point")
    with pytest.raises(Transient):
        scene.promote(NEW, proof=proof)
    scene.clock.time += 50
    outputs = scene.rollback()
    assert outputs.outcome == "completed"
    assert outputs.outage_seconds == pytest.approx(20, abs=1)
    assert scene.record == Record(live=NEW.release_id, previous=OLD.release_id)
    assert scene.serves(NEW)


def test_an_unfinished_repair_is_left_as_it_is(scene, caplog):
    scene.serving.crash(OLD.release_id)
    scene.serving.manners[OLD.release_id] = Manner(failure="ended")
    with pytest.raises(Failed):
        scene.deploy(OLD)
    calls = len(scene.serving.calls)
    assert scene.rollback() == NOTHING
    assert scene.record == Record(live=OLD.release_id)
    assert scene.serving.calls[calls:] == [("swap", "idle")]
    assert "nothing is put in its place" in caplog.text


def cut_off_in_its_repair(scene, replicas=1):
    """The live release had to end before it could start again, and that is as far as it got."""
    scene.with_record(phase="repairing", owner="run", replicas=replicas, deadline=scene.clock.time + 60)
    scene.serving.stop(OLD.release_id, "run")


@pytest.mark.parametrize("replicas", [1, 2])
def test_a_repair_that_was_cut_off_while_nothing_ran_is_started_again_with_all_its_replicas(scene, replicas):
    cut_off_in_its_repair(scene, replicas)
    outputs = scene.rollback()
    assert outputs.outcome == "nothing"
    assert "it is started again" in outputs.noticed
    assert scene.record == Record(live=OLD.release_id, replicas=replicas)
    assert scene.serving.replicas(OLD.release_id) == len(scene.serving.pods(OLD.release_id)) == replicas


def test_a_repair_of_a_release_that_somebody_has_deleted_is_left(scene):
    cut_off_in_its_repair(scene)
    scene.serving._specs.pop(OLD.release_id)
    assert scene.rollback() == NOTHING
    assert scene.record == Record(live=OLD.release_id)
    assert scene.serving.replicas(OLD.release_id) == 0


def test_how_fast_the_old_release_answers_is_no_reason_to_stay_away(scene):
    slow = make_release("1", smoke=Smoke(min_tokens_per_second=1000.0))
    scene.live(slow)
    scene.deploy(NEW)
    assert scene.rollback().outcome == "rolled-back"


# It tries again by itself: after a stop nobody else would.


def test_what_lets_it_down_for_a_while_is_waited_for_ever_longer(scene):
    scene.deploy(NEW)
    scene.serving.disturb = failing(4, Transient("away"), "before:ensure")
    scene.clock.slept.clear()
    assert scene.rollback().outcome == "rolled-back"
    assert scene.clock.slept[:4] == [1.0, 2.0, 4.0, 8.0]
    assert scene.serves(OLD)


@pytest.mark.parametrize("at", ["before:swap", "before:stop", "before:ensure"])
def test_rights_that_are_away_for_a_while_are_waited_for(scene, at):
    scene.deploy(NEW)
    scene.serving.disturb = failing(3, Denied("no right to patch deployments; install again"), at)
    assert scene.rollback().outcome == "rolled-back"
    assert scene.serves(OLD)


def test_a_promotion_that_cannot_be_completed_is_not_said_to_need_a_way_back(scene):
    """Clients follow the new release; a pod of the old one is on a node that does not answer."""
    scene.deploy(NEW)
    proof = scene.smoke(NEW).proof

    def lingers(moment: str) -> None:
        if moment == "before:stop" and scene.record.phase == "draining":
            raise Transient("it is on node-1, which is silent")

    scene.serving.disturb = lingers
    with pytest.raises(Transient):
        scene.promote(NEW, proof=proof)
    with pytest.raises(RollbackFailed) as failed:
        scene.rollback()
    assert str(failed.value) == (
        f"the promotion of release {NEW.release_id} to chat could not be completed: it is on node-1, which is silent; "
        "clients follow that release already, and nothing has to be brought back: put right what is named here, and "
        "`python -m workflows.reconcile` completes it, as the reconciler does by itself"
    )


def test_a_way_back_that_is_over_is_not_said_to_be_in_flight(scene):
    assert "nothing is in flight any more" in not_brought_back(scene.stage, Transient("away"))


def test_a_record_that_cannot_be_read_is_said_to_tell_what_is_in_flight(scene, monkeypatch):
    def away() -> None:
        raise Transient("away")

    monkeypatch.setattr(scene.serving, "read", away)
    assert "its record still says what is in flight" in not_brought_back(scene.stage, Transient("away"))


def test_after_ten_minutes_a_person_is_called_and_the_record_still_tells(scene):
    scene.deploy(NEW)
    scene.serving.disturb = failing(10_000, Transient("the cluster is away"), "before:ensure")
    began = scene.clock.time
    with pytest.raises(RollbackFailed, match="could not be brought back: the cluster is away"):
        scene.rollback()
    assert 600 < scene.clock.time - began < 700
    assert scene.record.phase == "rolling-back"
    scene.serving.disturb = lambda _moment: None
    assert scene.rollback().outcome == "rolled-back"
    assert scene.serves(OLD)


def test_the_ten_minutes_count_from_the_first_trouble_and_not_from_the_start(scene):
    scene.deploy(NEW)
    troubles = failing(3, Transient("away for a moment"), "before:swap")

    def long_load(moment: str) -> None:
        if moment == "before:ensure":
            scene.clock.time += 700
            scene.serving.disturb = troubles

    scene.serving.disturb = long_load
    assert scene.rollback().outcome == "rolled-back"
    assert scene.serves(OLD)


def test_an_old_release_that_does_not_come_up_is_started_afresh_twice(scene):
    scene.deploy(NEW)
    scene.serving.manners[OLD.release_id] = Manner(failure="ended", log="CUDA error: out of memory")
    with pytest.raises(RollbackFailed, match="CUDA error: out of memory"):
        scene.rollback()
    assert scene.serving.calls.count(("ensure", OLD.release_id)) == 3
    assert scene.record.phase == "rolling-back"
    assert scene.record.refused == ()


def test_an_old_release_that_comes_up_the_second_time_serves_and_the_outage_is_the_whole(scene):
    scene.deploy(NEW)
    scene.clock.time += 30
    scene.faults[OLD.release_id] = "http-500"
    sleep = scene.clock.sleep

    def mended(seconds: float) -> None:
        sleep(seconds)
        scene.faults.clear()

    scene.clock.sleep = mended
    outputs = scene.rollback()
    assert outputs.outcome == "rolled-back"
    assert outputs.outage_seconds > 30
    afresh = [c for c in scene.serving.calls if c in (("stop", OLD.release_id), ("ensure", OLD.release_id))]
    assert [verb for verb, _ in afresh] == ["stop", "ensure", "stop", "ensure"]  # for room, back, and once more


def test_an_old_release_that_answers_nonsense_is_not_said_to_be_back(scene):
    scene.deploy(NEW)
    scene.faults[OLD.release_id] = "degenerate"
    with pytest.raises(RollbackFailed, match="nonsense"):
        scene.rollback()


def test_an_old_release_that_nobody_knows_any_longer_needs_a_person(scene):
    scene.deploy(NEW)
    scene.serving._specs.pop(OLD.release_id)
    with pytest.raises(RollbackFailed, match=f"no longer knows how its live release {OLD.release_id} is started"):
        scene.rollback()


def test_a_rollback_that_is_overtaken_leaves_it_to_the_other(scene):
    scene.deploy(NEW)

    def overtake(moment: str) -> None:
        if moment == "before:ensure":
            scene.serving.disturb = lambda _moment: None
            scene.with_record(owner="other")

    scene.serving.disturb = overtake
    assert scene.rollback() == NOTHING
    assert scene.record.owner == "other"


def test_a_record_that_was_touched_and_is_still_ours_is_read_again(scene):
    scene.deploy(NEW)
    scene.serving.disturb = failing(1, Conflict("somebody labelled the Service"), "before:swap")
    assert scene.rollback().outcome == "rolled-back"


# The work of the dead.


@pytest.mark.parametrize("phase", ["swapping", "testing", "rolling-back"])
def test_a_dead_runs_unfinished_work_is_undone_by_the_next_run(scene, phase):
    scene.deploy(NEW, "dead")
    scene.with_record(phase=phase)
    scene.deploy(THIRD)
    scene.rollback()
    assert scene.record == replace(scene.record, phase="idle", live=OLD.release_id, owner=None, candidate=None)
    assert scene.serves(OLD)


def test_a_dead_runs_moved_pointer_stays_where_it_is(scene):
    scene.deploy(NEW, "dead")
    scene.with_record(phase="draining", live=NEW.release_id, previous=OLD.release_id)
    scene.serving.held = replace(scene.serving.held, target=NEW.release_id)
    scene.deploy(THIRD)
    scene.rollback()
    assert scene.serves(NEW)
    assert scene.record.previous == OLD.release_id


def test_what_a_dead_run_refused_is_not_begun_by_the_next(scene):
    scene.deploy(NEW, "dead")
    scene.faults[NEW.release_id] = "empty-text"
    with pytest.raises(Failed):
        scene.smoke(NEW, "dead")
    with pytest.raises(Refused, match=r"workflows\.allow"):
        settle(scene.stage, NEW, "run")
    assert scene.record == Record(live=OLD.release_id, refused=(NEW.release_id,))
    assert scene.serves(OLD)


def test_a_dead_runs_draining_work_is_taken_over_with_time_to_finish_it(scene):
    scene.deploy(NEW, "dead")
    scene.clock.time += 20
    scene.serving.disturb = failing(1, Transient("away"), "after:point")
    with pytest.raises(Transient):
        scene.promote(NEW, "dead")
    scene.clock.time += 10_000
    seen = []
    scene.serving.disturb = lambda moment: seen.append(scene.record) if moment == "before:stop" else None
    outputs = recover(scene.stage, "run", take_over=True)
    assert seen[0].deadline > scene.clock.time
    assert outputs.outcome == "completed"
    assert outputs.outage_seconds == pytest.approx(20, abs=1)


def test_a_dead_runs_repair_is_begun_anew(scene):
    scene.serving.crash(OLD.release_id)
    scene.deploy(OLD, "dead")
    scene.serving.crash(OLD.release_id)
    scene.run(OLD)
    assert scene.serves(OLD)
    assert scene.record == Record(live=OLD.release_id)


def test_what_somebody_has_deleted_is_brought_back_by_promoting_it_again(scene):
    """The sentence of the one before says so, and nothing else would get the deployment out of there."""
    scene.deploy(NEW, "dead")
    scene.serving._specs.pop(OLD.release_id)
    with pytest.raises(RollbackFailed, match=r"no longer knows how its live release .* is started; promote it again"):
        recover(scene.stage, "run", take_over=True)

    scene.run(OLD, "again")

    assert scene.serves(OLD)
    assert (scene.record.phase, scene.record.live, scene.record.owner) == ("idle", OLD.release_id, None)


def test_a_run_that_has_ended_begins_nothing(scene):
    """A step that was cut off, and wakes up when others have put all right."""
    scene.serving.acting = "another"
    inputs = DeployInputs(deployment="chat", release_id=NEW.release_id, run="gone", owner="gone")
    before = scene.serving.held
    with pytest.raises(Conflict, match="run gone has ended or was deleted, so a step of it begins nothing"):
        deploy(inputs, scene.stage, NEW)
    assert scene.serving.held == before
