"""When a clock starts something: cron's words and time zones, checked before a cluster is asked.

As Kubernetes and Argo read them, both by robfig/cron v3, ``ParseStandard``: five fields, or a word that begins with @.
"""

import re
import zoneinfo
from dataclasses import dataclass

MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
EXAMPLE = "as in '0 3 * * *'"
WORDS = ("@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly")
ITEM = re.compile(r"(?P<first>[*?]|\w+)(-(?P<last>\w+))?(/(?P<step>\d+))?", re.ASCII)
ALWAYS_THERE = "UTC"


@dataclass(frozen=True, slots=True)
class Field:
    """``names`` stand for ``low`` and the numbers after it."""

    what: str
    low: int
    high: int
    names: tuple[str, ...] = ()

    def number(self, word: str) -> int | None:
        """None for what is none, or out of range."""
        named = {name: self.low + n for n, name in enumerate(self.names)}
        found = named.get(word.lower(), int(word) if word.isdecimal() else None)
        return found if found is not None and self.low <= found <= self.high else None

    def takes(self, item: str) -> bool:
        """One of those between commas."""
        if not (seen := ITEM.fullmatch(item)) or seen["step"] == "0":
            return False
        if seen["first"] in "*?":
            return seen["last"] is None
        first, last = self.number(seen["first"]), self.number(seen["last"] or seen["first"])
        return first is not None and last is not None and first <= last


FIELDS = (
    Field("minute", 0, 59),
    Field("hour", 0, 23),
    Field("day of the month", 1, 31),
    Field("month", 1, 12, MONTHS),
    Field("day of the week", 0, 6, DAYS),
)


def check_schedule(text: str) -> str:
    """Raises ValueError naming the field that cannot be."""
    if text in WORDS:
        return text
    words = text.split()
    if len(words) != len(FIELDS):
        raise ValueError(f"a schedule has five fields ({', '.join(f.what for f in FIELDS)}), {EXAMPLE}")
    for field, word in zip(FIELDS, words, strict=True):
        if not all(field.takes(item) for item in word.split(",")):
            can_be = f"{field.low} to {field.high} can be"
            raise ValueError(f"its {field.what} is {word!r}, where {can_be}, {EXAMPLE}")
    return text


def check_timezone(name: str) -> str:
    """As far as this machine knows time zones. Raises ValueError."""
    known = zoneinfo.available_timezones()
    if known - {ALWAYS_THERE} and name not in known:
        raise ValueError("no time zone has this name; it is written as in 'Europe/Berlin' or 'Etc/UTC'")
    return name
