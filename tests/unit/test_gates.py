from dataclasses import replace

import pytest

from steps.core.finding import at_last
from steps.core.gates import gates, speed
from steps.core.measured import Measured
from steps.core.release import Smoke
from tests.stubs.chat import GOOD

LIVE = Measured(at=1.0, first_token_seconds=0.4, tokens_per_second=4.0)


def judged(answer=GOOD, live=None, **smoke):
    """The one finding."""
    (found,) = gates(Smoke(**smoke), answer, live)
    return found


def test_without_gates_nothing_is_said():
    assert list(gates(Smoke(), GOOD, None)) == []
    assert list(gates(Smoke(), GOOD, LIVE)) == []


@pytest.mark.parametrize(
    ("gate", "result", "sentence"),
    [
        ({"max_first_token_seconds": 0.5}, "pass", "its first token came after 0.50 s, the gate is 0.5 s"),
        ({"max_first_token_seconds": 0.4}, "fail", "too slow: its first token came after 0.50 s, the gate is 0.4 s"),
        ({"min_tokens_per_second": 3.0}, "pass", "it makes 3.0 tokens a second, the gate is 3"),
        ({"min_tokens_per_second": 3.5}, "fail", "too slow: it makes 3.0 tokens a second, the gate is 3.5"),
        ({"max_first_token_of_live": 1.25}, "pass", "after 0.50 s, the gate is 1.25 times the live release's 0.40 s"),
        ({"max_first_token_of_live": 1.2}, "fail", "after 0.50 s, the gate is 1.2 times the live release's 0.40 s"),
        ({"min_tokens_per_second_of_live": 0.75}, "pass", "3.0 tokens a second, the gate is 0.75 times the live"),
        ({"min_tokens_per_second_of_live": 0.8}, "fail", "3.0 tokens a second, the gate is 0.8 times the live release"),
    ],
)
def test_each_gate_lets_through_what_is_at_it_and_says_which_one_it_was(gate, result, sentence):
    found = judged(live=LIVE, **gate)
    assert found.result == result
    assert sentence in found.sentence
    assert (f"smoke.{next(iter(gate))}" in found.sentence) == (result == "fail")


@pytest.mark.parametrize(("name", "live"), [("max_first_token_of_live", None), ("min_tokens_per_second_of_live", None)])
def test_a_gate_against_a_live_release_of_which_nothing_is_known_says_so_and_fails_nobody(name, live):
    for known in (live, Measured(at=1.0)):
        found = judged(live=known, **{name: 1.0})
        assert found.result == "pass"
        assert f"nothing was measured of a live release, so {name} is not judged" in found.sentence


@pytest.mark.parametrize("answer", [replace(GOOD, pieces=1), replace(GOOD, tokens=1)])
@pytest.mark.parametrize(
    ("gate", "said"),
    [
        ({"min_tokens_per_second": 3.0}, "the gate of 3 tokens a second cannot be judged"),
        ({"min_tokens_per_second_of_live": 0.5}, "the gate of 0.5 times the live release's 4.0 tokens a second cannot"),
    ],
)
def test_a_gate_that_could_not_be_measured_is_inconclusive_and_the_candidates_own_fault_where_it_stays_so(
    answer, gate, said
):
    unclear = judged(answer, LIVE, **gate)
    assert unclear.result == "inconclusive"
    assert said in unclear.sentence
    last = at_last(unclear)
    assert (last.result, last.sentence) == ("fail", unclear.sentence)
    assert last.sentence.endswith("give the smoke test a prompt with a longer answer in the catalog, or drop the gate")


@pytest.mark.parametrize(
    "broken",
    [{"answered": False, "problem": "could not be asked for"}, {"done": False, "problem": "was cut off"}],
    ids=["not now", "cut off"],
)
def test_what_was_not_answered_to_its_end_is_no_verdict_on_its_speed_however_long_that_lasts(broken):
    unclear = judged(replace(GOOD, tokens=0, pieces=0, first_token_seconds=None, **broken), min_tokens_per_second=3.0)
    assert unclear.result == "inconclusive"
    assert at_last(unclear) == unclear


def test_what_was_seen_stays_what_it_is_to_the_last():
    for found in (judged(min_tokens_per_second=1.0), judged(min_tokens_per_second=9.0)):
        assert at_last(found) == found


@pytest.mark.parametrize("name", ["max_first_token_seconds", "max_first_token_of_live"])
def test_a_first_token_that_nobody_saw_passes_no_gate(name):
    unclear = judged(replace(GOOD, first_token_seconds=None), LIVE, **{name: 1.0})
    assert unclear.result == "inconclusive"
    assert f"no first token was seen, so {name} cannot be judged" in unclear.sentence


def test_who_says_nothing_is_told_of_a_candidate_less_than_half_as_fast():
    found = judged(live=replace(LIVE, tokens_per_second=6.1))
    assert (found.result, found.sentence) == ("notice", "it makes 3.0 tokens a second, the live release 6.1")
    assert list(gates(Smoke(), GOOD, replace(LIVE, tokens_per_second=6.0))) == []


def test_a_first_token_that_is_late_is_told_and_a_few_milliseconds_are_not():
    found = judged(live=replace(LIVE, first_token_seconds=0.2))
    assert (found.result, found.sentence) == (
        "notice",
        "its first token came after 0.50 s, the live release's after 0.20 s",
    )
    quick = replace(GOOD, first_token_seconds=0.1)
    assert list(gates(Smoke(), quick, Measured(at=1.0, first_token_seconds=0.01))) == []


def test_who_gives_a_gate_of_the_live_release_gets_no_notice_beside_it():
    assert judged(live=replace(LIVE, tokens_per_second=30.0), min_tokens_per_second_of_live=0.05).result == "pass"


@pytest.mark.parametrize(
    ("tokens", "first", "seconds", "expected"),
    [(7, 0.5, 2.5, 3.0), (1, 0.5, 2.5, None), (7, None, 2.5, None), (7, 2, 2, None)],
)
def test_speed_is_measured_after_the_first_token(tokens, first, seconds, expected):
    assert speed(replace(GOOD, tokens=tokens, first_token_seconds=first, seconds=seconds)) == expected
