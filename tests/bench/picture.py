"""The medians as bars, in an SVG of our own: ours is dark, a bar that is longer took more time."""

from html import escape

from tests.bench.results import Held, Record

WIDTH, LEFT, BAR, GAP, TOP = 860, 250, 15, 26, 30
ROOM = WIDTH - LEFT - 90
OURS, OTHERS, TEXT = "#1f6f54", "#b9c4bf", "#222"


def draw(record: Record) -> str:
    parts: list[str] = []
    y = TOP
    for held in record.held:
        parts.append(_text(8, y + 12, f"{held.contest}, {held.case}", bold=True))
        y += 22
        y = _bars(held, y, parts)
        y += GAP - BAR
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {y + 30}" font-family="sans-serif">'
    back = f'<rect width="{WIDTH}" height="{y + 30}" fill="#fff"/>'
    foot = _text(8, y + 14, f"Seconds, medians. {record.date}, {record.machine}")
    return "\n".join([head, back, *parts, foot, "</svg>", ""])


def _bars(held: Held, y: int, parts: list[str]) -> int:
    measured = [r for r in held.results if r.rounds]
    longest = max((r.wall for r in measured), default=1.0)
    for number, result in enumerate(held.results):
        parts.append(_text(16, y + 12, result.name))
        if result.rounds:
            width = max(1, round(ROOM * result.wall / longest))
            colour = OTHERS if number else OURS
            parts.append(f'<rect x="{LEFT}" y="{y}" width="{width}" height="{BAR}" fill="{colour}"/>')
            parts.append(_text(LEFT + width + 6, y + 12, f"{result.wall:.1f} s"))
        else:
            parts.append(_text(LEFT, y + 12, "did not get there"))
        y += BAR + 5
    return y


def _text(x: int, y: int, text: str, *, bold: bool = False) -> str:
    weight = ' font-weight="bold"' if bold else ""
    return f'<text x="{x}" y="{y}" font-size="12" fill="{TEXT}"{weight}>{escape(text)}</text>'
