"""Waiting for something that comes true by itself."""

import time
from collections.abc import Callable

from steps.errors import StepError, Transient

SECONDS = 120.0
EVERY_SECONDS = 0.2


def until(
    what: str, holds: Callable[[], bool], *, meanwhile: Callable[[], object] = lambda: None, seconds: float = SECONDS
) -> None:
    """Return once it holds; that it cannot be asked yet is no failure. Raises Transient, or what ``meanwhile`` does."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            if holds():
                return
            why = "not yet"
        except (OSError, StepError) as err:
            why = str(err)
        meanwhile()
        if time.monotonic() > deadline:
            raise Transient(f"after {seconds:g} s it does not hold that {what}: {why}")
        time.sleep(EVERY_SECONDS)
