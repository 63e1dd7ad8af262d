"""Names of runs, made where they are asked for: who does not hear whether a run was begun can still look for it."""

import secrets
from datetime import UTC, datetime


def run_name(verb: str) -> str:
    """A new one: ``promote-20261122-030405-ab12``, UTC."""
    return f"{verb}-{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"
