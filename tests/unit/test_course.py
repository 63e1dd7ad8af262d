from dataclasses import replace

import pytest

from steps.core import course, rollout
from steps.core.record import Record
from steps.errors import Conflict, Failed, Refused
from tests.unit.test_rollout import (
    DRAINING,
    FOURTH,
    IDLE,
    ME,
    NEW,
    OLD,
    OLDER,
    OTHER,
    REPAIRING,
    ROLLING_BACK,
    SWAPPING,
    TESTING,
)


def chosen(record: Record, release_id: str = NEW, owner: str = ME, *, abandoned: bool = False) -> str:
    return course.choose("chat", record, release_id, owner, abandoned=abandoned)


@pytest.mark.parametrize(
    ("record", "release_id", "expected"),
    [
        (IDLE, NEW, "begin"),
        (Record(), NEW, "begin"),
        (IDLE, OLDER, "begin"),
        (IDLE, OLD, "settled"),
        (SWAPPING, NEW, "continue"),
        (TESTING, NEW, "continue"),
        (DRAINING, NEW, "finish"),
        (REPAIRING, OLD, "repair"),
        (ROLLING_BACK, NEW, "recover"),
        (TESTING, FOURTH, "recover"),
        (DRAINING, OLD, "recover"),
        (REPAIRING, NEW, "recover"),
    ],
)
def test_a_step_knows_its_course_from_the_record(record, release_id, expected):
    assert chosen(record, release_id) == expected


@pytest.mark.parametrize("record", [SWAPPING, TESTING, DRAINING, ROLLING_BACK, REPAIRING])
def test_another_owners_work_is_a_conflict_while_it_lives_and_recovered_when_it_is_dead(record):
    with pytest.raises(Conflict, match=f"run {ME} is {record.phase} release .* of chat"):
        chosen(record, owner=OTHER)
    assert chosen(record, owner=OTHER, abandoned=True) == "recover"


def test_a_refused_release_is_not_begun_and_the_sentence_says_how_to_allow_it():
    with pytest.raises(Refused, match=f"python -m workflows.allow --deployment chat --release {NEW}"):
        chosen(replace(IDLE, refused=(NEW,)))


def test_a_release_that_failed_in_this_run_is_not_tested_twice():
    with pytest.raises(Failed, match="failed in this run already"):
        chosen(rollout.refuse(TESTING, ME))


def test_a_refused_release_that_is_live_stays_live():
    assert chosen(replace(IDLE, refused=(OLD,)), OLD) == "settled"


@pytest.mark.parametrize(
    ("record", "alive", "now", "expected"),
    [
        (IDLE, False, 5000.0, False),
        (TESTING, True, 1000.0, False),
        (TESTING, False, 1000.0, True),
        (TESTING, True, 1100.5, True),
        (replace(TESTING, deadline=None), True, 5000.0, False),
    ],
)
def test_work_is_abandoned_when_its_owner_is_dead_or_late(record, alive, now, expected):
    assert course.is_abandoned(record, owner_alive=alive, now=now) is expected


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        (IDLE, "nothing"),
        (SWAPPING, "undo"),
        (TESTING, "undo"),
        (ROLLING_BACK, "undo"),
        (DRAINING, "complete"),
        (REPAIRING, "leave"),
    ],
)
def test_how_unfinished_work_is_put_right_follows_from_where_clients_are(record, expected):
    assert course.recovery(record) == expected
