import pytest

from steps.core import guards
from steps.core.record import Record
from steps.errors import Conflict
from tests.unit.test_rollout import DRAINING, FOURTH, IDLE, NEW, OLD, OLDER, TESTING


def test_what_the_record_names_is_never_removed():
    everything = (OLDER, OLD, NEW, FOURTH)
    assert guards.unnamed(TESTING, everything) == (FOURTH,)
    assert guards.unnamed(DRAINING, everything) == (OLDER, FOURTH)


def test_a_pointer_that_was_moved_by_hand_is_named_and_not_moved_back():
    guards.check_pointer("chat", IDLE, OLD)
    guards.check_pointer("chat", Record(), None)
    with pytest.raises(Conflict, match=f"sends clients to {NEW}, its record says {OLD}"):
        guards.check_pointer("chat", IDLE, NEW)


@pytest.mark.parametrize("record", [DRAINING, TESTING])
def test_whatever_a_person_sends_clients_to_is_stopped_by_nobody(record):
    for release_id in {record.previous, record.candidate} - {record.live}:
        guards.check_change(record, record.live, release_id, 0)
        guards.check_change(record, release_id, release_id, 1)
        with pytest.raises(Conflict, match=f"clients are sent to release {release_id}, which is not live.*put it back"):
            guards.check_change(record, release_id, release_id, 0)
