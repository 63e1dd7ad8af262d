from dataclasses import replace

import pytest

from steps.core.outcome import decide, exit_code
from steps.core.record import Record
from steps.core.run import Node
from tests.stubs.runs import NEW, OLD, attempt, done, failed, on_exit, promoted, resolved, rolled_back, run

IDLE_OLD = Record(live=OLD.release_id)
IDLE_NEW = Record(live=NEW.release_id, previous=OLD.release_id)
NOTHING = on_exit(done("rollback", outcome="nothing", outage_seconds="0.0"))
NEW_STATE = done("preflight", state="new")
PROMOTE_LOST = Node(name="promote", phase="Error", attempts=(attempt(code=137),))


def test_a_good_run_whose_release_is_live_has_promoted():
    assert decide(promoted(), IDLE_NEW) == "promoted"
    assert decide(promoted("Succeeded"), IDLE_NEW) == "promoted"


def test_a_good_run_counts_as_promoted_where_the_record_cannot_be_read():
    assert decide(promoted(), None) == "promoted"


def test_a_good_run_whose_release_is_not_live_has_failed():
    assert decide(promoted("Succeeded"), IDLE_OLD) == "failed"


def test_what_preflight_found_serving_is_live():
    found = run(resolved(), done("preflight", state="live"), Node(name="mirror", phase="Skipped"), phase="Succeeded")
    assert decide(found, IDLE_NEW) == "live"


def test_a_step_that_says_no_by_policy_refuses():
    refused = run(resolved(), failed("preflight", 11, "Refused: it failed before"), NOTHING, phase="Failed")
    assert decide(refused, IDLE_OLD) == "refused"


def test_any_other_failure_before_anything_was_touched_is_a_failure():
    broken = run(resolved(), NEW_STATE, failed("mirror", 13, "Corrupt: 1 of 9 files"), NOTHING, phase="Failed")
    assert decide(broken, IDLE_OLD) == "failed"


@pytest.mark.parametrize("outcome", ["rolled-back", "removed"])
def test_a_failure_whose_work_was_undone_is_rolled_back(outcome):
    assert decide(rolled_back(outcome), IDLE_OLD) == "rolled-back"


def test_a_lost_promote_whose_work_the_rollback_completed_has_promoted():
    completed = on_exit(done("rollback", outcome="completed", outage_seconds="3.0"))
    assert decide(run(resolved(), NEW_STATE, PROMOTE_LOST, completed, phase="Failed"), IDLE_NEW) == "promoted"


def test_a_promote_that_was_lost_after_its_last_write_has_promoted():
    assert decide(run(resolved(), NEW_STATE, PROMOTE_LOST, NOTHING, phase="Failed"), IDLE_NEW) == "promoted"


def test_a_failed_repair_of_the_live_release_is_no_promotion():
    broken = run(resolved(), NEW_STATE, failed("mirror", 13, "Corrupt: x"), NOTHING, phase="Failed")
    assert decide(broken, IDLE_NEW) == "failed"


@pytest.mark.parametrize("code", [1, 10, 14, 16, 75])
def test_a_repair_whose_promote_said_that_it_failed_is_no_promotion(code):
    broken = run(resolved(), NEW_STATE, failed("promote", code, "Failed: no"), NOTHING, phase="Failed")
    assert decide(broken, IDLE_NEW) == "failed"
    assert exit_code(decide(broken, IDLE_NEW)) == 1


@pytest.mark.parametrize("code", [None, -1, 137, 143])
def test_a_promote_that_was_lost_after_its_last_write_has_promoted_however_it_was_lost(code):
    lost = Node(name="promote", phase="Error", attempts=(attempt(code=75), attempt(1, code=code)))
    assert decide(run(resolved(), NEW_STATE, lost, NOTHING, phase="Failed"), IDLE_NEW) == "promoted"


def test_a_promotion_that_is_done_stays_one_where_something_fails_afterwards():
    late = run(resolved(), NEW_STATE, done("promote"), on_exit(failed("report", 137, "")), phase="Failed")
    assert decide(late, IDLE_NEW) == "promoted"


def test_a_rollback_that_says_so_itself_has_failed_whatever_the_record_says():
    gone = on_exit(failed("rollback", 17, "RollbackFailed: no"))
    assert decide(run(resolved(), failed("smoke", 16, "Failed: no"), gone), IDLE_OLD) == "rollback-failed"


def test_a_lost_rollback_has_failed_while_its_work_is_in_flight():
    lost = on_exit(failed("rollback", 137, ""))
    bad = run(resolved(), failed("smoke", 16, "Failed: no"), lost)
    assert decide(bad, Record(live=OLD.release_id, phase="rolling-back", owner=bad.uid)) == "rollback-failed"
    assert decide(bad, IDLE_OLD) == "failed"


def test_work_that_is_in_flight_when_the_run_is_over_was_not_rolled_back():
    cut = run(
        resolved(), failed("deploy", 143, ""), Node(name="rollback", phase="Omitted", on_exit=True), phase="Failed"
    )
    assert decide(cut, Record(live=OLD.release_id, phase="swapping", owner=cut.uid)) == "rollback-failed"
    assert decide(cut, Record(live=OLD.release_id, phase="swapping", owner="another")) == "failed"
    assert decide(cut, IDLE_OLD) == "failed"


def test_where_the_record_cannot_be_read_a_failed_rollback_counts_only_after_something_was_touched():
    blind = on_exit(failed("rollback", 10, "BadInput: deployment 'A B' cannot be used"))
    assert decide(run(failed("resolve", 10, "BadInput: no"), blind), None) == "failed"
    assert decide(run(resolved(), failed("deploy", 75, "Transient: no"), blind), None) == "rollback-failed"


def test_a_run_that_ended_before_it_knew_its_release_fails_even_when_something_serves():
    assert decide(run(failed("resolve", 12, "Missing: no"), NOTHING, phase="Failed"), IDLE_NEW) == "failed"


@pytest.mark.parametrize(
    ("outcome", "plain", "interrupted", "timed_out"),
    [
        ("promoted", 0, 130, 0),
        ("live", 0, 130, 0),
        ("refused", 1, 130, 124),
        ("failed", 1, 130, 124),
        ("rolled-back", 1, 130, 124),
        ("rollback-failed", 4, 4, 4),
    ],
)
def test_the_exit_code_follows_from_the_outcome(outcome, plain, interrupted, timed_out):
    assert exit_code(outcome) == plain
    assert exit_code(outcome, interrupted=True) == interrupted
    assert exit_code(outcome, timed_out=True) == timed_out


def test_a_run_without_nodes_is_judged_by_its_phase():
    assert decide(replace(run(phase="Error"), nodes=()), IDLE_OLD) == "failed"


DRAINING = Record(phase="draining", live=NEW.release_id, previous=OLD.release_id, candidate=NEW.release_id)
LINGERING = Node(name="promote", phase="Failed", attempts=(attempt(code=75),))
NOT_ENDED = on_exit(failed("rollback", 17, "RollbackFailed: the old one has not ended"))


@pytest.mark.parametrize("phase", ["Running", "Failed"])  # as the report sees it, and who looks later
@pytest.mark.parametrize("owner", ["promote-20261122-030405-ab12", "the reconciler"])
def test_a_run_whose_old_release_does_not_end_has_promoted_for_clients_follow_the_new_one(phase, owner):
    lingering = run(resolved(), NEW_STATE, LINGERING, NOT_ENDED, phase=phase)
    assert decide(lingering, replace(DRAINING, owner=owner)) == "promoted"


def test_a_run_that_was_terminated_while_the_old_release_ended_has_promoted():
    cut = run(
        resolved(), NEW_STATE, Node(name="promote", phase="Failed", attempts=(attempt(code=143),)), phase="Failed"
    )
    assert decide(cut, replace(DRAINING, owner=cut.uid)) == "promoted"
    assert exit_code("promoted") == 0


def test_a_promotion_whose_old_release_is_being_ended_is_not_over():
    going = run(resolved(), NEW_STATE, Node(name="promote", phase="Running", attempts=(attempt(code=None),)))
    assert decide(going, replace(DRAINING, owner=going.uid)) == "failed"
    assert exit_code("failed", timed_out=True) == 124


def test_a_run_that_found_another_one_ending_the_old_release_has_not_promoted():
    late = run(resolved(), NEW_STATE, failed("deploy", 14, "Conflict: it is draining"), NOTHING, phase="Failed")
    assert decide(late, replace(DRAINING, owner="another")) == "failed"


def test_a_run_that_cannot_complete_what_another_left_has_not_promoted():
    blocked = run(resolved(), failed("preflight", 17, "RollbackFailed: no"), NOT_ENDED, phase="Failed")
    theirs = replace(DRAINING, live=OLD.release_id, candidate=OLD.release_id, owner=blocked.uid)
    assert decide(blocked, theirs) == "rollback-failed"
