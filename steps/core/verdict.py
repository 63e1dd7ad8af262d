"""Does a candidate answer as it must? The verdict on one pod, with the evidence and a sentence a person understands.

pass           every finding is good
fail           one finding is bad by the candidate's own fault: it is not tried again by itself
inconclusive   none is bad, but something could not be seen: asked again, never passed
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

from steps.core.release import Release, Smoke
from steps.ports.chat import Answer

Result = Literal["pass", "fail", "inconclusive"]

SHOWN = 200
"""Characters of an answer that evidence and messages repeat."""
_FINISHED = ("stop", "length")
"""``length``: a small model that goes on talking has answered all the same."""
FEWEST_LETTERS = 0.3
"""Of all characters that are not space."""
ENOUGH_SIGNS, FEWEST_SIGNS = 40, 5
"""Prose of so many characters has more than so many different ones, in any script."""
ENOUGH_WORDS, FEWEST_DIFFERENT = 12, 0.2
"""Different words, of all."""
LAST_WORDS = 100
"""Those are looked at: models fall into repetition, they do not begin with it, and long prose repeats words."""
_EXCEPTION = re.compile(r"\b[\w.]*(?:Error|Exception)\b.*")


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """``check`` is one word or two, ``sentence`` what was seen."""

    check: str
    result: Result
    sentence: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Seen:
    """What one pod showed. None: it was not asked, because what came before had failed already."""

    uid: str
    release_id: str
    failure: str | None = None
    """The pod has ended; why, and what it said last."""
    healthy: bool = False
    roots: Mapping[str, str | None] = field(default_factory=dict)
    """By served name, as ``Chat.models`` gives it."""
    denied: bool = False
    """It wants another API key than ours."""
    plain: Answer | None = None
    streamed: Answer | None = None
    device: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """On one pod. ``findings`` are all, good ones too, in the order in which they were made."""

    seen: Seen
    findings: tuple[Finding, ...]

    @property
    def result(self) -> Result:
        return worst(f.result for f in self.findings)

    @property
    def sentence(self) -> str:
        """The first finding that decided; of a pass, what it answered."""
        decisive = (f for f in self.findings if f.result == self.result)
        return next(f.sentence for f in decisive if self.result != "pass" or f.check == "answer")

    @property
    def first_token_seconds(self) -> float | None:
        return self.seen.streamed.first_token_seconds if self.seen.streamed else None

    @property
    def tokens_per_second(self) -> float | None:
        return speed(self.seen.streamed) if self.seen.streamed else None


def worst(results: Iterable[Result]) -> Result:
    """Of several results; nothing at all proves nothing."""
    found = set(results)
    if "fail" in found:
        return "fail"
    return "pass" if found == {"pass"} else "inconclusive"


def judge(release: Release, root: str, seen: Seen) -> Verdict:
    """``root`` is the directory that the weights must come from, in the form in which the server says it."""
    return Verdict(seen=seen, findings=tuple(_findings(release, root, seen)))


def _findings(release: Release, root: str, seen: Seen) -> Iterator[Finding]:
    yield _identity(release, seen)
    if seen.failure:
        yield _bad("alive", f"the model server died while it was tested: {seen.failure}")
    yield _health(seen)
    yield _key() if seen.denied else _weights(release.serving.served_name, root, seen.roots)
    yield _answer(release.smoke, seen.plain) if seen.plain else _unclear("answer", "it was not asked")
    yield _stream(seen.streamed) if seen.streamed else _unclear("streamed answer", "it was not asked for a stream")
    if seen.streamed:
        yield from _gates(release.smoke, seen.streamed)
    yield _device(release.serving.device, seen.device)


def _identity(release: Release, seen: Seen) -> Finding:
    if seen.release_id != release.release_id:
        return _unclear("identity", f"pod {seen.uid} belongs to release {seen.release_id}, not {release.release_id}")
    return _good("identity", f"pod {seen.uid} is one of release {release.release_id}")


def _health(seen: Seen) -> Finding:
    if not seen.healthy:
        return _unclear("health", "the model server does not answer /health with 200")
    return _good("health", "/health answers 200")


def _key() -> Finding:
    return _unclear("weights", "it wants another API key than this step has: the Secret was changed since it started")


def _weights(served_name: str, root: str, roots: Mapping[str, str | None]) -> Finding:
    if not roots:
        return _unclear("weights", "/v1/models names no model")
    if served_name not in roots:
        return _bad("weights", f"it serves {', '.join(sorted(roots))}, not {served_name}")
    if roots[served_name] != root:
        return _bad("weights", f"wrong weights: it serves {roots[served_name] or 'nothing it names'}, not {root}")
    return _good("weights", f"{served_name} is served from {root}")


def _answer(smoke: Smoke, answer: Answer) -> Finding:
    if improper := _improper("answer", answer):
        return improper
    if smoke.expect.casefold() not in answer.text.casefold():
        return _bad("answer", f"wrong answer: to {smoke.prompt!r} it said {_shown(answer.text)}, not {smoke.expect!r}")
    return _good("answer", f"to {smoke.prompt!r} it said {_shown(answer.text)}")


def _stream(answer: Answer) -> Finding:
    return _improper("streamed answer", answer) or _good("streamed answer", "its streamed answer ended in [DONE]")


def _improper(check: str, answer: Answer) -> Finding | None:
    """What is wrong with an answer whatever was asked, None where nothing is."""
    if not answer.answered:
        return _unclear(check, f"its {check} {answer.problem or 'could not be had'}")
    if answer.status >= 500:
        return _bad(check, f"it answers HTTP {answer.status} to a chat completion: {_shown(answer.text)}")
    if answer.status >= 400:
        hint = "as a model without a chat template does"
        return _bad(check, f"it refuses a chat completion with HTTP {answer.status}, {hint}: {_shown(answer.text)}")
    if answer.problem or not answer.done:
        after = f", after {_shown(answer.text)}" if answer.text else ""
        return _bad(check, f"its {check} {answer.problem or 'was cut off'}{after}")
    return _bad_text(check, answer)


def _bad_text(check: str, answer: Answer) -> Finding | None:
    if not answer.text.strip():
        return _bad(check, f"its {check} is empty")
    if is_degenerate(answer.text):
        return _bad(check, f"its {check} is nonsense that repeats itself, as damaged weights do: {_shown(answer.text)}")
    if answer.finish_reason not in _FINISHED:
        return _bad(check, f"its {check} ended with finish_reason {answer.finish_reason}, not {' or '.join(_FINISHED)}")
    return None


def is_degenerate(text: str) -> bool:
    """Whether a text is what broken weights say: hardly a letter in it, or the same few words or signs for ever."""
    dense = "".join(text.split())
    if sum(c.isalnum() for c in dense) < len(dense) * FEWEST_LETTERS:
        return True
    if len(dense) >= ENOUGH_SIGNS and len(set(dense)) <= FEWEST_SIGNS:
        return True
    words = text.casefold().split()[-LAST_WORDS:]
    return len(words) >= ENOUGH_WORDS and len(set(words)) <= len(words) * FEWEST_DIFFERENT


def speed(answer: Answer) -> float | None:
    """Tokens a second once the first one is there, None where the answer was too short, or came too whole, to tell."""
    if answer.first_token_seconds is None or answer.seconds <= answer.first_token_seconds:
        return None
    if answer.tokens < 2 or answer.pieces < 2:
        return None
    return (answer.tokens - 1) / (answer.seconds - answer.first_token_seconds)


def _gates(smoke: Smoke, answer: Answer) -> Iterator[Finding]:
    first, rate = answer.first_token_seconds, speed(answer)
    if smoke.max_first_token_seconds is not None:
        yield _first_token(first, smoke.max_first_token_seconds)
    if smoke.min_tokens_per_second is not None:
        yield _rate(rate, smoke.min_tokens_per_second)


def _first_token(seconds: float | None, gate: float) -> Finding:
    if seconds is None:
        return _unclear("speed", f"no first token was seen, so the gate of {gate:g} s cannot be judged")
    return _gate(f"its first token came after {seconds:.2f} s, the gate is {gate:g} s", passed=seconds <= gate)


def _rate(rate: float | None, gate: float) -> Finding:
    if rate is None:
        return _unclear(
            "speed",
            f"its answer is too short, or came in one piece, so the gate of {gate:g} tokens a second cannot be judged: "
            "give the smoke test a prompt with a longer answer in the catalog",
        )
    return _gate(f"it makes {rate:.1f} tokens a second, the gate is {gate:g}", passed=rate >= gate)


def _gate(text: str, *, passed: bool) -> Finding:
    return _good("speed", text) if passed else _bad("speed", f"too slow: {text}")


def _device(asked: str, seen: str | None) -> Finding:
    if seen is None:
        return _good("device", f"asked for {asked}; what it uses cannot be seen from here")
    if seen != asked:
        return _bad("device", f"wrong device: it runs on {seen}, asked was {asked}")
    return _good("device", f"it runs on {seen}")


def last_words(log: str) -> str:
    """The line of a log that says most about why a server ended: its last exception, else its last line."""
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    exceptions = [m[0] for line in lines if (m := _EXCEPTION.search(line))]
    return (exceptions or lines or ["it said nothing"])[-1][:SHOWN]


def _shown(text: str) -> str:
    return repr(text if len(text) <= SHOWN else text[:SHOWN] + "…")


def _good(check: str, sentence: str) -> Finding:
    return Finding(check=check, result="pass", sentence=sentence)


def _bad(check: str, sentence: str) -> Finding:
    return Finding(check=check, result="fail", sentence=sentence)


def _unclear(check: str, sentence: str) -> Finding:
    return Finding(check=check, result="inconclusive", sentence=sentence)
