"""The evidence of a smoke test as it is read back from the store, for those who show it.

``core.evidence`` writes it. It may be of another version of this program, or be damaged: then it is not read at all,
and whoever shows it shows the JSON.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, get_args

from steps.core.finding import Finding, Mark
from steps.core.fingerprint import Change

MODELS = 5
"""That a server says it serves; more of them say no more."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Reply:
    """What is shown of ``ports.chat.Answer``."""

    status: int
    text: str
    finish_reason: str
    tokens: float
    seconds: float
    problem: str
    """Empty where there was a proper answer."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PodTest:
    """Of one pod. None: it was not asked, or it could not be seen."""

    name: str
    result: str
    findings: tuple[Finding, ...]
    served: tuple[tuple[str, str], ...]
    """Names and directories, as its server gave them."""
    device: str | None
    last_lines: tuple[str, ...]
    answer: Reply | None
    streamed: Reply | None
    first_token_seconds: float | None
    tokens_per_second: float | None
    fingerprint: str | None
    """The text of it."""
    change: Change | None
    """Since this release passed for the first time, or from its first pod."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Tested:
    """``gates`` are those that the catalog sets, by name. The ``live`` ones were measured last of what serves."""

    result: str
    sentence: str
    release_id: str
    commit: str
    device: str
    prompt: str
    max_tokens: float | None
    expect: str
    gates: Mapping[str, float]
    live_first_token_seconds: float | None
    live_tokens_per_second: float | None
    fingerprint_prompt: str
    fingerprint_before: str | None
    pods: tuple[PodTest, ...]


def read(evidence: Any) -> Tested | None:
    """None for what is no evidence, or not in a form that is known here."""
    try:
        return _tested(evidence)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
        return None


def _tested(value: Any) -> Tested:
    request, live = value["request"], value["live"] or {}
    gates = {str(name): number for name, gate in value["gates"].items() if (number := _number(gate)) is not None}
    return Tested(
        result=_mark(value["result"]),
        sentence=str(value["sentence"]),
        release_id=str(value["release_id"]),
        commit=str(value["commit"]),
        device=str(value["device"]),
        prompt=str(request["prompt"]),
        max_tokens=_number(request["max_tokens"]),
        expect=str(value["expect"]),
        gates=gates,
        live_first_token_seconds=_number(live.get("first_token_seconds")),
        live_tokens_per_second=_number(live.get("tokens_per_second")),
        fingerprint_prompt=str(value["fingerprint_prompt"]),
        fingerprint_before=_print(value["fingerprint_before"]),
        pods=tuple(map(_pod, value["pods"])),
    )


def _pod(value: Any) -> PodTest:
    served = [(str(name), "no directory" if root is None else str(root)) for name, root in value["served"].items()]
    return PodTest(
        name=str(value["pod"]),
        result=_mark(value["result"]),
        findings=tuple(map(_finding, value["findings"])),
        served=tuple(served[:MODELS]),
        device=None if value["device_seen"] is None else str(value["device_seen"]),
        last_lines=tuple(map(str, value["last_lines"])),
        answer=_reply(value["answer"]),
        streamed=_reply(value["streamed"]),
        first_token_seconds=_number(value["first_token_seconds"]),
        tokens_per_second=_number(value["tokens_per_second"]),
        fingerprint=_print(value["fingerprint"]),
        change=_change(value.get("fingerprint_change")),  # evidence of an earlier version has none
    )


def _finding(value: Any) -> Finding:
    return Finding(check=str(value["check"]), result=_mark(value["result"]), sentence=str(value["sentence"]))


def _reply(value: Any) -> Reply | None:
    if value is None:
        return None
    return Reply(
        status=int(value["status"]),
        text=str(value["text"]),
        finish_reason=str(value["finish_reason"]),
        tokens=_number(value["tokens"]) or 0.0,
        seconds=_number(value["seconds"]) or 0.0,
        problem=str(value["problem"] or ""),
    )


def _print(value: Any) -> str | None:
    return None if value is None else str(value["text"])


def _change(value: Any) -> Change | None:
    if value is None:
        return None
    return Change(nats=float(value["nats"]), compared=int(value["compared"]), parted=bool(value["parted"]))


def _mark(value: Any) -> Mark:
    if value not in get_args(Mark):
        raise ValueError(f"{value!r} is no result")
    return value  # type: ignore[no-any-return]  # it is one of them


def _number(value: Any) -> float | None:
    if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
        raise TypeError(f"{value!r} is no number")
    return None if value is None else float(value)
