from typing import Any

import pytest

from steps.core.run import Attempt, Phase
from steps.errors import BadInput
from workflows.bridge import EXPRESSION
from workflows.local.retry import decide, parse, seconds

STRATEGY: dict[str, Any] = {
    "limit": 3,
    "expression": EXPRESSION,
    "backoff": {"duration": "10s", "factor": 2, "cap": "1m"},
}
RETRY = parse(STRATEGY)


def ended(code: int | None, phase: Phase = "Failed", started: float = 0.0) -> Attempt:
    return Attempt(number=0, phase=phase, started=started, finished=started + 5, exit_code=code)


@pytest.mark.parametrize("code", [75, 137, 143, None])
def test_what_may_pass_is_tried_again(code):
    assert decide(RETRY, [ended(code)]).at == 15


@pytest.mark.parametrize("code", [1, 2, 10, 11, 12, 13, 14, 15, 16, 17, 64, 127])
def test_what_will_not_pass_is_not(code):
    assert decide(RETRY, [ended(code)]).at is None


def test_an_error_is_tried_again_even_after_exit_code_0():
    assert decide(RETRY, [ended(0, phase="Error")]).at == 15


def test_waiting_doubles_up_to_the_cap():
    waits = [decide(RETRY, [ended(75)] * n).at for n in (1, 2, 3)]
    capped = parse({**STRATEGY, "limit": 9})

    assert waits == [5 + 10, 5 + 20, 5 + 40]
    assert decide(capped, [ended(75)] * 8).at == 5 + 60


def test_the_limit_counts_further_attempts():
    assert decide(RETRY, [ended(75)] * 4).reason == "No more retries left"


def test_nothing_begins_after_the_longest_duration():
    short = parse({**STRATEGY, "backoff": {**STRATEGY["backoff"], "maxDuration": "12s"}})

    assert decide(short, [ended(75)]).at is None
    assert "max duration" in decide(short, [ended(75)]).reason


def test_without_a_strategy_one_attempt_is_all():
    assert decide(None, [ended(75)]).at is None


@pytest.mark.parametrize(
    "strategy",
    [
        {k: v for k, v in STRATEGY.items() if k != "limit"},
        {k: v for k, v in STRATEGY.items() if k != "backoff"},
        {**STRATEGY, "backoff": {"duration": "10s", "factor": 2}},
        {**STRATEGY, "expression": "lastRetry.status == 'Error'"},
        {**STRATEGY, "expression": EXPRESSION + " or true"},
    ],
)
def test_another_strategy_than_ours_is_refused(strategy):
    with pytest.raises(BadInput, match="one retryStrategy"):
        parse(strategy)


@pytest.mark.parametrize(("text", "expected"), [("15", 15), ("0.5s", 0.5), ("250ms", 0.25), ("10m", 600), ("2h", 7200)])
def test_durations(text, expected):
    assert seconds(text) == expected


@pytest.mark.parametrize("text", ["", "soon", "-1s", "1h30m"])
def test_a_duration_that_cannot_be_read_is_refused(text):
    with pytest.raises(BadInput, match="duration"):
        seconds(text)
