import json
from dataclasses import replace

import pytest

from steps.core import canonical, checked, tested
from steps.core.evidence import FIRST, Proof
from steps.core.fingerprint import Change, Fingerprint, Token
from steps.core.measured import Measured
from steps.core.page import render
from steps.core.page_evidence import section
from steps.core.page_log import LINES, tail
from steps.core.verdict import Past, judge
from tests.stubs.accounts import ACCOUNTS, LOG, PAST, RELEASE, ROOT, SEEN, URL, proof, with_log
from tests.unit.test_page import parsed

OTHER = Fingerprint((Token(" of", -0.9, ((" of", -0.9), (" the", -2.0))), Token(" dust", -1.0, ((" dust", -1.0),))))
URI = "s3://models/reports/promote-20261122-030405-ab12/server-ab12ab12ab12.log"


def row(check, evidence):
    """As the page has it, after a way through the store."""
    known = tested.read(json.loads(json.dumps(evidence)))
    assert known is not None
    return next(r for r in checked.rows(known, known.pods[0]) if r.check == check)


def test_each_check_is_a_row_with_what_was_asked_answered_and_expected():
    known = tested.read(proof(past=PAST))
    assert known is not None
    rows = checked.rows(known, known.pods[0])
    assert [r.check for r in rows] == [
        *("identity", "health", "weights", "answer", "streamed answer", "speed", "fingerprint", "device")
    ]
    assert {r.mark for r in rows} == {"pass"}
    assert all(r.asked and r.answered and r.expected for r in rows)
    assert [r.check for r in rows if r.said] == ["fingerprint"]


@pytest.mark.parametrize(
    ("how", "check", "answered", "expected", "said"),
    [
        (
            "wrong weights",
            "weights",
            f"tiny from /models/org--chat/{'b' * 40}",
            "the directory of commit aaaaaaaaaaaa",
            "wrong weights: it serves",
        ),
        (
            "wrong answer",
            "answer",
            "\u201cThe capital of France is Lyon.\u201d",
            "contains <bdi>\u201cParis\u201d</bdi>",
            "smoke.prompt",
        ),
        ("no chat template", "answer", "the answer is HTTP 400", "Paris", "it has no chat template"),
        ("degenerate text", "answer", "\u201c!!!!!!!!", "Paris", "nonsense that repeats itself"),
        ("too slow", "speed", "first token after 4.20 s", "at most 2 s", "too slow: its first token came after 4.20 s"),
        ("wrong device", "device", "cuda", "cpu", "wrong device: it runs on cuda, asked was cpu"),
        ("server died", "alive", "it ended", "it runs", "the model server died while it was tested"),
    ],
)
def test_each_kind_of_failure_is_a_row_that_says_what_came_in_place_of_what(how, check, answered, expected, said):
    found = row(check, ACCOUNTS[how].evidence)
    assert found.mark == "fail"
    assert answered in found.answered
    assert expected in found.expected
    assert said in found.said
    assert f'<th scope="row">{check}</th><td class="word">failed</td>' in render(ACCOUNTS[how])


def test_what_was_not_asked_any_more_is_inconclusive_and_says_so_once():
    found = row("streamed answer", ACCOUNTS["degenerate text"].evidence)
    assert (found.mark, found.answered, found.said) == ("inconclusive", "not asked", "")


def test_all_that_is_found_about_the_speed_is_one_row():
    both = row("speed", ACCOUNTS["too slow"].evidence)
    assert "its first token came after 4.20 s" in both.said
    assert "it makes 1.2 tokens a second" in both.said
    assert both.expected == "at most 2 s<br>at least 0.8 \u00d7 the live release&#x27;s = 2.48 tokens/s"


def test_figures_have_units_and_stand_beside_their_gates_and_the_live_releases_last():
    text = parsed(ACCOUNTS["promoted"])
    assert "first token 0.50 s at most 2 s the live release, last time: 0.42 s" in text
    assert "speed 3.0 tokens/s at least 0.8 \u00d7 the live release's = 2.48 tokens/s" in text
    assert "the live release, last time: 3.1 tokens/s" in text
    assert "fingerprint 0.00 nats in 2 tokens at most 0.5 nats rounding makes up to 0.25 nats" in text


def test_without_gates_and_a_live_release_the_figures_say_so():
    bare = replace(RELEASE, smoke=replace(RELEASE.smoke, max_first_token_seconds=None, max_logprob_change=None))
    page = section(proof(bare))
    assert page.count("of a live release nothing is known") == 2
    assert page.count(">no gate<") == 2
    assert "of which nothing is known" in page


def test_a_fingerprint_is_shown_with_the_one_before_and_their_change():
    changed = row("fingerprint", proof(past=PAST, fingerprint=OTHER))
    assert changed.mark == "fail"
    assert "\u201c of dust\u201d" in changed.answered
    assert "as before: <bdi>\u201c of light\u201d</bdi>" in changed.expected
    assert "it has the bytes that were proved and computes something else" in changed.said
    assert "0.70 nats in 2 tokens, the last another one" in section(proof(past=PAST, fingerprint=OTHER))


def test_a_note_is_a_row_that_passed_with_it():
    page = section(proof(past=Past(live=Measured(at=1.0, first_token_seconds=0.1, tokens_per_second=3.1))))
    assert '<td class="word">passed, with a note</td>' in page


def test_the_change_of_a_fingerprint_is_from_the_first_test_or_else_from_the_first_pod():
    two = replace(RELEASE, replicas=2)
    seen = (SEEN, replace(SEEN, uid="u2", fingerprint=OTHER))
    fresh = Proof(two, tuple(judge(two, ROOT, s, FIRST) for s in seen)).to_json()
    assert [pod["fingerprint_change"] for pod in fresh["pods"]] == [
        None,
        {"nats": pytest.approx(0.7), "compared": 2, "parted": True},
    ]
    again = Proof(two, tuple(judge(two, ROOT, s, PAST) for s in seen), PAST).to_json()
    assert [pod["fingerprint_change"]["nats"] for pod in again["pods"]] == [0.0, pytest.approx(0.7)]


def test_of_several_pods_those_that_passed_are_folded():
    two = replace(RELEASE, replicas=2)
    seen = (SEEN, replace(SEEN, uid="u2", name="chat-2", device="cuda"))
    page = section(Proof(two, tuple(judge(two, ROOT, s, PAST) for s in seen), PAST).to_json())
    assert '<details><summary>pod chat-5c9d8f7b6d-x2x4q: <span class="word good">passed' in page
    assert '<details open><summary>pod chat-2: <span class="word bad">failed' in page


def test_too_few_pods_are_told_beside_those_that_passed():
    page = section(Proof(replace(RELEASE, replicas=2), (judge(RELEASE, ROOT, SEEN, FIRST),)).to_json())
    assert '<h2>The smoke test: <span class="word warn">inconclusive</span></h2><p>1 of 2 pods are there</p>' in page
    assert "0 of 1 pods are there" in section(Proof(RELEASE, ()).to_json())


def test_a_check_that_a_later_version_makes_is_shown_by_its_sentence():
    evidence = proof()
    evidence["pods"][0]["findings"].append({"check": "colour", "result": "fail", "sentence": "it is <green>"})
    found = row("colour", evidence)
    assert (found.answered, found.said) == ("it is &lt;green&gt;", "")


@pytest.mark.parametrize(
    "damage",
    [
        {"pods": [{}]},
        {"pods": 7},
        {"request": None},
        {"gates": {"max_first_token_seconds": "<b>"}},
        {"result": "splendid"},
        {"result": ["fail"]},
        {"live": {"tokens_per_second": True}},
        {"live": {"tokens_per_second": 10**400}},
    ],
)
def test_evidence_in_a_form_that_is_not_known_is_shown_as_it_is(damage):
    evidence = {**proof(), **damage}
    assert tested.read(evidence) is None
    assert "fingerprint prompt" in parsed(replace(ACCOUNTS["promoted"], evidence=evidence))


@pytest.mark.parametrize("evidence", [7, "text", [], ["<b>"], {"result": "pass"}, None])
def test_what_is_no_evidence_at_all_breaks_no_page(evidence):
    parsed(replace(ACCOUNTS["promoted"], evidence=evidence))


def test_evidence_of_an_earlier_version_has_no_change_of_its_fingerprint_and_is_read():
    evidence = proof(past=PAST)
    del evidence["pods"][0]["fingerprint_change"]
    known = tested.read(evidence)
    assert known is not None
    assert known.pods[0].change is None
    now = tested.read(json.loads(canonical.dump(proof(past=PAST))))
    assert now is not None
    assert now.pods[0].change == Change(nats=0.0, compared=2, parted=False)


# What its model server said last.


@pytest.mark.parametrize("how", ["server died", "died while it started"])
def test_of_a_server_that_died_the_last_lines_are_open_to_read_without_their_colours(how):
    page = render(ACCOUNTS[how])
    assert "<details open><summary>the last 4 lines of its log</summary>" in page
    assert "\n(EngineCore pid=91) ERROR 11-22 03:04:31" in page
    assert "torch.OutOfMemoryError: CUDA out of memory" in page


def test_of_a_server_that_answered_wrongly_they_are_folded():
    assert "<details><summary>the last 4 lines of its log</summary>" in render(ACCOUNTS["wrong answer"])


def test_where_no_log_was_kept_the_smoke_tests_own_lines_are_shown():
    account = replace(ACCOUNTS["server died"], server_log="", server_log_uri="", server_said=())
    page = render(account)
    assert LOG[-1] in page
    assert "s3://" not in page


def test_the_kept_log_has_its_address_and_the_command_that_prints_it():
    text = parsed(ACCOUNTS["wrong answer"])
    assert f"All that was kept of it: {URI}" in text
    assert f"aws s3 cp {URI} -" in text
    assert f"log of its model server {URI}" in text


def test_on_one_machine_no_command_is_given_that_would_ask_another_store():
    text = parsed(replace(ACCOUNTS["wrong answer"], flag="--local"))
    assert URI in text
    assert "aws s3" not in text


def test_a_key_that_a_shell_would_take_apart_is_quoted():
    account = replace(with_log(ACCOUNTS["refused"]), server_log_uri="s3://models/team's (1)/x.log")
    assert """aws s3 cp 's3://models/team'"'"'s (1)/x.log' -""" in parsed(account)


def test_the_tail_of_a_log_is_short_whole_lines_of_text_whatever_its_bytes_are():
    log = b"first\n\n" + b"line\n" * 100 + b"\x1b[31m\xff last \x1b[0m\n"
    assert tail(log)[-1] == "\ufffd last"
    assert len(tail(log)) == LINES
    assert tail(b"") == ()


def test_before_anything_was_deployed_there_is_no_test_and_no_log_to_show():
    for how in ("checksum failed", "refused", "live"):
        text = parsed(ACCOUNTS[how])
        assert "The smoke test" not in text
        assert "model server said" not in text
    assert f"serves at {URL}, untouched" in parsed(ACCOUNTS["checksum failed"])
