"""How the demo and the tour tell what they do."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from workflows.command import say


def heading(text: str) -> None:
    say(f"\n== {text}")


def fact(text: str) -> None:
    say(f"   {text}")


@contextmanager
def timed(what: str) -> Iterator[None]:
    """Tell afterwards how long it took; nothing when it failed."""
    begun = time.monotonic()
    yield
    fact(f"{what} ({time.monotonic() - begun:.1f} s)")
