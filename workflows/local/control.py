"""What the user wants of a run that is under way."""

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

    wish: Wish = Wish.GO_ON
