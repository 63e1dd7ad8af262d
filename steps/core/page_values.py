"""JSON of any shape as HTML: evidence that is not in the form which ``core.tested`` knows."""

from collections.abc import Mapping
from typing import Any

from steps.core.visible import text

TONES = {"pass": "good", "notice": "warn", "inconclusive": "warn", "fail": "bad"}
"""Of results of findings, where they stand in a table."""


def shown(value: Any) -> str:
    """Mappings as names with their values, a list of like mappings as a table, one of scalars in short."""
    if isinstance(value, Mapping):
        return f"<dl>{''.join(_pair(name, each) for name, each in value.items())}</dl>"
    if isinstance(value, list):
        return _list(value)
    return f'<span class="mono">{text(_scalar(value))}</span>'


def _pair(name: object, value: Any) -> str:
    """What is a list of mappings, a table among them, gets the whole width."""
    if name == "result" and isinstance(value, str) and value in TONES:
        return f'<dt>{_label(name)}</dt><dd class="word {TONES[value]}">{text(value)}</dd>'
    wide = isinstance(value, list) and any(isinstance(v, Mapping) for v in value)
    kind = "wide" if wide else "one"
    return f'<dt>{_label(name)}</dt><dd class="{kind}">{shown(value)}</dd>'


def _list(items: list[Any]) -> str:
    if _is_table(items):
        return _table(items)
    if any(isinstance(i, Mapping | list) for i in items):
        return "".join(f'<div class="item">{shown(i)}</div>' for i in items)
    if all(isinstance(i, str) for i in items):
        lines = "\n".join(items) or "none"
        return f'<pre class="mono">{text(lines)}</pre>'
    return f'<span class="mono">{text(", ".join(map(_scalar, items)))}</span>'


def _is_table(items: list[Any]) -> bool:
    return all(isinstance(i, Mapping) and list(i) == list(items[0]) and not _nested(i) for i in items) and bool(items)


def _nested(item: Mapping[str, Any]) -> bool:
    return any(isinstance(v, Mapping | list) for v in item.values())


def _table(items: list[Any]) -> str:
    head = "".join(f"<th>{_label(name)}</th>" for name in items[0])
    return f'<div class="scroll"><table><tr>{head}</tr>{"".join(map(_row, items))}</table></div>'


def _row(item: Mapping[str, Any]) -> str:
    return f"<tr>{''.join(_cell(name, value) for name, value in item.items())}</tr>"


def _cell(name: object, value: Any) -> str:
    if name == "result" and isinstance(value, str) and value in TONES:
        return f'<td class="word {TONES[value]}">{text(value)}</td>'
    return f"<td>{text(value) if name == 'sentence' else shown(value)}</td>"


def _label(name: object) -> str:
    return text(str(name).replace("_", " "))


def _scalar(value: Any) -> str:
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "none"}[value]
    if isinstance(value, float):
        short = f"{value:.3f}".rstrip("0").rstrip(".")
        return "0" if short == "-0" else short
    return str(value)
