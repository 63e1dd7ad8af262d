"""Promotions that are under way, and how another one is begun, as the steps see it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Unfinished:
    """``standstill`` is a sentence where it does not go on by itself: a step's pod that does not start."""

    run: str
    standstill: str = ""


class Runs(Protocol):
    """Of one namespace. Any method may raise Transient, or Missing: no right to do it."""

    def unfinished(self) -> Mapping[str, Unfinished]:
        """By deployment: promotions and rollbacks that have not ended, and those that wait for their turn."""
        ...

    def promote(self, name: str, parameters: Mapping[str, str], labels: Mapping[str, str]) -> bool:
        """Whether it is under way now: begun, or by a run of this name before; False where that one has ended.

        Raises BadInput.
        """
        ...
