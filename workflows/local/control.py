"""What the user wants of a run that is under way."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum


class Wish(Enum):
    """Argo's words: after Stop the exit handler runs, after Terminate it does not."""

    GO_ON = ""
    STOP = "Stop"
    TERMINATE = "Terminate"

    @property
    def message(self) -> str:
        """Argo's, for the run and for the nodes that it cut short."""
        return f"Stopped with strategy '{self.value}'"


@dataclass
class Control:
    """Set by a signal handler or another thread, looked at by the engine; a plain attribute needs no lock."""

    on_wish: Callable[[Wish], None]
    wish: Wish = Wish.GO_ON
    reason: str = ""
    """Why it is stopped, where the user should be told that instead of how it went."""
    _heard: Wish = Wish.GO_ON

    @property
    def message(self) -> str:
        """For the run: the reason, else Argo's word."""
        return self.reason or self.wish.message

    def hear(self) -> Wish:
        """What is wished now. ``on_wish`` is told of it here, for a signal handler must not write."""
        wish = self.wish
        if wish is not self._heard:
            self._heard = wish
            self.on_wish(wish)
        return wish
