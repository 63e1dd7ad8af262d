"""Asking after what goes on in a cluster by itself, through minutes without an answer."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from steps.errors import StepError, Transient
from steps.ports.clock import Clock

PAUSE_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 15.0
PATIENCE_SECONDS = 600.0
"""Without an answer, until asking is given up: a control plane that is upgraded is away for minutes."""

T = TypeVar("T")


class OutOfSight(Exception):
    """Nobody can be asked any more how it goes: no answer for so long, a login that ended; it may well go on."""


@dataclass(frozen=True)
class Patience:
    """``what`` is asked after; ``note`` is told, for a person, that nobody answers and that somebody does again."""

    what: str
    clock: Clock
    note: Callable[[str], None]
    seconds: float = PATIENCE_SECONDS

    def ask(self, question: Callable[[], T]) -> T:
        """Its answer, once there is one. Raises OutOfSight."""
        began, pause, told = self.clock.now(), PAUSE_SECONDS, False
        while True:
            try:
                answer = question()
            except Transient as err:
                if self.clock.now() - began > self.seconds:
                    raise OutOfSight(str(err)) from err
                if not told:
                    self.note(f"out of sight: {err}; {self.what} itself goes on, looking for it again")
                told = True
                self.clock.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
            except StepError as err:  # a login that has ended, a right that was taken away, a proxy's login page
                raise OutOfSight(str(err)) from err
            else:
                if told:
                    self.note("in sight again")
                return answer
