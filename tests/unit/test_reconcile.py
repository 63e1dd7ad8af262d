import threading
from dataclasses import replace

import pytest

from steps.core.record import Record
from steps.errors import BadInput, Missing, RollbackFailed, Transient
from steps.reconcile import chosen, reconcile
from tests.stubs.scene import Scene, make_release
from tests.stubs.serving import Manner

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

    assert put_right(chat=left) == "chat: back at the previous release; 0 left alone"
    assert left.record == Record(live=OLD.release_id)
    assert left.serves(OLD)


def test_the_work_of_a_living_run_and_what_is_idle_are_not_touched():
    busy, idle = scene(), Scene()
    idle.live(OLD)
    before = busy.serving.held, list(busy.serving.calls), idle.serving.held

    assert put_right(busy=busy, idle=idle) == "2 left alone"
    assert (busy.serving.held, busy.serving.calls, idle.serving.held) == before


def test_work_past_its_deadline_is_taken_from_an_owner_that_lives():
    late = scene()
    late.clock.time = late.record.deadline + 1

    assert put_right(chat=late).startswith("chat: back at the previous release")


def test_a_promotion_that_clients_follow_already_is_completed():
    left = abandoned()
    left.with_record(phase="draining", live=NEW.release_id, previous=OLD.release_id)

    assert put_right(chat=left).startswith("chat: its promotion is completed")
    assert (left.record.phase, left.record.live) == ("idle", NEW.release_id)


def test_the_second_time_there_is_nothing_left_to_do():
    left = abandoned()
    put_right(chat=left)

    assert put_right(chat=left) == "1 left alone"


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

    assert done == ("chat: nothing is in flight any more; 0 left alone" if already_done else "1 left alone")
    assert left.record.owner == (None if already_done else "other")


def test_one_that_does_not_come_back_calls_a_person_and_keeps_no_other_from_its_turn():
    lost, left = abandoned(), abandoned()
    lost.serving.manners[OLD.release_id] = Manner(failure="ended with exit code 1")

    with pytest.raises(RollbackFailed, match="lost: chat could not be brought back"):
        put_right(lost=lost, left=left)
    assert lost.record.phase == "rolling-back"
    assert left.record == Record(live=OLD.release_id)


def test_what_calls_a_person_is_told_before_what_may_pass():
    def stage(name):
        raise {"a": Missing("no right"), "b": RollbackFailed("lost"), "c": Transient("down")}[name]

    with pytest.raises(RollbackFailed, match=r"b: lost \(and a, c failed, as the log says\)"):
        reconcile("pod", "abc", stage)


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
