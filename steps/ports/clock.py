"""Time, as the steps see it."""

from typing import Protocol


class Clock(Protocol):
    """Time, so that tests need not wait."""

    def now(self) -> float:
        """Seconds since the epoch: deadlines are compared between processes."""
        ...

    def sleep(self, seconds: float) -> None: ...
