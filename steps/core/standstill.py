"""A step whose pod does not start: nothing ends it, no deadline counts, and its run keeps others from their turn.

What keeps it is told in Kubernetes' words, as Argo passes them on; the reason alone, its first word, is decided by.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from steps.core.amounts import seconds
from steps.core.run import Run

Kind = Literal["image", "configuration", "node", "refused", "unknown"]
SILENT_SECONDS = 300.0
"""A pod that says nothing pulls its image, or waits for a volume: so long is out of the ordinary."""
LASTING_SECONDS = 3600.0
"""What has lasted so long does not pass by itself."""
_KINDS: dict[str, Kind] = {
    "ErrImagePull": "image",
    "ImagePullBackOff": "image",
    "InvalidImageName": "image",
    "ErrImageNeverPull": "image",
    "CreateContainerConfigError": "configuration",
    "CreateContainerError": "configuration",
    "Unschedulable": "node",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Standstill:
    """``said`` is empty where nobody tells what keeps it."""

    step: str
    on_exit: bool
    kind: Kind
    said: str
    for_seconds: float

    @property
    def sentence(self) -> str:
        why = self.said or "nobody says why"
        return f"its step {self.step} has not started for {seconds(self.for_seconds)}: {why}"


def standstills(run: Run, now: float) -> Iterator[Standstill]:
    """Of each step whose newest pod does not start: at once where that is said, else when it has lasted."""
    for node in run.nodes:
        if not node.attempts or (newest := node.attempts[-1]).phase != "Pending":
            continue
        lasted = max(now - (newest.started or run.started), 0.0)
        if newest.message or lasted >= SILENT_SECONDS:
            yield Standstill(
                step=node.name,
                on_exit=node.on_exit,
                kind=_kind(newest.message),
                said=newest.message,
                for_seconds=lasted,
            )


def lasting(run: Run, now: float) -> Standstill | None:
    """One that will not pass by itself; None where there is none."""
    return next((s for s in standstills(run, now) if s.for_seconds >= LASTING_SECONDS), None)


def _kind(said: str) -> Kind:
    reason = said.partition(":")[0]
    return "refused" if reason.endswith(" is forbidden") else _KINDS.get(reason, "unknown")
