import threading
from dataclasses import replace

import pytest

from steps.core.account import sortable
from steps.core.history import parse
from steps.core.record import Record
from steps.errors import BadInput, Missing, RollbackFailed, Transient
from steps.reconcile import LONGEST_PAUSE_SECONDS, PATIENCE_SECONDS, chosen, patiently, reconcile, stages
from steps.settings import from_environment
from tests.stubs.runs import past
from tests.stubs.scene import FakeClock, Killed, Scene, make_release
from tests.stubs.serving import FakeServing, Manner

OLD, NEW, THIRD = (make_release(mark) for mark in "123")


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
        if each.stage.files is not None:
            each.stage = replace(each.stage, files=replace(each.stage.files, run="reconcile-1"))
    return reconcile("pod", sorted(scenes), lambda name: scenes[name].stage).summary


def test_what_a_dead_run_left_is_undone_and_the_old_release_answers_again():
    left = abandoned()

    assert put_right(chat=left) == "chat: back at the previous release"
    assert left.record == Record(live=OLD.release_id)
    assert left.serves(OLD)


def test_what_the_candidate_of_a_dead_run_said_is_kept():
    left = abandoned()
    put_right(chat=left)

    assert left.store.objects[f"p/reports/reconcile-1/server-{NEW.release_id}.log"] == Manner().log.encode()


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


def followed(made):
    """Clients are at the new release already; the old one has not been ended."""
    made.with_record(phase="draining", live=NEW.release_id, previous=OLD.release_id, candidate=NEW.release_id)
    made.serving.held = replace(made.serving.held, target=NEW.release_id)
    return made


def entries(made):
    return [parse(body, key) for key, body in sorted(made.store.objects.items()) if "/history/" in key]


class TestTheHistoryOfWhatADeadRunLeft:
    """Its own report was never written."""

    def test_has_the_promotion_that_is_completed(self):
        left = followed(abandoned())
        put_right(chat=left)

        (entry,) = entries(left)
        assert (entry.run, entry.outcome, entry.release_id) == ("run", "promoted", NEW.release_id)
        assert (entry.model, entry.commit, entry.previous) == (NEW.model, NEW.commit, OLD.release_id)
        assert entry.message == "its run was cut off: completed by reconcile-1"
        assert not entry.by_hand
        assert entry.outage_seconds is not None

    def test_calls_a_rollback_by_hand_one(self):
        left = followed(abandoned())
        left.with_record(refused=(OLD.release_id,))
        put_right(chat=left)

        assert [(e.outcome, e.by_hand) for e in entries(left)] == [("promoted", True)]

    def test_has_what_was_brought_back(self):
        left = abandoned()
        left.clock.time += 30
        put_right(chat=left)

        (entry,) = entries(left)
        assert (entry.outcome, entry.release_id, entry.previous) == ("rolled-back", NEW.release_id, None)
        assert entry.message == "its run was cut off: what served before was brought back by reconcile-1"
        assert entry.outage_seconds == pytest.approx(30, abs=1)

    def test_has_it_also_where_the_next_run_puts_it_right(self):
        left = abandoned()
        left.publish(THIRD)
        left.serving.owners.add("next")
        left.deploy(THIRD, "next")

        (entry,) = entries(left)
        assert (entry.run, entry.outcome, entry.release_id) == ("run", "rolled-back", NEW.release_id)

    def test_knows_of_a_release_that_is_gone_no_more_than_its_id(self):
        left = abandoned()
        left.store.objects.clear()
        put_right(chat=left)

        (entry,) = entries(left)
        assert (entry.release_id, entry.model, entry.commit) == (NEW.release_id, "", None)

    def test_does_not_say_again_what_the_run_has_said(self):
        left = followed(abandoned())
        told = past("run-by-name", release_id=NEW.release_id, outcome="promoted", by_hand=False)
        left.store.put(left.layout.history("chat", sortable(left.clock.now()), "run-by-name"), told.dump())
        put_right(chat=left)

        assert entries(left) == [told]

    def test_is_no_condition(self, caplog):
        left = followed(abandoned())
        left.no_store = Transient("the store is away")
        assert put_right(chat=left).startswith("chat: its promotion is completed")
        assert "is not in the history: the store is away" in caplog.text

        alone = followed(abandoned())
        alone.stage = replace(alone.stage, files=None)
        assert put_right(chat=alone).startswith("chat: its promotion is completed")

    def test_has_nothing_of_what_nobody_has_done(self):
        left = scene()
        put_right(chat=left)
        assert entries(left) == []


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
