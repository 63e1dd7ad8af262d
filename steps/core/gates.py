"""How fast a candidate answers: against the catalog's gates, and against what serves now.

Without a gate nothing is refused: another model may well be slower, and only its owner knows how much of it is too
much. What is much slower than what serves is said all the same.
"""

from collections.abc import Iterator

from steps.core.finding import Finding, bad, good, notice, unclear, unmeasured
from steps.core.measured import Measured
from steps.core.release import Smoke
from steps.ports.chat import Answer

CHECK = "speed"
HALF = 0.5
"""Of the live release's tokens a second: below it, a notice."""
TWICE, AT_LEAST_SECONDS = 2.0, 0.25
"""Times the live release's first token, and how much later: a few milliseconds are no news, whatever the factor."""


def speed(answer: Answer) -> float | None:
    """Tokens a second once the first one is there, None where the answer was too short, or came too whole, to tell."""
    if answer.first_token_seconds is None or answer.seconds <= answer.first_token_seconds:
        return None
    if answer.tokens < 2 or answer.pieces < 2:
        return None
    return (answer.tokens - 1) / (answer.seconds - answer.first_token_seconds)


def gates(smoke: Smoke, answer: Answer, live: Measured | None) -> Iterator[Finding]:
    """``live`` is what was measured of the release that serves; None where there is none, or nothing is known of it."""
    yield from _first_token(smoke, answer.first_token_seconds, live.first_token_seconds if live else None)
    yield from _tokens(smoke, answer, live.tokens_per_second if live else None)


def _first_token(smoke: Smoke, seen: float | None, before: float | None) -> Iterator[Finding]:
    said = f"its first token came after {seen or 0.0:.2f} s"
    if (gate := smoke.max_first_token_seconds) is not None:
        name, words = "max_first_token_seconds", f"the gate is {gate:g} s"
        yield _unseen_first(name) if seen is None else _judged(said, words, name, passed=seen <= gate)
    if (factor := smoke.max_first_token_of_live) is not None:
        yield _first_token_of_live(factor, seen, before)
    elif seen is not None and before is not None and seen > max(TWICE * before, before + AT_LEAST_SECONDS):
        yield notice(CHECK, f"{said}, the live release's after {before:.2f} s")


def _first_token_of_live(factor: float, seen: float | None, before: float | None) -> Finding:
    name = "max_first_token_of_live"
    if before is None:
        return _nothing_to_compare(name)
    if seen is None:
        return _unseen_first(name)
    words = f"the gate is {factor:g} times the live release's {before:.2f} s"
    return _judged(f"its first token came after {seen:.2f} s", words, name, passed=seen <= factor * before)


def _tokens(smoke: Smoke, answer: Answer, before: float | None) -> Iterator[Finding]:
    seen = speed(answer)
    said = f"it makes {seen or 0.0:.1f} tokens a second"
    if (gate := smoke.min_tokens_per_second) is not None:
        name, words = "min_tokens_per_second", f"the gate is {gate:g}"
        yield (
            _unseen_rate(answer, f"{gate:g} tokens a second")
            if seen is None
            else _judged(said, words, name, passed=seen >= gate)
        )
    if (factor := smoke.min_tokens_per_second_of_live) is not None:
        yield _tokens_of_live(factor, answer, before)
    elif seen is not None and before is not None and seen < HALF * before:
        yield notice(CHECK, f"{said}, the live release {before:.1f}")


def _tokens_of_live(factor: float, answer: Answer, before: float | None) -> Finding:
    name = "min_tokens_per_second_of_live"
    if before is None:
        return _nothing_to_compare(name)
    if (seen := speed(answer)) is None:
        return _unseen_rate(answer, f"{factor:g} times the live release's {before:.1f} tokens a second")
    words = f"the gate is {factor:g} times the live release's {before:.1f}"
    return _judged(f"it makes {seen:.1f} tokens a second", words, name, passed=seen >= factor * before)


def _judged(said: str, words: str, name: str, *, passed: bool) -> Finding:
    if passed:
        return good(CHECK, f"{said}, {words}")
    advice = f"see what else runs on its node and which args slow it down, or mend smoke.{name} in the catalog"
    return bad(CHECK, f"too slow: {said}, {words}", advice)


def _nothing_to_compare(name: str) -> Finding:
    return good(CHECK, f"nothing was measured of a live release, so {name} is not judged")


def _unseen_first(name: str) -> Finding:
    return unclear(CHECK, f"no first token was seen, so {name} cannot be judged")


def _unseen_rate(answer: Answer, gate: str) -> Finding:
    """Of an answer that came to its end it is the catalog's to mend: a nightly run would meet it again each night."""
    if not (answer.answered and answer.done):
        return unclear(CHECK, f"there is no whole answer, so the gate of {gate} cannot be judged")
    return unmeasured(
        CHECK,
        f"its answer is too short, or came in one piece, so the gate of {gate} cannot be judged",
        "give the smoke test a prompt with a longer answer in the catalog, or drop the gate",
    )
