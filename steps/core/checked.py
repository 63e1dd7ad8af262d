"""The checks of one pod as rows that a person reads: what was asked, what came, what had to come."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from steps.core.finding import Finding, Mark
from steps.core.fingerprint import TOKENS
from steps.core.gates import CHECK as SPEED
from steps.core.sameness import CHECK as FINGERPRINT
from steps.core.tested import PodTest, Reply, Tested
from steps.core.visible import brief, quoted, text

NOT_ASKED = "not asked"
WORST: tuple[Mark, ...] = ("fail", "inconclusive", "notice", "pass")


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """All but ``check`` and ``mark`` are safe HTML, and may be empty. ``said``: what follows, in a sentence."""

    check: str
    mark: Mark
    asked: str
    answered: str
    expected: str
    said: str


def rows(tested: Tested, pod: PodTest) -> tuple[Row, ...]:
    """In the order in which they were made; all that was found about the speed in one."""
    return tuple(_row(tested, pod, found) for found in _together(pod.findings))


def first_token(value: float | None) -> str:
    return "not seen" if value is None else f"{value:.2f} s"


def rate(value: float | None) -> str:
    return "not seen" if value is None else f"{value:.1f} tokens/s"


def gates_of_first_token(tested: Tested) -> tuple[str, ...]:
    before, gates = tested.live_first_token_seconds, tested.gates
    return tuple(
        _gates("at most", gates.get("max_first_token_seconds"), gates.get("max_first_token_of_live"), before, "s")
    )


def gates_of_rate(tested: Tested) -> tuple[str, ...]:
    before, gates = tested.live_tokens_per_second, tested.gates
    least = (gates.get("min_tokens_per_second"), gates.get("min_tokens_per_second_of_live"))
    return tuple(_gates("at least", *least, before, "tokens/s"))


def gate_of_change(tested: Tested) -> tuple[str, ...]:
    gate = tested.gates.get("max_logprob_change")
    return () if gate is None else (f"at most {gate:g} nats",)


def change(pod: PodTest) -> str:
    found = pod.change
    if found is None:
        return "nothing to compare with"
    parted = ", the last another one" if found.parted else ""
    return f"{found.nats:.2f} nats in {found.compared} tokens{parted}"


def _gates(least: str, gate: float | None, factor: float | None, before: float | None, unit: str) -> Iterator[str]:
    if gate is not None:
        yield f"{least} {gate:g} {unit}"
    if factor is not None and before is not None:
        yield f"{least} {factor:g} \u00d7 the live release's = {factor * before:.2f} {unit}"
    elif factor is not None:
        yield f"{least} {factor:g} \u00d7 the live release's, of which nothing is known"


def _together(findings: tuple[Finding, ...]) -> Iterator[Finding]:
    speed = [f for f in findings if f.check == SPEED]
    for found in findings:
        if found.check != SPEED:
            yield found
        elif found is speed[0]:
            mark = min((f.result for f in speed), key=WORST.index)
            told = [f.sentence for f in speed if f.result == mark]
            yield Finding(check=SPEED, result=mark, sentence="; ".join(told))


def _row(tested: Tested, pod: PodTest, found: Finding) -> Row:
    asked, answered, expected = _cells(tested, pod, found)
    told = found.result == "pass" and found.check != FINGERPRINT
    said = "" if told or answered in (NOT_ASKED, text(found.sentence)) else text(found.sentence)
    return Row(check=found.check, mark=found.result, asked=asked, answered=answered, expected=expected, said=said)


def _cells(tested: Tested, pod: PodTest, found: Finding) -> tuple[str, str, str]:
    """What was asked, what came, what had to come; of a check that is not known here, its sentence."""
    known: dict[str, Callable[[], tuple[str, str, str]]] = {
        "identity": lambda: ("whose pod it is", brief(pod.name), text(f"one of release {tested.release_id}")),
        "alive": lambda: ("whether its server goes on", "it ended", "it runs"),
        "health": lambda: ("GET /health", "200" if found.result == "pass" else "no 200", "200"),
        "weights": lambda: ("GET /v1/models", _served(pod), text(f"the directory of commit {tested.commit[:12]}")),
        "answer": lambda: (_request(tested), _reply(pod.answer), f"contains {quoted(tested.expect)}"),
        "streamed answer": lambda: ("the same, as a stream", _reply(pod.streamed), "comes to its end in [DONE]"),
        SPEED: lambda: _speed(tested, pod),
        FINGERPRINT: lambda: _fingerprint(tested, pod),
        "device": lambda: ("where it computes", brief(pod.device or "cannot be seen from here"), text(tested.device)),
    }
    return known.get(found.check, lambda: ("", text(found.sentence), ""))()


def _speed(tested: Tested, pod: PodTest) -> tuple[str, str, str]:
    seen = f"first token after {first_token(pod.first_token_seconds)}<br>{rate(pod.tokens_per_second)}"
    wanted = (*gates_of_first_token(tested), *gates_of_rate(tested)) or ("no gate",)
    return "how fast the stream comes", seen, "<br>".join(map(text, wanted))


def _fingerprint(tested: Tested, pod: PodTest) -> tuple[str, str, str]:
    asked = f"{quoted(tested.fingerprint_prompt)}<br>and how likely its next {TOKENS} tokens are"
    now = "none" if pod.fingerprint is None else quoted(pod.fingerprint)
    before = tested.fingerprint_before
    return asked, now, "nothing known from before" if before is None else f"as before: {quoted(before)}"


def _served(pod: PodTest) -> str:
    return "<br>".join(f"{brief(name)} from {brief(root)}" for name, root in pod.served) or "names no model"


def _request(tested: Tested) -> str:
    most = "" if tested.max_tokens is None else f"<br>at most {tested.max_tokens:g} tokens, temperature 0"
    return f"{quoted(tested.prompt)}{most}"


def _reply(reply: Reply | None) -> str:
    if reply is None:
        return NOT_ASKED
    said = f"{quoted(reply.text)}<br>" if reply.text else ""
    if reply.problem:
        return f"{said}the answer {brief(reply.problem)}"
    ended = f"{reply.tokens:g} tokens in {reply.seconds:.2f} s, ended by {text(reply.finish_reason, 40)}"
    return f"{said or 'nothing<br>'}{ended}"
