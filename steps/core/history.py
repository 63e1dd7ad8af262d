"""The history of a deployment: one entry for each run that ended, but for those that found their release live.

An entry is written once and never changed, at ``Layout.history`` under the time its run ended.
"""

import json
from dataclasses import MISSING, asdict, dataclass, fields
from typing import Any

from steps.core import canonical
from steps.errors import Corrupt


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """``release_id`` and ``commit`` are None where the run ended before they were known."""

    run: str
    deployment: str
    release_id: str | None
    model: str
    commit: str | None
    outcome: str
    at: str
    """UTC, ``2026-11-22T03:04:05Z``."""
    outage_seconds: float | None
    startup_seconds: float | None
    message: str
    """Why it did not end well, empty where it did."""
    previous: str | None
    """The rollback target from then on."""
    by_hand: bool = False
    """A rollback that a person asked for: one that ends well is ``promoted`` as well."""

    @property
    def words(self) -> str:
        """The outcome as people call it."""
        return "rolled back by hand" if self.by_hand and self.outcome == "promoted" else self.outcome

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    def dump(self) -> bytes:
        return canonical.dump(self.to_json())


def parse(body: bytes, where: str) -> Entry:
    """Raises Corrupt, naming ``where``. What a later program adds is passed over; an earlier one may say less."""
    try:
        value = json.loads(body)
        return Entry(**{f.name: value[f.name] for f in fields(Entry) if f.default is MISSING or f.name in value})
    except (ValueError, KeyError, TypeError) as err:
        raise Corrupt(f"{where} is no entry of a history: {err!r}; see who wrote it") from err
