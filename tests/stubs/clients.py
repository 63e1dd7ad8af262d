"""Those whom a deployment serves: a constant stream of chat requests at its endpoint, and what came of them.

``Clients`` ask for one short answer after the other, ``LongReaders`` for streamed ones that take seconds, several at a
time: some of those are being answered at whatever moment something changes.
"""

import json
import threading
import time
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

from tests.stubs.machine import ask, served_root

EVERY_SECONDS = 0.1
IMPATIENT_SECONDS = 2.0
"""Who measures an outage asks again soon."""
PATIENT_SECONDS = 20.0
"""Who looks for lost requests waits for a machine that is busy. What goes to a pod that is gone is never answered."""
READERS = 4
HOLD_SECONDS = 120.0
"""For a stream to end."""

_direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def endpoint(service: dict[str, Any]) -> str:
    """Where clients in the cluster reach what a Kubernetes Service leads to, also where nobody knows it by name."""
    return f"http://{service['spec']['clusterIP']}:{service['spec']['ports'][0]['port']}"


@dataclass(frozen=True, slots=True)
class Chat:
    """Whom clients ask. ``url`` may give None before the deployment is there."""

    url: Callable[[], str | None]
    served_name: str
    key: str = ""

    def body(self, **more: Any) -> dict[str, Any]:
        message = {"role": "user", "content": "What is the capital of France?"}
        return {"model": self.served_name, "messages": [message], "temperature": 0, **more}

    def answer(self, url: str, seconds: float) -> str:
        """Of a chat request; returns the weights that serve there. Raises OSError, ValueError, KeyError, IndexError."""
        said = ask(url, "/v1/chat/completions", self.body(max_tokens=1), seconds, key=self.key)
        if not said["choices"][0]["message"]["content"]:
            raise ValueError(f"an empty answer: {said}")
        return served_root(url, key=self.key)


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
    """Used with ``with``."""

    chat: Chat
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
        self._thread.join(self.patience_seconds * 3)

    def _ask(self) -> None:
        while not self._over.wait(EVERY_SECONDS):
            self.answers.append(self._answer())

    def _answer(self) -> Answer:
        url, at = self.chat.url(), time.monotonic()
        if not url:
            return Answer(at, None, "there is no endpoint yet")
        try:
            return Answer(at, self.chat.answer(url, self.patience_seconds))
        except (OSError, ValueError, LookupError) as err:
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

    def changed_at(self) -> float:
        """When the weights that answered first did so no longer. Raises StopIteration where they still do."""
        first = next(a for a in self.answers if a.root)
        return next(a.at for a in self.answers if a.at > first.at and a.root != first.root)


@dataclass(frozen=True, slots=True)
class Held:
    """A streamed answer whose head had come. ``whole``: it came to its end; ``why`` says what ended it instead."""

    began: float
    ended: float
    commit: str
    whole: bool
    why: str = ""


@dataclass
class LongReaders:
    """Used with ``with``, over the stub model server. Each answer takes ``seconds``."""

    chat: Chat
    seconds: float
    held: list[Held] = field(default_factory=list)
    _over: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)

    def __enter__(self) -> Self:
        self._threads = [threading.Thread(target=self._go_on, args=(n,), daemon=True) for n in range(READERS)]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, err: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join(self.seconds + HOLD_SECONDS)

    def _go_on(self, number: int) -> None:
        """Not all at the same time."""
        if self._over.wait(number * self.seconds / READERS):
            return
        while not self._over.wait(EVERY_SECONDS):
            url = self.chat.url()
            if url and (held := self._hold(url)):
                self.held.append(held)

    def _hold(self, url: str) -> Held | None:
        """None where nobody answered: what is not begun cannot be cut off."""
        body = json.dumps(self.chat.body(stream=True, seconds=self.seconds)).encode()
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {self.chat.key}"}
        request = urllib.request.Request(f"{url}/v1/chat/completions", body, headers)
        began = time.monotonic()
        try:
            response = _direct.open(request, timeout=PATIENT_SECONDS)
        except OSError:
            return None
        text, why = b"", ""
        with response:
            try:
                while piece := response.read1():
                    text += piece
            except OSError as err:
                why = repr(err)
        return Held(began, time.monotonic(), _commit(text), text.endswith(b"data: [DONE]\n\n"), why or repr(text[-80:]))

    @property
    def cut_off(self) -> list[Held]:
        return [h for h in self.held if not h.whole]

    def across(self, moment: float) -> list[Held]:
        """Those that were being answered at that moment."""
        return [h for h in self.held if h.began < moment < h.ended]


def _commit(text: bytes) -> str:
    """As the stub names the weights that answer."""
    first = text.partition(b"\n")[0].removeprefix(b"data: ")
    try:
        return str(json.loads(first)["system_fingerprint"])
    except (ValueError, KeyError):
        return ""
