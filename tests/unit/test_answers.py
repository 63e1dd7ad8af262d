from dataclasses import replace

import pytest

from steps.core.answers import answer, is_degenerate, streamed
from steps.core.release import Smoke
from tests.stubs.chat import GOOD, nothing
from tests.stubs.model_server import NO_TEMPLATE

ASKED = "'What is the capital of France?'"


def test_a_model_without_a_chat_template_is_told_in_its_server_s_words_with_the_way_out():
    found = answer(Smoke(), replace(nothing(400, "is HTTP 400"), text=NO_TEMPLATE))
    assert found.result == "fail"
    assert found.sentence.startswith("it has no chat template, so it refuses a chat completion with HTTP 400: 'As of")
    assert found.sentence.endswith("instruct version, or give it a template by --chat-template in the entry's args")


def test_another_refusal_is_not_blamed_on_a_template():
    too_long = replace(nothing(400, "is HTTP 400"), text="max_tokens is too large: 4096")
    found = answer(Smoke(), too_long)
    said = "it refuses a chat completion with HTTP 400: 'max_tokens is too large: 4096'"
    assert found.sentence == f"{said}; see smoke and args in its catalog entry"


@pytest.mark.parametrize("check", [answer, streamed])
@pytest.mark.parametrize("text", ["", "!" * 300, "the " * 64])
def test_what_was_asked_and_the_first_of_what_was_answered_is_told(check, text):
    found = check(Smoke(), replace(GOOD, text=text))
    assert found.result == "fail"
    assert ASKED in found.sentence
    assert text[:200].strip() in found.sentence
    assert text[:202] not in found.sentence or len(text) < 200
    assert "its bytes were proved, so see whether the dtype" in found.sentence


def test_a_wrong_answer_names_the_keys_of_a_question_that_is_not_for_the_model():
    found = answer(Smoke(), replace(GOOD, text="It is Lyon."))
    assert f"wrong answer: to {ASKED} it said 'It is Lyon.', not 'Paris'" in found.sentence
    assert "give smoke.prompt and smoke.expect in the catalog" in found.sentence


@pytest.mark.parametrize(
    "text",
    [
        "!" * 64,
        "?!?!?! ... ---- !!!",
        "\ufffd\ufffd\ufffd\ufffd a",
        "the " * 64,
        "is the best the " * 12,
        "ababababab" * 8,
        "0" * 64,
    ],
)
def test_what_broken_weights_say_is_degenerate(text):
    assert is_degenerate(text)


@pytest.mark.parametrize(
    "text",
    [
        "Paris",
        "The capital of France is Paris.",
        "**Paris** is the capital of France. It lies on the Seine, and about two million people live there today.",
        "法国的首都是巴黎。",
        "<think>Okay, the user asks for the capital of France. That is Paris.</think>\n\nParis.",
        "Paris. " * 5,
        "Internationally acknowledged administrative headquarters: Paris, notwithstanding transformation",
    ],
)
def test_what_models_say_is_not(text):
    assert not is_degenerate(text)
