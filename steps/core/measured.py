"""What a smoke test has measured of a release that passed it. It is kept with the release, for the tests that follow.

the fingerprint   the first one, for ever: later tests of the same release are held against it, not against each
                  other, so that many small changes add up
the speed         the last one: what a release that shall take its place is held against
"""

import json
from dataclasses import dataclass, replace

from steps.core import canonical, fingerprint
from steps.core.fingerprint import Fingerprint
from steps.errors import Corrupt


@dataclass(frozen=True, kw_only=True, slots=True)
class Measured:
    """``at`` is when, in seconds since the epoch, ``fingerprinted`` when the fingerprint was taken. None: not seen."""

    at: float
    first_token_seconds: float | None = None
    tokens_per_second: float | None = None
    fingerprint: Fingerprint | None = None
    fingerprinted: float | None = None

    def dump(self) -> str:
        prints = self.fingerprint.to_json() if self.fingerprint else None
        return canonical.dump(
            {
                "at": self.at,
                "first_token_seconds": self.first_token_seconds,
                "tokens_per_second": self.tokens_per_second,
                "fingerprint": prints,
                "fingerprinted": self.fingerprinted,
                "prompt": fingerprint.PROMPT,
            }
        ).decode()


def parse(text: str, where: str) -> Measured:
    """A fingerprint of another prompt is none. Raises Corrupt, naming ``where``."""
    try:
        value = json.loads(text)
        prints = value["fingerprint"] if value["prompt"] == fingerprint.PROMPT else None
        return Measured(
            at=float(value["at"]),
            first_token_seconds=_number(value["first_token_seconds"]),
            tokens_per_second=_number(value["tokens_per_second"]),
            fingerprint=fingerprint.from_json(prints) if prints else None,
            fingerprinted=_number(value["fingerprinted"]) if prints else None,
        )
    except (ValueError, KeyError, TypeError) as err:
        raise Corrupt(f"{where} is not what a smoke test measures: {err!r}; see who wrote it") from err


def latest(before: Measured | None, now: Measured) -> Measured:
    """What is kept from now on."""
    if before is None or before.fingerprint is None:
        return now
    return replace(now, fingerprint=before.fingerprint, fingerprinted=before.fingerprinted)


def _number(value: object) -> float | None:
    if value is not None and not isinstance(value, int | float):
        raise TypeError(f"{value!r} is no number")
    return value
