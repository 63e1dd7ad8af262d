from dataclasses import replace

import pytest

from steps.contracts import ReportInputs
from steps.core.account import Surroundings, draw_up
from steps.core.amounts import seconds, size
from steps.core.record import Record
from steps.core.words import advice, summary, verdict
from steps.report import told
from tests.stubs.accounts import ACCOUNTS
from tests.stubs.runs import NAMES, NEW, OLD, done, failed, on_exit, promoted, resolved, rolled_back, run
from workflows.ending import last_words

URL = "http://127.0.0.1:8123"
NEW_LIVE = Surroundings(
    record=Record(live=NEW.release_id, previous=OLD.release_id), names=NAMES, url=URL, flag="--local"
)
OLD_LIVE = replace(NEW_LIVE, record=Record(live=OLD.release_id, refused=(NEW.release_id,)))
NONE_LIVE = replace(NEW_LIVE, record=Record())
CORRUPT = run(resolved(), failed("mirror", 13, "Corrupt: 2 of 9 files differ; run it again"), phase="Failed")


def test_a_promotion_says_what_serves_where_and_how_long_clients_waited():
    assert summary(draw_up(promoted(), NEW_LIVE)) == (
        f"promoted; org/chat at 0123456789ab serves at {URL}; clients had no answer for 34 s"
    )


def test_a_promotion_tells_how_to_ask_it_and_how_to_go_back():
    assert advice(draw_up(promoted(), NEW_LIVE)) == (
        f"ask it: curl {URL}/v1/models",
        "go back to org/chat at ffffffffffff: python -m workflows.rollback --deployment chat --local",
    )


def test_what_is_live_already_needs_no_advice():
    found = draw_up(run(resolved(), done("preflight", state="live"), phase="Succeeded"), NEW_LIVE)
    assert summary(found) == f"already live; org/chat at 0123456789ab serves at {URL}; nothing was changed"
    assert advice(found) == ()


def test_a_failure_names_the_step_its_sentence_and_the_model_that_goes_on_serving():
    assert summary(draw_up(CORRUPT, OLD_LIVE)) == (
        "failed (mirror): Corrupt: 2 of 9 files differ; run it again; "
        f"what served before (org/chat at ffffffffffff) serves at {URL}, untouched"
    )


WHO = "org/chat at 0123456789ab"
PROMOTE = "python -m workflows.promote --model org/chat --revision main --deployment chat --local"
RETRY = "go on where it ended: python -m workflows.promote --retry promote-20261122-030405-ab12 --local"
ALL = "python -m workflows.audit --all --repair --local"
NOT_REFUSED = replace(OLD_LIVE, record=Record(live=OLD.release_id))


def after(step, code, around=NOT_REFUSED):
    return advice(draw_up(run(resolved(), failed(step, code, "X: no"), phase="Failed"), around))


@pytest.mark.parametrize(
    ("step", "code"),
    [("mirror", 75), ("populate", 15), ("deploy", 143), ("checksum", 75), ("mirror(0:1-of-3)", 75), ("smoke", 1)],
)
def test_a_failure_that_another_try_can_help_tells_how_to_go_on(step, code):
    assert after(step, code) == (RETRY,)


def test_a_run_that_ended_before_any_step_told_why_is_gone_on_with():
    assert advice(draw_up(run(resolved(), phase="Error", message="lost"), NOT_REFUSED)) == (RETRY,)


@pytest.mark.parametrize("step", ["resolve", "mirror", "mirror(0:1-of-3)"])
def test_bytes_that_came_wrong_are_mended_where_they_come_from_and_promoted_anew(step):
    assert after(step, 13) == (f"mend what the sentence names, or take another commit, then promote again: {PROMOTE}",)


@pytest.mark.parametrize("code", [10, 12])
@pytest.mark.parametrize("step", ["resolve", "mirror"])
def test_what_cannot_be_had_as_it_was_asked_for_is_not_retried(step, code):
    assert after(step, code) == ("mend what the sentence names, and run the same command again",)


def test_a_volume_that_is_damaged_is_repaired_before_it_is_promoted_to_again():
    """What succeeded is kept by a retry, so it would find the same bytes for ever."""
    assert after("populate", 13) == (f"make store and volume right again: {ALL}", f"then promote again: {PROMOTE}")
    assert after("checksum", 13) == (
        f"make store and volume right again: {ALL}",
        f"then promote again, another commit where the model is published broken: {PROMOTE}",
    )
    assert after("preflight", 13)[0] == (
        "make store and volume right again: python -m workflows.audit --repair --local"
    )


@pytest.mark.parametrize("code", [13, 16])
def test_what_went_away_after_it_was_checked_is_brought_back_by_a_new_promotion_and_no_retry(code):
    assert after("deploy", code) == (f"promote again: {PROMOTE}",)


def test_where_somebody_else_was_quicker_a_new_run_is_started():
    assert after("promote", 14) == (
        "see what has changed: python -m workflows.status --deployment chat --local",
        f"then promote again: {PROMOTE}",
    )


def test_a_promotion_without_a_revision_is_advised_without_one():
    asked = run(resolved(), failed("deploy", 16, "Failed: gone"), phase="Failed", revision="")
    assert advice(draw_up(asked, NOT_REFUSED)) == (f"promote again: {PROMOTE.replace(' --revision main', '')}",)


def by_hand(code, release, step="checksum"):
    nodes = run(failed(step, code, "Corrupt: no"), phase="Failed", release_id=release.release_id, commit=release.commit)
    here = replace(NOT_REFUSED, record=Record(live=NEW.release_id, previous=OLD.release_id))
    return advice(draw_up(replace(nodes, template="vllm-promote-rollback"), here))


def test_a_rollback_to_a_directory_that_is_gone_is_helped_by_the_audit():
    assert by_hand(13, OLD) == (
        "make store and volume right again: python -m workflows.audit --repair --local",
        f"then go back again: python -m workflows.rollback --deployment chat --to {OLD.release_id} --local",
    )


def test_what_the_audit_would_not_bring_back_for_a_rollback_a_promotion_does():
    older = replace(OLD, release_id="123456789abc")
    names = replace(NOT_REFUSED, record=Record(live=NEW.release_id, previous=OLD.release_id))
    names = replace(names, names={**NAMES, older.release_id: older})
    nodes = run(failed("checksum", 13, "Corrupt: no"), phase="Failed", release_id=older.release_id)
    assert advice(draw_up(replace(nodes, template="vllm-promote-rollback"), names)) == (
        f"make store and volume right again: {ALL}",
        f"then promote it, which brings back a directory that is gone: {PROMOTE.replace('main', OLD.commit or '')}",
    )


def test_a_rollback_that_another_try_can_help_is_begun_anew():
    to = f"python -m workflows.rollback --deployment chat --to {OLD.release_id} --local"
    assert by_hand(75, OLD, "deploy") == (f"go back again: {to}",)
    assert by_hand(14, OLD, "deploy")[1] == f"then go back again: {to}"


def test_what_the_hub_does_not_have_is_mended_and_not_retried():
    absent = draw_up(run(failed("resolve", 12, "Missing: org/chat does not exist")), OLD_LIVE)
    assert advice(absent) == ("mend what the sentence names, and run the same command again",)


def test_a_rollback_says_that_what_served_before_serves_again():
    account = draw_up(rolled_back(), OLD_LIVE)
    assert summary(account).endswith(
        f"what served before (org/chat at ffffffffffff) serves at {URL} again; clients had no answer for 1 min 13 s"
    )
    assert "python -m workflows.allow --deployment chat --release ab12ab12ab12 --local" in advice(account)[0]


def test_a_first_deployment_that_failed_leaves_nothing_and_says_so():
    assert "nothing serves, and what this run created is removed" in summary(draw_up(rolled_back("removed"), NONE_LIVE))


def test_a_way_back_that_is_refused_is_not_advised():
    record = Record(live=NEW.release_id, previous=OLD.release_id, refused=(OLD.release_id,))
    back = replace(NEW_LIVE, record=record)
    assert advice(draw_up(promoted(), back)) == (f"ask it: curl {URL}/v1/models",)


def test_a_failed_rollback_names_the_command_that_brings_back_what_served():
    nodes = (resolved(), failed("smoke", 16, "Failed: no"), on_exit(failed("rollback", 17, "RollbackFailed: stuck.")))
    own = Record(phase="rolling-back", live=OLD.release_id, candidate=NEW.release_id, owner=run(*nodes).uid)
    reconcile = "python -m workflows.reconcile --deployment chat --local"
    for around in (replace(OLD_LIVE, record=own), Surroundings(flag="--local")):
        assert advice(draw_up(run(*nodes, phase="Failed"), around))[1] == (
            f"mend what the sentence names, then bring back what served: {reconcile}"
        )


def test_a_failed_rollback_calls_for_a_person():
    nodes = (resolved(), failed("smoke", 16, "Failed: no"), on_exit(failed("rollback", 17, "RollbackFailed: stuck.")))
    account = draw_up(run(*nodes), OLD_LIVE)
    assert summary(account) == (
        f"rollback failed: a person is needed (rollback): RollbackFailed: stuck; what serves at {URL} is not certain"
    )
    assert "workflows.status --deployment chat --local" in advice(account)[0]


def test_a_run_that_was_ended_before_its_rollback_calls_for_the_reconciler_and_nobody_else():
    nodes = (resolved(), failed("deploy", 143, ""))
    own = Record(phase="swapping", live=OLD.release_id, candidate=NEW.release_id, owner=run(*nodes).uid)
    account = draw_up(run(*nodes, phase="Failed"), replace(OLD_LIVE, record=own))
    assert summary(account).startswith("ended before it was rolled back")
    assert advice(account) == ("bring back what served: python -m workflows.reconcile --deployment chat --local",)


def test_a_record_that_cannot_be_read_is_not_guessed_at():
    assert summary(draw_up(CORRUPT, Surroundings())).endswith("what serves now could not be read")


def test_a_rollback_by_hand_is_called_so():
    by_hand = replace(
        run(done("promote", outage_seconds="0.4"), phase="Succeeded", release_id=OLD.release_id),
        template="vllm-promote-rollback",
    )
    assert summary(draw_up(by_hand, OLD_LIVE)).startswith("rolled back by hand; org/chat at ffffffffffff serves")


@pytest.mark.parametrize(
    ("amount", "text"),
    [(0.84, "0.8 s"), (42.4, "42 s"), (59.7, "1 min"), (200, "3 min 20 s"), (7500, "2 h 5 min")],
)
def test_seconds_are_said_as_people_say_them(amount, text):
    assert seconds(amount) == text


@pytest.mark.parametrize(
    ("amount", "text"),
    [(0, "0 B"), (512, "512 B"), (1536, "1.5 KiB"), (13.4 * 2**30, "13.4 GiB"), (3 * 2**40, "3.0 TiB")],
)
def test_sizes_are_said_in_binary_units(amount, text):
    assert size(amount) == text


def test_a_repair_that_failed_does_not_claim_that_its_release_serves():
    assert summary(draw_up(CORRUPT, NEW_LIVE)).endswith(
        f"org/chat at 0123456789ab is what should serve at {URL}: see that it answers"
    )


def test_a_repair_is_called_one():
    again = replace(draw_up(promoted(), NEW_LIVE), repaired=True, outage_seconds=0.0)
    assert summary(again) == f"repaired; org/chat at 0123456789ab serves at {URL}"


@pytest.mark.parametrize(
    ("answers", "said"),
    [
        (False, f"nothing serves at {URL} now: org/chat at 0123456789ab should, and no server of it is ready"),
        (True, f"org/chat at 0123456789ab is what should serve at {URL}: see that it answers"),
        (None, f"org/chat at 0123456789ab is what should serve at {URL}: see that it answers"),
    ],
)
def test_a_repair_that_was_cut_short_says_whether_anything_serves(answers, said):
    stopped = run(resolved(), failed("deploy", 143, "Stopped"), on_exit(done("rollback", outcome="nothing")))
    assert summary(draw_up(stopped, replace(NEW_LIVE, answers=answers))).endswith(said)


def test_what_a_person_should_know_though_it_went_well_is_told_in_the_order_of_the_steps():
    """By the summary, the command and the report alike."""
    whole = promoted()
    noticed = {"preflight": "replicas were changed from 1 to 3 by kubectl", "smoke": "pod-1: it is slow"}
    nodes = [
        replace(n, outputs={**n.outputs, "noticed": noticed[n.name]}) if n.name in noticed else n for n in whole.nodes
    ]
    account = draw_up(replace(whole, nodes=tuple(nodes)), NEW_LIVE)
    assert account.noticed == tuple(noticed.values())
    assert summary(account).endswith("; note: replicas were changed from 1 to 3 by kubectl; note: pod-1: it is slow")
    assert "\n  note     pod-1: it is slow\n" in last_words(account, whole, ())
    assert account.to_json()["evidence"] == {"notices": [*noticed.values()]}
    assert draw_up(whole, NEW_LIVE).to_json()["evidence"] is None


TAKEN = Record(phase="rolling-back", live=OLD.release_id, candidate=NEW.release_id, owner="the reconciler")
UNDER_WAY = "; other work is under way (rolling-back)"


@pytest.mark.parametrize(
    ("record", "answers", "said"),
    [
        (
            TAKEN,
            False,
            f"nothing serves at {URL} now: org/chat at ffffffffffff should, and no server of it is ready{UNDER_WAY}",
        ),
        (
            TAKEN,
            True,
            f"what served before (org/chat at ffffffffffff) serves at {URL}{UNDER_WAY}",
        ),
        (replace(TAKEN, phase="idle"), True, f"what served before (org/chat at ffffffffffff) serves at {URL}"),
    ],
)
def test_a_run_whose_work_another_took_over_claims_neither_that_anything_serves_nor_that_it_is_untouched(
    record, answers, said
):
    nodes = (
        resolved(),
        done("deploy", startup_seconds="30.0"),
        failed("smoke", 14, "Conflict: no"),
        on_exit(done("rollback", outcome="nothing", outage_seconds="0.0")),
    )
    account = draw_up(run(*nodes), replace(OLD_LIVE, record=record, answers=answers))
    assert summary(account).endswith(f"{said}; how long clients had no answer is not known")
    assert "\n  outage   how long clients had no answer is not known\n" in last_words(account, run(*nodes), ())


def test_where_no_server_of_what_is_live_is_ready_nothing_is_said_to_serve():
    silent = replace(OLD_LIVE, answers=False)
    assert f"nothing serves at {URL} now: org/chat at ffffffffffff should" in summary(draw_up(CORRUPT, silent))
    assert f"nothing serves at {URL} now: org/chat at ffffffffffff should" in summary(draw_up(rolled_back(), silent))


def test_a_rollback_that_failed_and_left_nothing_in_flight_does_not_call_certain_what_is_seen():
    nodes = (resolved(), failed("smoke", 16, "Failed: no"), on_exit(failed("rollback", 17, "RollbackFailed: gone")))
    account = draw_up(run(*nodes), replace(OLD_LIVE, answers=False))
    assert f"nothing serves at {URL} now: org/chat at ffffffffffff should" in summary(account)


def test_a_failed_rollback_that_left_nothing_in_flight_is_not_said_to_be_undone_by_the_next_promotion():
    gone = failed("rollback", 17, "RollbackFailed: gone")
    account = draw_up(run(resolved(), failed("smoke", 16, "Failed: no"), on_exit(gone)), OLD_LIVE)
    assert advice(account)[1] == (
        "then promote what should serve, or go back to another release: "
        "python -m workflows.rollback --deployment chat --to RELEASE --local"
    )


@pytest.mark.parametrize(
    ("how", "sentence"),
    [
        ("promoted", "org/chat at 0123456789ab passed its tests and was promoted."),
        ("live", "org/chat at 0123456789ab was live already: nothing was changed."),
        ("wrong answer", "org/chat at 0123456789ab failed in its smoke test and was rolled back."),
        ("died while it started", "org/chat at 0123456789ab failed while it started and was rolled back."),
        (
            "checksum failed",
            "org/chat at 0123456789ab failed while its bytes were checked, before anything was deployed.",
        ),
        (
            "refused",
            "org/chat at 0123456789ab was refused in the checks before its start, before anything was deployed.",
        ),
        (
            "nothing serves",
            f"{WHO} failed in its smoke test and was taken away again: there was nothing to go back to.",
        ),
        ("rollback failed", "org/chat at 0123456789ab failed, and its rollback failed: a person is needed now."),
    ],
)
def test_the_verdict_is_one_plain_sentence(how, sentence):
    assert verdict(ACCOUNTS[how]) == sentence


def test_the_verdict_of_a_run_that_was_cut_off_of_a_repair_and_of_a_way_back_by_hand():
    cut = replace(ACCOUNTS["rollback failed"], lines=())
    assert verdict(cut) == "org/chat at 0123456789ab was cut off in the middle: a person is needed now."
    good = ACCOUNTS["promoted"]
    assert verdict(replace(good, repaired=True)).startswith("org/chat at 0123456789ab was repaired")
    assert verdict(replace(good, by_hand=True)) == "chat was rolled back by hand to org/chat at 0123456789ab."


def test_nothing_is_said_to_have_passed_a_test_that_nobody_has_seen():
    assert verdict(ACCOUNTS["nothing is known"]) == "org/chat main was promoted."


def test_of_a_run_of_which_no_step_is_known_nothing_is_said_to_have_been_left_alone():
    known = {"run": "r", "owner": "r", "deployment": "chat", "model": "org/chat", "revision": "main"}
    lost = ReportInputs(**known, status="Failed", rollback_status="Succeeded")
    account = draw_up(told(lost), NOT_REFUSED)
    assert "before anything was deployed" not in verdict(account)
    assert "untouched" not in summary(account)


def test_a_run_of_which_nothing_is_known_has_a_verdict_as_well():
    lost = replace(ACCOUNTS["nothing is known"], outcome="failed", model="", revision="", failed_step="")
    assert verdict(lost) == "The run failed before it came to its end."
    side = replace(ACCOUNTS["checksum failed"], failed_step="mirror(0:1-of-3)")
    assert "failed while it was copied to the store" in verdict(side)
    assert "failed in something-new" in verdict(replace(side, failed_step="something-new"))
