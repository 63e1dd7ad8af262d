"""Those whom a deployment serves: a constant stream of requests through its ClusterIP, and what came of them."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from tests.stubs.machine import ask

EVERY_SECONDS = 0.1
IMPATIENT_SECONDS = 2.0
"""Who measures an outage asks again soon."""
PATIENT_SECONDS = 20.0
"""Who looks for lost requests waits for a machine that is busy. What goes to a pod that is gone is never answered."""


@dataclass(frozen=True, slots=True)
class Answer:
    """``at`` is when it was asked, in seconds of a clock of its own; ``root`` the weights that answered, if any did.

    ``why`` says what came instead, and how long that took.
    """

    at: float
    root: str | None
    why: str = ""


@dataclass
class Clients:
    """Used with ``with``. ``url`` may give None before the deployment is there."""

    url: Callable[[], str | None]
    key: str
    patience_seconds: float = IMPATIENT_SECONDS
    answers: list[Answer] = field(default_factory=list)
    _over: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._ask, daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, err: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        assert self._thread
        self._thread.join(self.patience_seconds * 2)

    def _ask(self) -> None:
        while not self._over.wait(EVERY_SECONDS):
            self.answers.append(self._answer())

    def _answer(self) -> Answer:
        url, at = self.url(), time.monotonic()
        if not url:
            return Answer(at, None, "there is no Service yet")
        try:
            return Answer(at, str(ask(url, seconds=self.patience_seconds, key=self.key)["data"][0]["root"]))
        except (OSError, ValueError, KeyError) as err:
            return Answer(at, None, f"{err!r} after {time.monotonic() - at:.3f} s")

    @property
    def roots(self) -> list[str]:
        """The weights that answered, each once, in the order in which they first did."""
        return list(dict.fromkeys(a.root for a in self.answers if a.root))

    @property
    def failures(self) -> list[str]:
        """When, in seconds since the first was asked, and why."""
        return [f"{a.at - self.answers[0].at:.1f} s: {a.why}" for a in self.answers if a.root is None]

    @property
    def outage_seconds(self) -> float:
        """The longest time between two answers during which every request failed; 0 where none did."""
        longest, since = 0.0, None
        for answer in self.answers:
            if answer.root is None:
                since = answer.at if since is None else since
            elif since is not None:
                longest, since = max(longest, answer.at - since), None
        return longest if since is None else max(longest, self.answers[-1].at - since)
