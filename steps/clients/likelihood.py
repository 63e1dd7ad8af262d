"""The logprobs of a completion, as the openai client built them without checking anything."""

import math
from typing import Any

from steps.core.fingerprint import Fingerprint, Token


def traced(completion: Any) -> Fingerprint | None:
    """None where it has none. Raises ValueError, TypeError, LookupError or AttributeError for what are no logprobs."""
    told = completion.choices[0].logprobs
    if told is None or not told.tokens:
        return None
    each = zip(told.tokens, told.token_logprobs, told.top_logprobs, strict=True)
    return Fingerprint(tuple(_token(text, logprob, top) for text, logprob, top in each))


def _token(text: Any, logprob: Any, top: Any) -> Token:
    likeliest = sorted(((_text(other), _number(value)) for other, value in top.items()), key=lambda each: -each[1])
    return Token(_text(text), _number(logprob), tuple(likeliest))


def _text(value: Any) -> str:
    """A token may be half of a character, which JSON can say and a file cannot hold."""
    return str(value).encode(errors="replace").decode()


def _number(value: Any) -> float:
    """A server whose weights overflow says NaN, which nothing can be compared with."""
    number = float(value)
    if not math.isfinite(number):
        raise ValueError(f"a logprob of {number}")
    return number
