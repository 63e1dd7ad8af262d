from dataclasses import replace

from steps.core.account import Named, Surroundings, draw_up, iso
from steps.core.budget import DRAIN
from steps.core.record import Record
from steps.core.run import Node
from tests.stubs.runs import (
    COMMIT,
    NAMES,
    NEW,
    OLD,
    START,
    attempt,
    done,
    failed,
    on_exit,
    promoted,
    resolved,
    rolled_back,
    run,
)

LIVE_NEW = Surroundings(record=Record(live=NEW.release_id, previous=OLD.release_id), names=NAMES, url="http://e")
LIVE_OLD = Surroundings(record=Record(live=OLD.release_id, refused=(NEW.release_id,)), names=NAMES, url="http://e")


def test_report_json_has_the_keys_of_the_design_and_no_others():
    report = draw_up(promoted(), LIVE_NEW).to_json()
    assert list(report) == [
        *("run", "deployment", "release_id", "model", "commit", "outcome", "outage_seconds", "steps", "evidence")
    ]
    assert report["steps"][2] == {"step": "mirror", "attempt": 0, "exit_code": 0, "seconds": 12.5, "message": ""}
    assert (report["outcome"], report["release_id"], report["commit"]) == ("promoted", NEW.release_id, COMMIT)


def test_the_history_entry_tells_what_a_later_plan_needs():
    entry = draw_up(promoted(), LIVE_NEW).history()
    assert entry.to_json() == {
        "run": "promote-20261122-030405-ab12",
        "deployment": "chat",
        "release_id": NEW.release_id,
        "model": "org/chat",
        "commit": COMMIT,
        "outcome": "promoted",
        "at": iso(START + 53.4),
        "outage_seconds": 33.714,
        "startup_seconds": 30.4,
        "message": "",
        "previous": OLD.release_id,
        "by_hand": False,
    }


def test_the_reports_own_attempt_is_not_in_the_report():
    whole = promoted()
    with_report = replace(
        whole, nodes=(*whole.nodes, Node(name="report", phase="Running", attempts=(attempt(code=None),)))
    )
    assert draw_up(with_report, LIVE_NEW) == draw_up(whole, LIVE_NEW)


def test_an_attempt_that_was_lost_has_no_exit_code_and_no_duration():
    lost = run(Node(name="mirror", phase="Error", attempts=(attempt(code=None),)))
    assert draw_up(lost, LIVE_OLD).to_json()["steps"] == [
        {"step": "mirror", "attempt": 0, "exit_code": None, "seconds": None, "message": ""}
    ]


def test_the_last_attempts_sentence_is_the_reason():
    account = draw_up(rolled_back(), LIVE_OLD)
    assert (account.failed_step, account.failure[:20]) == ("smoke", "Failed: pod-1 answer")
    assert account.refused


def test_the_rollbacks_sentence_is_the_reason_when_the_rollback_failed():
    nodes = (failed("smoke", 16, "Failed: no"), on_exit(failed("rollback", 17, "RollbackFailed: stuck")))
    assert draw_up(run(*nodes), LIVE_OLD).failure == "RollbackFailed: stuck"


def test_the_engines_word_is_the_reason_where_no_step_could_speak():
    stuck = run(Node(name="mirror", phase="Error", message="{{tasks.resolve.x}} is not there"), phase="Error")
    assert draw_up(stuck, LIVE_OLD).failure == "{{tasks.resolve.x}} is not there"
    assert draw_up(run(phase="Failed", message="it ran out of time"), LIVE_OLD).failure == "it ran out of time"


def test_the_outage_is_the_promotions_or_the_rollbacks_and_nothing_where_nothing_moved():
    assert draw_up(promoted(), LIVE_NEW).outage_seconds == 33.714
    assert draw_up(rolled_back(), LIVE_OLD).outage_seconds == 73.2
    assert draw_up(run(failed("mirror", 13, "Corrupt: no"), phase="Failed"), LIVE_OLD).outage_seconds == 0.0


def test_an_outage_that_is_not_over_has_no_number():
    nodes = (failed("smoke", 16, "Failed: no"), on_exit(failed("rollback", 17, "RollbackFailed: stuck")))
    assert draw_up(run(*nodes), LIVE_OLD).outage_seconds is None


def test_a_rollback_by_hand_takes_its_release_from_the_parameters():
    by_hand = replace(
        run(done("promote", outage_seconds="4.0"), phase="Succeeded", release_id=OLD.release_id, commit="f" * 40),
        template="vllm-promote-rollback",
    )
    account = draw_up(by_hand, LIVE_OLD)
    assert (account.by_hand, account.release, account.outcome) == (True, OLD, "promoted")
    assert (account.history().by_hand, account.history().outcome) == (True, "promoted")


def test_a_release_whose_document_is_lost_is_called_by_its_id():
    around = Surroundings(record=Record(live="c0ffeec0ffee"))
    account = draw_up(run(failed("resolve", 12, "Missing: no")), around)
    assert account.live == Named(release_id="c0ffeec0ffee")
    assert str(account.live) == "release c0ffeec0ffee"


def test_a_continued_run_ends_later_and_a_second_report_of_the_same_end_does_not():
    first = draw_up(rolled_back(), LIVE_OLD)
    assert draw_up(rolled_back("rolled-back", "Failed"), LIVE_OLD).at == first.at
    assert draw_up(promoted(), LIVE_NEW).at != first.at


def test_what_was_live_and_is_started_again_is_no_promotion_in_the_history():
    account = draw_up(promoted(), Surroundings(record=Record(live=NEW.release_id)))
    assert account.history().outcome == "promoted"
    assert replace(account, repaired=True).history().outcome == "repaired"
    assert replace(account, repaired=True).to_json()["outcome"] == "promoted"  # a report has no other word for it


DRAINING = Record(
    phase="draining",
    live=NEW.release_id,
    previous=OLD.release_id,
    candidate=NEW.release_id,
    owner="promote-20261122-030405-ab12",
    since=1_000.0,
    deadline=1_030.0 + DRAIN,
)
NOTHING = on_exit(done("rollback", outcome="nothing", outage_seconds="0.0"))
CONFLICT = failed("smoke", 14, "Conflict: run X is rolling it back")


def test_a_promotion_whose_old_release_does_not_end_says_so_and_who_completes_it():
    """Its outage is over since the pointer moved, and the record tells when that was."""
    nodes = (failed("promote", 75, "Transient: it is on node-1"), on_exit(failed("rollback", 17, "RollbackFailed: no")))
    account = draw_up(run(resolved(), *nodes), replace(LIVE_NEW, record=DRAINING))
    assert (account.outcome, account.outage_seconds, account.failure) == ("promoted", 30.0, "")
    (said,) = account.noticed
    assert said == (
        "org/chat at ffffffffffff has not ended yet (Transient: it is on node-1): the reconciler completes it, every "
        "ten minutes, or `python -m workflows.reconcile --deployment chat` now"
    )


def test_a_promotion_that_was_terminated_while_the_old_release_ended_says_so_too():
    cut = run(resolved(), failed("promote", 143, ""), phase="Failed")
    account = draw_up(cut, replace(LIVE_NEW, record=DRAINING, flag="--local"))
    (said,) = account.noticed
    assert said == (
        "org/chat at ffffffffffff has not ended yet: `python -m workflows.reconcile --deployment chat --local` "
        "completes it"
    )


def test_an_outage_that_another_owner_ended_or_will_end_has_no_number():
    """Room was made, and the work was taken over, so that the run's own rollback found nothing to do."""
    lost = run(resolved(), done("deploy", startup_seconds="30.0"), CONFLICT, NOTHING)
    assert draw_up(lost, LIVE_OLD).outage_seconds is None
    taken = Record(phase="rolling-back", live=OLD.release_id, candidate=NEW.release_id, owner="the reconciler")
    cut_off = run(resolved(), failed("deploy", 14, "Conflict: taken over"), NOTHING)
    assert draw_up(cut_off, replace(LIVE_OLD, record=taken)).outage_seconds is None
    assert draw_up(cut_off, LIVE_OLD).outage_seconds == 0.0, "where another run was at it, nothing was moved"


def test_a_promote_that_cannot_tell_its_outage_has_no_number():
    """As its output says, and where it was lost with it."""
    for promote in (done("promote", outage_seconds=""), failed("promote", 137, "")):
        whole = promoted()
        nodes = [promote if n.name == "promote" else NOTHING if n.name == "rollback" else n for n in whole.nodes]
        account = draw_up(replace(whole, nodes=tuple(nodes)), LIVE_NEW)
        assert (account.outcome, account.outage_seconds) == ("promoted", None)
