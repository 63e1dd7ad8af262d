from collections.abc import Callable
from dataclasses import replace
from typing import get_args

import pytest

from steps.core import rollout
from steps.core.budget import DRAIN
from steps.core.course import is_abandoned
from steps.core.record import Phase, Record
from steps.core.rollout import Claim
from steps.errors import Conflict

ME, OTHER = "run-1", "run-2"
OLD, NEW, OLDER, FOURTH = "a" * 12, "b" * 12, "c" * 12, "d" * 12
CLAIM = Claim(owner=ME, since=100.0, deadline=1100.0, replicas=2)
IDLE = Record(live=OLD, previous=OLDER)
SWAPPING = rollout.begin(IDLE, NEW, CLAIM)
TESTING = rollout.ready(SWAPPING, ME)
DRAINING = rollout.promote(TESTING, ME, now=160.0, strategy="recreate")
ROLLING_BACK = rollout.roll_back(TESTING, ME, since=100.0, deadline=2000.0)
REPAIRING = rollout.repair(IDLE, CLAIM)
AT: dict[str, Record] = {r.phase: r for r in (IDLE, SWAPPING, TESTING, DRAINING, ROLLING_BACK, REPAIRING)}

TRANSITIONS: dict[str, tuple[set[str], Callable[[Record], Record]]] = {
    "begin": ({"idle"}, lambda r: rollout.begin(r, NEW, CLAIM)),
    "renew": ({"swapping", "testing", "repairing"}, lambda r: rollout.renew(r, ME, deadline=9.0)),
    "ready": ({"swapping", "testing"}, lambda r: rollout.ready(r, ME)),
    "refuse": ({"swapping", "testing"}, lambda r: rollout.refuse(r, ME)),
    "promote": ({"testing"}, lambda r: rollout.promote(r, ME, now=1.0, strategy="recreate")),
    "drained": ({"draining"}, lambda r: rollout.drained(r, ME)),
    "roll_back": ({"swapping", "testing", "rolling-back"}, lambda r: rollout.roll_back(r, ME, since=1.0, deadline=9.0)),
    "rolled_back": ({"rolling-back"}, lambda r: rollout.rolled_back(r, ME)),
    "take_over": ({"draining", "repairing"}, lambda r: rollout.take_over(r, ME, now=1.0)),
    "repair": ({"idle"}, lambda r: rollout.repair(r, CLAIM)),
    "repaired": ({"repairing"}, lambda r: rollout.repaired(r, ME)),
}
OWNED = ("renew", "ready", "refuse", "promote", "drained", "rolled_back", "repaired")


@pytest.mark.parametrize("phase", get_args(Phase))
@pytest.mark.parametrize("name", TRANSITIONS)
def test_a_transition_is_made_from_its_phases_only(name, phase):
    allowed, make = TRANSITIONS[name]
    if phase in allowed:
        make(AT[phase])
    else:
        with pytest.raises(Conflict, match=f"the record is {phase}"):
            make(AT[phase])


@pytest.mark.parametrize("name", OWNED)
def test_a_run_that_was_replaced_makes_no_transition(name):
    allowed, make = TRANSITIONS[name]
    for phase in allowed:
        with pytest.raises(Conflict, match="run-2 has taken over the work of run run-1"):
            make(replace(AT[phase], owner=OTHER))


def test_the_way_in():
    begun = Record(
        phase="swapping",
        live=OLD,
        previous=OLDER,
        candidate=NEW,
        owner=ME,
        since=100.0,
        deadline=1100.0,
        replicas=2,
    )
    assert begun == SWAPPING
    assert replace(SWAPPING, phase="testing") == TESTING
    assert replace(TESTING, phase="draining", live=NEW, previous=OLD, deadline=160.0 + DRAIN) == DRAINING
    assert rollout.drained(DRAINING, ME) == Record(live=NEW, previous=OLD, replicas=2)


def test_the_way_back_leaves_live_and_the_rollback_target_as_they_were():
    assert rollout.rolled_back(ROLLING_BACK, ME) == replace(IDLE, replicas=2)


def test_rolling_back_takes_over_from_a_dead_owner():
    taken = rollout.roll_back(TESTING, OTHER, since=100.0, deadline=5.0)
    assert (taken.phase, taken.owner, taken.deadline, taken.since) == ("rolling-back", OTHER, 5.0, 100.0)


def test_a_repair_moves_nothing():
    assert rollout.repaired(REPAIRING, ME) == replace(IDLE, replicas=2)


def test_of_what_is_live_as_many_are_restored_as_the_claim_says():
    assert rollout.begin(IDLE, NEW, replace(CLAIM, replicas=3)).replicas == 3
    assert rollout.begin(IDLE, NEW, replace(CLAIM, replicas=0)).replicas == 0, "nothing of it was left"


def test_a_refusal_is_remembered_once_and_through_the_rollback():
    refused = rollout.refuse(rollout.refuse(TESTING, ME), ME)
    assert refused.refused == (NEW,)
    assert refused.phase == "testing"
    assert rollout.rolled_back(rollout.roll_back(refused, ME, since=100.0, deadline=1.0), ME).refused == (NEW,)


def test_a_rollback_by_hand_refuses_what_served():
    assert rollout.promote(TESTING, ME, now=1.0, strategy="recreate", refuse_live=True).refused == (OLD,)
    first = replace(TESTING, live=None)
    assert rollout.promote(first, ME, now=1.0, strategy="recreate", refuse_live=True).refused == ()


def test_a_person_may_allow_what_was_refused():
    record = replace(IDLE, refused=(NEW, OLDER))
    assert rollout.allow(record, NEW).refused == (OLDER,)
    assert rollout.allow(record, FOURTH) == record


@pytest.mark.parametrize("phase", sorted(set(AT) - {"idle"}))
def test_nobody_allows_anything_under_the_hands_of_a_run(phase):
    with pytest.raises(Conflict, match=f"the record is {phase}"):
        rollout.allow(replace(AT[phase], refused=(NEW,)), NEW)


def test_the_outage_runs_from_making_room_to_the_move_of_the_pointer():
    assert rollout.outage_seconds(DRAINING) == pytest.approx(60.0)


def test_where_the_old_release_served_all_the_while_or_none_was_there_is_no_outage():
    assert rollout.outage_seconds(rollout.promote(TESTING, ME, now=160.0, strategy="blue-green")) == 0.0
    first = replace(TESTING, live=None)
    assert rollout.outage_seconds(rollout.promote(first, ME, now=160.0, strategy="recreate")) == 0.0


def test_who_takes_draining_work_over_has_time_for_it_and_the_outage_stays_as_it_was():
    late = DRAIN + 10_000.0
    taken = rollout.take_over(DRAINING, OTHER, now=late)
    assert not is_abandoned(taken, owner_alive=True, now=late + 1)
    assert rollout.outage_seconds(taken) == pytest.approx(60.0)
    assert not is_abandoned(rollout.take_over(REPAIRING, OTHER, now=late), owner_alive=True, now=late + 1)
