"""Pods' OpenAI API in memory. It passes the same contract tests as the real client does against a real server."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from steps.core.fingerprint import TOP, Fingerprint, Token
from steps.core.release import Smoke
from steps.ports.chat import Answer
from tests.stubs.model_server import NO_LOGPROBS, NO_TEMPLATE, likelihoods

PARIS = "The capital of France is Paris."
GOOD = Answer(
    status=200, text=PARIS, finish_reason="stop", tokens=7, first_token_seconds=0.5, seconds=2.5, done=True, pieces=7
)
"""Three tokens a second once the first one is there."""
LATE = "did not come within 1 s: the server hangs"
CUT = "was cut off before its end"


@dataclass(frozen=True, kw_only=True)
class Model:
    """What listens at an address. ``fault`` is one of the stub model server's."""

    served_name: str
    root: str
    fault: str = ""
    first_token_seconds: float = 0.1
    seconds: float = 0.6
    shift: float = 0.0


@dataclass
class FakeChat:
    """``at`` finds what listens at an address, None for nobody; ``asked`` are the addresses of completions."""

    at: Callable[[str], Model | None]
    asked: list[str] = field(default_factory=list)
    ended: set[str] = field(default_factory=set)
    """Addresses at which a question has ended the server."""

    def healthy(self, url: str) -> bool:
        model = self.at(url)
        return model is not None and model.fault != "not-ready-ever" and url not in self.ended

    def models(self, url: str) -> Mapping[str, str | None]:
        model = self.at(url)
        if model is None or model.fault == "other-key":
            return {}
        name = "another-model" if model.fault == "wrong-model" else model.served_name
        return {name: "/models/somebody--else" if model.fault == "wrong-root" else model.root}

    def denies(self, url: str) -> bool:
        model = self.at(url)
        return model is not None and model.fault == "other-key"

    def complete(self, url: str, served_name: str, smoke: Smoke) -> Answer:
        self.asked.append(url)
        return self._answer(self.at(url))

    def stream(self, url: str, served_name: str, smoke: Smoke) -> Answer:
        answer = self._answer(model := self.at(url))
        answer = replace(answer, pieces=answer.tokens)
        if model is None or model.fault not in ("stream-cut", "no-done"):
            return answer
        text, reason = ("T", None) if model.fault == "stream-cut" else (answer.text, "stop")
        return replace(answer, text=text, finish_reason=reason, done=False, problem=CUT)

    def fingerprint(self, url: str, served_name: str) -> tuple[Fingerprint | None, str]:
        model = self.at(url)
        if model is not None and model.fault == "dead-of-logprobs":
            self.ended.add(url)
            return None, "is HTTP 500: 'EngineCore encountered an issue.'"
        if model is not None and model.fault == "no-logprobs":
            return None, f"is HTTP 400: {NO_LOGPROBS!r}"
        answer = self._answer(model)
        if model is None or answer.problem:
            return None, f"the answer {answer.problem}"
        return Fingerprint(tuple(_token(*each) for each in likelihoods(answer.text, model.root, model.shift))), ""

    def _answer(self, model: Model | None) -> Answer:
        if model is None:
            return nothing(0, "could not be asked for: nobody listens there", answered=False)
        if model.fault in BROKEN:
            return BROKEN[model.fault]
        return Answer(
            status=200,
            text=TEXTS.get(model.fault, PARIS),
            finish_reason="stop",
            tokens=6,
            first_token_seconds=model.first_token_seconds,
            seconds=model.seconds,
            done=True,
            pieces=1,
        )


def _token(text: str, logprob: float) -> Token:
    others = ((f"other {n}", logprob - 1.0 - n) for n in range(TOP - 1))
    return Token(text, logprob, ((text, logprob), *others))


def nothing(status: int, problem: str, *, answered: bool = True) -> Answer:
    return Answer(
        status=status,
        text="",
        finish_reason=None,
        tokens=0,
        first_token_seconds=None,
        seconds=0.0,
        done=False,
        problem=problem,
        answered=answered,
    )


TEXTS = {"wrong-answer": "It is Lyon.", "empty-text": "", "degenerate": "!" * 200}
BROKEN = {
    "hang": nothing(200, LATE),
    "http-500": replace(nothing(500, "is HTTP 500"), text="EngineCore encountered an issue."),
    "no-template": replace(nothing(400, "is HTTP 400"), text=NO_TEMPLATE),
    "http-503": nothing(503, "is HTTP 503", answered=False),
    "not-json": nothing(200, "is not a chat completion"),
    "long-text": nothing(200, "is longer than 64 KiB"),
    "crash-on-request": nothing(200, CUT),
}
