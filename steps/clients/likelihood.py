"""The logprobs of a chat completion, as the openai client built them without checking anything."""

import math
from typing import Any

from steps.core.fingerprint import Fingerprint, Token


def traced(completion: Any) -> Fingerprint | None:
    """None where it has none. Raises ValueError, TypeError or AttributeError for what are no logprobs."""
    content = getattr(completion.choices[0].logprobs, "content", None)
    return Fingerprint(tuple(_token(each) for each in content)) if content else None


def _token(each: Any) -> Token:
    top = tuple((_text(other.token), _number(other.logprob)) for other in each.top_logprobs)
    return Token(_text(each.token), _number(each.logprob), top)


def _text(value: Any) -> str:
    """A token may be half of a character, which JSON can say and a file cannot hold."""
    return str(value).encode(errors="replace").decode()


def _number(value: Any) -> float:
    """A server whose weights overflow says NaN, which nothing can be compared with."""
    number = float(value)
    if not math.isfinite(number):
        raise ValueError(f"a logprob of {number}")
    return number
