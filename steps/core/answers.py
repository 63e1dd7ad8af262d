"""What is wrong with an answer to a chat completion, in a sentence that says what was asked, answered, and to do."""

from collections.abc import Iterator

from steps.core.finding import Finding, bad, good, unclear
from steps.core.release import Smoke
from steps.ports.chat import Answer

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

_SEE_LOG = "see its log, which is kept with this run's reports"
_SEE_BYTES = "its bytes were proved, so see whether the dtype, quantization and image in its catalog entry fit it"
_SEE_EXPECT = "where the question is not for this model, give smoke.prompt and smoke.expect in the catalog"
_NO_TEMPLATE = (
    "promote the model's chat or instruct version, or give it a template by --chat-template in the entry's args"
)


def answer(smoke: Smoke, given: Answer) -> Finding:
    if improper := _improper("answer", smoke, given):
        return improper
    if smoke.expect.casefold() not in given.text.casefold():
        said = f"wrong answer: to {smoke.prompt!r} it said {shown(given.text)}, not {smoke.expect!r}"
        return bad("answer", said, _SEE_EXPECT)
    return good("answer", f"to {smoke.prompt!r} it said {shown(given.text)}")


def streamed(smoke: Smoke, given: Answer) -> Finding:
    check = "streamed answer"
    return _improper(check, smoke, given) or good(check, "its streamed answer ended in [DONE]")


def is_degenerate(text: str) -> bool:
    """Whether a text is what broken weights say: hardly a letter in it, or the same few words or signs for ever."""
    dense = "".join(text.split())
    if sum(c.isalnum() for c in dense) < len(dense) * FEWEST_LETTERS:
        return True
    if len(dense) >= ENOUGH_SIGNS and len(set(dense)) <= FEWEST_SIGNS:
        return True
    words = text.casefold().split()[-LAST_WORDS:]
    return len(words) >= ENOUGH_WORDS and len(set(words)) <= len(words) * FEWEST_DIFFERENT


def shown(text: str) -> str:
    return repr(text if len(text) <= SHOWN else text[:SHOWN] + "…")


def _improper(check: str, smoke: Smoke, given: Answer) -> Finding | None:
    """What is wrong with an answer whatever was asked, None where nothing is."""
    return next(_faults(check, smoke, given), None)


def _faults(check: str, smoke: Smoke, given: Answer) -> Iterator[Finding]:
    """The first one counts."""
    its = f"its {check} to {smoke.prompt!r}"
    if not given.answered:
        yield unclear(check, f"its {check} {given.problem or 'could not be had'}")
    if given.status >= 500:
        said = f"it answers HTTP {given.status} to a chat completion: {shown(given.text)}"
        yield bad(check, said, _SEE_LOG)
    if given.status >= 400:
        yield _refused(check, given)
    if given.problem or not given.done:
        after = f", after {shown(given.text)}" if given.text else ""
        yield bad(check, f"{its} {given.problem or 'was cut off'}{after}", _SEE_LOG)
    if not given.text.strip():
        yield bad(check, f"{its} is empty", _SEE_BYTES)
    if is_degenerate(given.text):
        said = f"{its} is nonsense that repeats itself, as damaged weights do: {shown(given.text)}"
        yield bad(check, said, _SEE_BYTES)
    if given.finish_reason not in _FINISHED:
        yield bad(
            check, f"{its} ended with finish_reason {given.finish_reason}, not {' or '.join(_FINISHED)}", _SEE_LOG
        )


def _refused(check: str, given: Answer) -> Finding:
    """Where no template is known vLLM says so, in transformers' words."""
    said = f"it refuses a chat completion with HTTP {given.status}: {shown(given.text)}"
    if "chat template" in given.text.casefold():
        return bad(check, f"it has no chat template, so {said}", _NO_TEMPLATE)
    return bad(check, said, "see smoke and args in its catalog entry")
