"""Collect what a chat completion brings, whole or in pieces, and what goes wrong with it, into an Answer."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import httpx2

from steps.clients.letters import whole
from steps.clients.meter import LIMIT, Meter
from steps.ports.chat import Answer

if TYPE_CHECKING:
    from openai import APIConnectionError, APIStatusError

NOT_NOW = (429, 503)
"""It may answer later; nothing can be concluded from these."""
SHOWN = 256
"""Characters of an error's body that are kept."""


class Answering:
    """One request being answered. ``problem`` is None as long as nothing is wrong."""

    def __init__(self, meter: Meter, what: str = "a chat completion") -> None:
        self.problem: str | None = None
        self._meter, self._what = meter, what
        self._status = 200
        self._answered = True
        self._text = ""
        self._finish_reason: str | None = None
        self._pieces = 0
        self._tokens = 0
        self._first: float | None = None

    @contextmanager
    def observed(self) -> Iterator[None]:
        """What the request raises becomes a problem in words; the pod is the object, not a partner."""
        import openai

        try:
            yield
        except openai.APIStatusError as err:
            self._refused(err)
        except openai.APIConnectionError as err:
            self._disconnected(err)
        except openai.APIError as err:
            self.problem = f"ended in an error ({str(err.message)[:SHOWN]})"
        except (ValueError, TypeError, AttributeError, LookupError, RecursionError):  # the client checks no shapes
            self.problem = f"is not {self._what}"
        if self._meter.too_late:
            self._late()
        elif self._meter.too_long:
            self.problem = f"is longer than {LIMIT // 1024} KiB"

    def take(self, part: Any) -> None:
        """A whole completion or a chunk of one, as the openai client built it without checking anything."""
        if part.usage is not None and isinstance(part.usage.completion_tokens, int):
            self._tokens = min(max(part.usage.completion_tokens, 0), LIMIT)  # of which each takes a byte
        for choice in part.choices[:1]:
            text = _text(getattr(choice, "delta", None) or choice.message)
            if text:
                self._pieces += 1
                self._first = self._meter.elapsed if self._first is None else self._first
            self._text += text
            self._finish_reason = choice.finish_reason or self._finish_reason

    def answer(self, *, done: bool) -> Answer:
        """``done`` says whether the response came to its proper end."""
        cut = None if done else "was cut off before its end"
        return Answer(
            status=self._status,
            text=whole(self._text),
            finish_reason=None if self._finish_reason is None else whole(str(self._finish_reason))[:SHOWN],
            tokens=self._tokens or self._pieces,
            pieces=self._pieces,
            first_token_seconds=self._first,
            seconds=self._meter.elapsed,
            done=done,
            problem=whole(self.problem) if self.problem else cut,
            answered=self._answered,
        )

    def _refused(self, err: "APIStatusError") -> None:
        self._status = err.status_code
        self._answered = err.status_code not in NOT_NOW
        self._text = _message(err.body) or err.response.text[:SHOWN]
        self.problem = f"is HTTP {err.status_code}"

    def _disconnected(self, err: "APIConnectionError") -> None:
        match err.__cause__:
            case httpx2.ConnectError() | httpx2.ConnectTimeout():
                self._answered = False
                self.problem = "could not be asked for: nobody listens there"
            case httpx2.TimeoutException():
                self._late()
            case _:
                self.problem = "was cut off before its end"

    def _late(self) -> None:
        self.problem = f"did not come within {self._meter.seconds:g} s: the server hangs"


def _text(part: Any) -> str:
    """Of a message or a delta. vLLM calls what a model thinks ``reasoning``, before that ``reasoning_content``."""
    extra = part.model_extra or {}
    thought = extra.get("reasoning") or extra.get("reasoning_content")
    return "".join(p for p in (thought, part.content) if isinstance(p, str))


def _message(body: object) -> str:
    message = body.get("message") if isinstance(body, Mapping) else None
    return message[:SHOWN] if isinstance(message, str) else ""
