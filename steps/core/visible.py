"""Foreign text for a page: nothing in it is markup, nothing in it is hidden, and none of it is endless."""

import re
import unicodedata
from html import escape

LONGEST = 1200
"""Characters of one sentence; a step's own is at most four times as long."""
QUOTED = 240
"""Of what a model or its server was asked or answered."""
_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Zl", "Zp"})
"""Unicode categories that show nothing, or turn round what follows: control, format and bidi characters, half
surrogates, line breaks that are none."""
_NEEDED = frozenset("\n\t\u200c\u200d")
"""Of those, what scripts and emoji need: the joiners."""
_COLOURS = re.compile(r"\x1b\[[0-9;:?]*[ -/]*[@-~]")
"""Of a terminal, as servers colour their logs."""


def text(value: object, limit: int = LONGEST) -> str:
    """Escaped for HTML, shortened, and with what is hidden in it spelt out."""
    return escape(spelt(shortened(str(value), limit)))


def brief(value: object) -> str:
    """As ``text``, of what has a cell of a table for itself."""
    return text(value, QUOTED)


def quoted(value: object) -> str:
    """Somebody else's words, set apart: their direction of writing ends with them."""
    return f"<bdi>\u201c{brief(value)}\u201d</bdi>"


def shortened(words: str, limit: int) -> str:
    left_out = len(words) - limit
    return words if left_out <= 0 else f"{words[:limit]}\u2026 ({left_out} more characters)"


def spelt(words: str) -> str:
    r"""``\x1b`` for an escape character, ``\u202e`` for one that turns round what follows."""
    return "".join(map(_spelt, words))


def uncoloured(line: str) -> str:
    """A line of a log, as a terminal would show it but for its colours."""
    return _COLOURS.sub("", line)


def _spelt(letter: str) -> str:
    if letter in _NEEDED or unicodedata.category(letter) not in _HIDDEN:
        return letter
    code = ord(letter)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
