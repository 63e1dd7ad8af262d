import threading
from dataclasses import replace

import pytest

from steps.core.record import Record
from steps.errors import BadInput, Missing, RollbackFailed, Transient
from steps.reconcile import LONGEST_PAUSE_SECONDS, PATIENCE_SECONDS, chosen, patiently, reconcile, stages
from steps.settings import from_environment
from tests.stubs.scene import FakeClock, Killed, Scene, make_release
from tests.stubs.serving import FakeServing, Manner

OLD, NEW = (make_release(mark) for mark in "12")


def scene():
    """Something serves, and a promotion of something else is in flight whose owner lives."""
    made = Scene()
    made.publish(NEW)
    made.live(OLD)
    made.serving.owners.add("run")
    made.deploy(NEW)
    return made


def abandoned():
    made = scene()
    made.serving.owners.clear()
    return made


def put_right(**scenes):
    for each in scenes.values():
        each.serving.owners.add("pod")
    return reconcile("pod", sorted(scenes), lambda name: scenes[name].stage).summary


def test_what_a_dead_run_left_is_undone_and_the_old_release_answers_again():
    left = abandoned()

    assert put_right(chat=left) == "chat: back at the previous release"
    assert left.record == Record(live=OLD.release_id)
    assert left.serves(OLD)


def test_what_the_candidate_of_a_dead_run_said_is_kept():
    left = abandoned()
    put_right(chat=left)

    assert left.store.objects[f"p/reports/run/server-{NEW.release_id}.log"] == Manner().log.encode()


def test_in_the_cluster_it_is_kept_under_the_name_of_the_turn_and_without_secrets(tmp_path, monkeypatch):
    monkeypatch.setenv("VLLM_API_KEY", "hush-hush")
    settings = from_environment({"VLLM_PROMOTE_SERVING": f"local://{tmp_path}", "VLLM_PROMOTE_PREFIX": "p"})
    files = stages("uid-of-its-pod", settings)("chat").files

    assert files
    assert files.layout.report(files.run, "x") == "p/reports/reconcile-uid-of-its-pod/x"
    assert files.redact("key hush-hush") == "key [secret]"


NOT_READY = "nothing unfinished; its live release is NOT READY: promote it again"


def test_where_a_live_model_server_is_gone_a_person_is_told_what_starts_it():
    gone, idle, first = Scene(), Scene(), Scene()
    for each in (gone, idle):
        each.live(OLD)
    gone.serving.crash(OLD.release_id)

    assert put_right(chat=gone) == f"chat: {NOT_READY}"
    assert put_right(chat=gone, embed=idle, new=first) == f"chat: {NOT_READY}; embed, new: nothing unfinished"


class Hidden(FakeServing):
    """Its record can be read, its pods cannot be looked at."""

    unseen = False

    def pods(self, release_id):
        if self.unseen:
            raise Transient("the API server does not answer")
        return super().pods(release_id)


def test_pods_that_cannot_be_looked_at_fail_nothing():
    hidden = Hidden()
    idle = Scene(serving=hidden)
    idle.live(OLD)
    hidden.unseen = True

    assert put_right(chat=idle) == "chat: nothing unfinished"


def test_where_nothing_was_ever_promoted_that_is_said():
    assert reconcile("pod", (), lambda name: Scene().stage).summary == "nothing was ever promoted here"


def test_the_work_of_a_living_run_and_what_is_idle_are_not_touched():
    busy, idle = scene(), Scene()
    idle.live(OLD)
    before = busy.serving.held, list(busy.serving.calls), idle.serving.held

    assert put_right(busy=busy, idle=idle) == "busy: run run is at work (testing); idle: nothing unfinished"
    assert (busy.serving.held, busy.serving.calls, idle.serving.held) == before


def test_work_past_its_deadline_is_taken_from_an_owner_that_lives():
    late = scene()
    late.clock.time = late.record.deadline + 1

    assert put_right(chat=late).startswith("chat: back at the previous release")


def test_a_promotion_that_clients_follow_already_is_completed():
    left = abandoned()
    left.with_record(phase="draining", live=NEW.release_id, previous=OLD.release_id)
    left.serving.held = replace(left.serving.held, target=NEW.release_id)

    assert put_right(chat=left).startswith("chat: its promotion is completed")
    assert (left.record.phase, left.record.live) == ("idle", NEW.release_id)


def test_the_second_time_there_is_nothing_left_to_do():
    left = abandoned()
    put_right(chat=left)

    assert put_right(chat=left) == "chat: nothing unfinished"


@pytest.mark.parametrize("already_done", [False, True])
def test_what_another_reconciler_takes_over_meanwhile_is_not_said_to_be_over(already_done):
    left = abandoned()
    left.serving.owners.add("other")
    looks = iter(range(100))

    def quicker(owner):
        if next(looks) == 0:  # whether the run lives: then the other one writes
            record = replace(left.record, phase="rolling-back", owner="other")
            left.serving.held = replace(
                left.serving.held, record=Record(live=OLD.release_id) if already_done else record
            )
            return False
        return owner in left.serving.owners

    left.serving.owner_alive = quicker

    done = put_right(chat=left)

    said = "nothing is in flight any more" if already_done else "run other is at work (rolling-back)"
    assert done == f"chat: {said}"
    assert left.record.owner == (None if already_done else "other")


def test_one_that_does_not_come_back_calls_a_person_and_keeps_no_other_from_its_turn():
    lost, left = abandoned(), abandoned()
    lost.serving.manners[OLD.release_id] = Manner(failure="ended with exit code 1")

    with pytest.raises(RollbackFailed, match="lost: chat could not be brought back"):
        put_right(lost=lost, left=left)
    assert lost.record.phase == "rolling-back"
    assert left.record == Record(live=OLD.release_id)


def test_what_calls_a_person_is_told_before_what_may_pass():
    def stage(name):  # before anything is asked, so nothing is tried again
        raise {"a": Missing("no right"), "b": RollbackFailed("lost"), "c": Transient("down")}[name]

    with pytest.raises(RollbackFailed, match=r"b: lost \(and a, c failed, as the log says\)"):
        reconcile("pod", "abc", stage)


class Away(FakeServing):
    """Its API server does not answer before ``until``."""

    clock: FakeClock
    until = float("inf")

    def read(self):
        if self.clock.now() < self.until:
            raise Transient("the API server does not answer")
        return super().read()


def out_of_reach(seconds):
    away = Away()
    made = Scene(serving=away)
    away.clock, away.until = made.clock, 0.0
    made.publish(NEW)
    made.live(OLD)
    made.serving.owners.add("run")
    made.deploy(NEW)
    made.serving.owners.clear()
    away.until = made.clock.now() + seconds
    return made


def test_an_api_server_that_is_away_for_minutes_calls_nobody():
    left = out_of_reach(PATIENCE_SECONDS - 1)

    assert put_right(chat=left).startswith("chat: back at the previous release")
    assert max(left.clock.slept) <= LONGEST_PAUSE_SECONDS


def test_one_that_stays_away_is_told_and_keeps_no_other_from_its_turn():
    gone, left = out_of_reach(PATIENCE_SECONDS * 10), abandoned()
    began = gone.clock.now()

    with pytest.raises(Transient, match="gone: the API server does not answer"):
        put_right(gone=gone, left=left)
    assert PATIENCE_SECONDS <= gone.clock.now() - began <= PATIENCE_SECONDS + LONGEST_PAUSE_SECONDS
    assert left.record == Record(live=OLD.release_id)


def test_the_names_of_deployments_are_asked_for_again_too():
    clock, answers = FakeClock(), [Transient("away"), Transient("away"), ("chat",)]

    def ask():
        if isinstance(answer := answers.pop(0), Transient):
            raise answer
        return answer

    assert patiently(ask, clock, 2.0) == ("chat",)
    assert clock.slept == [2.0, 4.0]


def test_whoever_is_cut_off_while_a_model_loads_leaves_it_and_the_next_turn_waits_on():
    left = abandoned()
    left.serving.manners[OLD.release_id] = Manner(ready_after=5)
    left.clock.sleep = killed
    with pytest.raises(Killed):
        put_right(chat=left)
    (loading,) = left.serving._pods[OLD.release_id]
    left.clock.sleep = lambda _seconds: None
    left.serving.owners.clear()
    left.serving.owners.add("next")

    done = reconcile("next", ["chat"], lambda _name: left.stage)
    assert done.summary.startswith("chat: back at the previous release")
    (serves,) = left.serving._pods[OLD.release_id]
    assert serves.uid == loading.uid


def killed(_seconds):
    raise Killed


def test_a_name_that_nothing_was_ever_promoted_to_is_told():
    assert chosen(("chat",), "chat") == chosen(("chat",), "") == ("chat",)
    with pytest.raises(BadInput, match="nothing was ever promoted to cat; there is chat"):
        chosen(("chat",), "cat")


def test_one_that_takes_long_keeps_no_other_waiting():
    other_is_done, waited, left, slow = threading.Event(), list[bool](), abandoned(), abandoned()
    slow.clock.sleep = lambda _seconds: waited.append(other_is_done.wait(10))
    slow.serving.manners[OLD.release_id] = Manner(ready_after=1)
    left.serving.disturb = lambda _moment: other_is_done.set() if left.record.phase == "idle" else None

    put_right(a_slow_one=slow, left=left)

    assert waited
    assert all(waited)
