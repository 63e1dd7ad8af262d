"""What README and OPERATIONS tell people to type on a cluster: the lines of their ``sh`` blocks."""

import re
from dataclasses import dataclass

from tests.stubs.machine import REPOSITORY

TEXT = "\n".join((REPOSITORY / name).read_text(encoding="utf-8") for name in ("README.md", "OPERATIONS.md"))
_PARTS = re.compile(r"^#{2,3} ([^\n]+)$|^ *```sh\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class Line:
    """One command, and the heading that it is under."""

    heading: str
    typed: str


def lines(text: str = TEXT) -> tuple[Line, ...]:
    """In the order in which they are to be typed."""
    found: list[Line] = []
    heading = ""
    for title, block in _PARTS.findall(text):
        heading = title or heading
        found += (Line(heading, line.strip()) for line in block.splitlines() if line.strip())
    return tuple(found)
