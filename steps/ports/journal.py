"""What the engine knows of its runs, as the steps see it."""

from typing import Protocol

from steps.core.run import Run


class Journal(Protocol):
    """What the engine knows of a run: for the report, which is a step of that run."""

    def run(self, name: str) -> Run | None:
        """None where the engine no longer has it."""
        ...
