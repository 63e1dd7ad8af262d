"""The evidence of a smoke test on the page: a row for each check, and figures beside their gates."""

from collections.abc import Callable
from typing import Any

from steps.core import checked, tested
from steps.core.checked import Row
from steps.core.fingerprint import ROUNDING
from steps.core.page_values import TONES, shown
from steps.core.tested import PodTest, Tested
from steps.core.visible import text

WORDS: dict[str, str] = {
    "pass": "passed",
    "notice": "passed, with a note",
    "inconclusive": "inconclusive",
    "fail": "failed",
}
TITLE = "The smoke test"
COLUMNS = ("asked", "answered", "expected")
MEASURED = ("measured", "gate", "compare")


def section(evidence: Any) -> str:
    """Empty where there is none; JSON where it is not in a form that is known."""
    if not evidence:
        return ""
    known = tested.read(evidence)
    if known is None:
        return f"<section><h2>{TITLE}</h2>{shown(evidence)}</section>"
    pods = "".join(_pod(known, pod, alone=len(known.pods) == 1) for pod in known.pods)
    too_few = "" if any(p.result == known.result for p in known.pods) else f"<p>{text(known.sentence)}</p>"
    return f"<section><h2>{TITLE}: {_word(known.result)}</h2>{too_few}{pods}</section>"


def _pod(known: Tested, pod: PodTest, *, alone: bool) -> str:
    """One that passed beside others is folded."""
    rows = "".join(map(_row, checked.rows(known, pod)))
    head = "".join(f"<th>{name}</th>" for name in ("check", "result", *COLUMNS))
    table = (
        f'<table class="cards checks"><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>{_figures(known, pod)}'
    )
    if alone:
        return table
    opened = "" if pod.result == "pass" else " open"
    return f"<details{opened}><summary>pod {text(pod.name)}: {_word(pod.result)}</summary>{table}</details>"


def _word(mark: str) -> str:
    return f'<span class="word {TONES[mark]}">{WORDS[mark]}</span>'


def _row(row: Row) -> str:
    tone = TONES[row.mark]
    cells = zip(COLUMNS, (row.asked, row.answered, row.expected), strict=True)
    told = "".join(f'<td data-is="{name}"><bdi>{value}</bdi></td>' for name, value in cells)
    first = f'<th scope="row">{text(row.check)}</th><td class="word">{WORDS[row.mark]}</td>'
    said = f'<tr class="said {tone} {row.mark}"><td colspan="5">{row.said}</td></tr>' if row.said else ""
    return f'<tr class="{tone} {row.mark}{" led" if said else ""}">{first}{told}</tr>{said}'


def _figures(known: Tested, pod: PodTest) -> str:
    """Nothing where nothing was measured."""
    if pod.streamed is None:
        return ""
    rows = (
        (
            "first token",
            checked.first_token(pod.first_token_seconds),
            checked.gates_of_first_token(known),
            _live(known.live_first_token_seconds, checked.first_token),
        ),
        (
            "speed",
            checked.rate(pod.tokens_per_second),
            checked.gates_of_rate(known),
            _live(known.live_tokens_per_second, checked.rate),
        ),
        ("fingerprint", checked.change(pod), checked.gate_of_change(known), f"rounding makes up to {ROUNDING:g} nats"),
    )
    head = "".join(f"<th>{name}</th>" for name in ("figure", *MEASURED))
    body = "".join(_figure(*row) for row in rows)
    return f'<h3>Measured</h3><table class="cards figures"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'


def _live(figure: float | None, shown: Callable[[float], str]) -> str:
    return "of a live release nothing is known" if figure is None else f"the live release, last time: {shown(figure)}"


def _figure(name: str, value: str, gates: tuple[str, ...], beside: str) -> str:
    cells = zip(MEASURED, (text(value), "<br>".join(map(text, gates)) or "no gate", text(beside)), strict=True)
    told = "".join(f'<td data-is="{column}">{cell}</td>' for column, cell in cells)
    return f'<tr><th scope="row">{name}</th>{told}</tr>'
