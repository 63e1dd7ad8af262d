from dataclasses import replace

from steps.core.account import Named, Surroundings, draw_up, iso
from steps.core.record import Record
from steps.core.run import Node
from tests.stubs.runs import COMMIT, NAMES, NEW, OLD, START, attempt, done, failed, on_exit, promoted, rolled_back, run

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
