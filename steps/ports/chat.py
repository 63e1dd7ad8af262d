"""A model server's OpenAI API, as the steps see it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from steps.core.fingerprint import Fingerprint
from steps.core.release import Smoke


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """What a pod answered to a chat completion. ``text`` includes reasoning content."""

    status: int
    text: str
    finish_reason: str | None
    tokens: int
    first_token_seconds: float | None
    seconds: float
    done: bool
    """The stream ended in ``[DONE]``; for a plain answer, the body was whole."""
    problem: str | None = None
    """In words, when there was no proper answer: timeout, cut, too long, not JSON."""
    answered: bool = True
    """False when nothing can be concluded: the connection was refused, or the server said that it is not ready."""
    pieces: int = 0
    """In which the text came, one for a plain answer: of a text that came all at once no speed can be told."""


class Chat(Protocol):
    """One pod's OpenAI API. Never raises for what the pod does: that is the finding."""

    def healthy(self, url: str) -> bool: ...

    def models(self, url: str) -> Mapping[str, str | None]:
        """``root`` by served name; empty when there is no proper answer."""
        ...

    def denies(self, url: str) -> bool:
        """Whether it serves and wants another API key than ours."""
        ...

    def complete(self, url: str, served_name: str, smoke: Smoke) -> Answer: ...

    def stream(self, url: str, served_name: str, smoke: Smoke) -> Answer: ...

    def fingerprint(self, url: str, served_name: str) -> tuple[Fingerprint | None, str]:
        """Of the fixed text; and where there is none, why."""
        ...
