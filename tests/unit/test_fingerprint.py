import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steps.core.fingerprint import ROUNDING, Change, Fingerprint, Token, compare, from_json
from steps.core.measured import Measured, latest, parse
from steps.core.release import Smoke
from steps.core.sameness import sameness
from steps.errors import Corrupt

AT = 1_795_770_000.0
"""2026-11-27T09:00:00Z."""


def token(text, logprob, **others):
    return Token(text, logprob, tuple(sorted({text: logprob, **others}.items(), key=lambda each: -each[1])))


def fingerprint(*tokens):
    return Fingerprint(tuple(tokens))


THEN = fingerprint(token("Red", -0.2, Blue=-1.9), token(" is", -0.5, The=-1.2), token(" a", -0.1, b=-4.0))


def shifted(nats):
    return fingerprint(*(Token(t.text, t.logprob - nats, t.top) for t in THEN.tokens))


def judged(now, why="", smoke=Smoke(), before=THEN, fingerprinted=AT):  # noqa: B008  # frozen
    return sameness(smoke, now, why, Measured(at=AT, fingerprint=before, fingerprinted=fingerprinted))


def test_the_largest_change_of_a_token_counts():
    assert compare(THEN, THEN) == Change(nats=0.0, compared=3, parted=False)
    nearly = fingerprint(THEN.tokens[0], token(" is", -0.8), THEN.tokens[2])
    assert compare(THEN, nearly).nats == pytest.approx(0.3)


def test_nothing_is_compared_beyond_the_first_token_that_is_another_one():
    turned = fingerprint(token("Red", -0.25, Blue=-1.9), token("The", -0.8, **{" is": -0.9}), token("!", -9.0))
    found = compare(THEN, turned)
    assert (found.compared, found.parted) == (2, True)
    assert found.nats == pytest.approx(0.4)  # what " is" has lost, and "The" has won


def test_of_a_token_that_the_other_does_not_name_at_least_so_much_is_known():
    assert compare(fingerprint(token("A", -0.1, b=-1.0)), fingerprint(token("z", -0.2, y=-3.0))).nats == (
        pytest.approx(2.9)  # "A" was at -0.1, and is not likelier than -3.0 now
    )


def test_a_near_tie_that_changes_places_is_rounding():
    one = fingerprint(token("A", -0.69, B=-0.70), token("x", -0.1))
    other = fingerprint(token("B", -0.69, A=-0.70), token("y", -3.0))
    assert compare(one, other).nats < ROUNDING


@given(st.lists(st.tuples(st.text(max_size=3), st.floats(-20, 0)), min_size=1, max_size=5))
def test_each_fingerprint_is_the_same_as_itself_and_survives_being_kept(tokens):
    one = fingerprint(*(token(text, logprob) for text, logprob in tokens))
    kept = parse(Measured(at=1.0, fingerprint=one, fingerprinted=2.0).dump(), "x")
    assert compare(one, one).nats == 0
    assert kept.fingerprint is not None
    assert compare(one, kept.fingerprint).nats < 0.001
    assert (kept.at, kept.fingerprinted) == (1.0, 2.0)


@given(st.floats(0.001, 10))
def test_the_order_of_the_two_does_not_matter(nats):
    assert compare(THEN, shifted(nats)).nats == pytest.approx(compare(shifted(nats), THEN).nats)


@pytest.mark.parametrize(
    ("nats", "result", "sentence"),
    [
        (0.1, "pass", "the same as on 2026-11-27T09:00:00Z: a change of 0.10 nats in 3 tokens, as rounding makes"),
        (
            0.3,
            "notice",
            "computes otherwise than on 2026-11-27T09:00:00Z: a change of 0.30 nats in 3 tokens, more than",
        ),
        (0.6, "fail", "it has the bytes that were proved and computes something else than on 2026-11-27T09:00:00Z"),
    ],
)
def test_rounding_passes_more_is_told_and_other_weights_fail(nats, result, sentence):
    found = judged(shifted(nats))
    assert found.result == result
    assert sentence in found.sentence


def test_the_gate_is_the_catalog_s_and_none_only_tells():
    assert judged(shifted(0.6), smoke=Smoke(max_logprob_change=1.0)).result == "notice"
    assert judged(shifted(5.0), smoke=Smoke(max_logprob_change=None)).result == "notice"
    assert "raise smoke.max_logprob_change in the catalog" in judged(shifted(5.0)).sentence


def test_pods_of_one_release_are_held_against_each_other():
    assert "something else than another pod of it" in judged(shifted(5.0), fingerprinted=None).sentence


def test_a_server_without_logprobs_fails_nobody_and_its_evidence_says_so():
    first = sameness(Smoke(), None, "is HTTP 400: 'max allowed: 0'", None)
    assert first.result == "pass"
    assert first.sentence.startswith("it gives none (is HTTP 400: 'max allowed: 0'), so a silent change")
    later = judged(None, "is HTTP 400")
    assert (later.result, "and it did before" in later.sentence) == ("notice", True)


def test_the_first_one_is_taken():
    assert sameness(Smoke(), THEN, "", None).sentence == "taken for later tests of this release: 'Red is a'"
    assert sameness(Smoke(), THEN, "", Measured(at=AT)).result == "pass"


def test_the_first_fingerprint_is_kept_for_ever_and_the_last_figures():
    first = Measured(at=1.0, tokens_per_second=5.0, fingerprint=THEN, fingerprinted=1.0)
    now = Measured(at=2.0, tokens_per_second=6.0, fingerprint=shifted(0.2), fingerprinted=2.0)
    assert latest(first, now) == Measured(at=2.0, tokens_per_second=6.0, fingerprint=THEN, fingerprinted=1.0)
    assert latest(None, now) == latest(Measured(at=1.0), now) == now


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", "null", '{"at":"x"}', '{"at":1,"prompt":0}'])
def test_what_is_no_measurement_is_corrupt_and_named(text):
    with pytest.raises(Corrupt, match="annotation x is not what a smoke test measures"):
        parse(text, "annotation x")


def test_damage_inside_is_found_and_a_fingerprint_of_another_prompt_is_none():
    value = json.loads(Measured(at=1.0, tokens_per_second=2.0, fingerprint=THEN, fingerprinted=1.0).dump())
    for damage in ({"tokens_per_second": "fast"}, {"fingerprint": [["a"]]}, {"fingerprint": [["a", "b", []]]}):
        with pytest.raises(Corrupt):
            parse(json.dumps({**value, **damage}), "x")
    assert parse(json.dumps({**value, "prompt": "another"}), "x") == Measured(at=1.0, tokens_per_second=2.0)
    assert from_json(value["fingerprint"]) == THEN
