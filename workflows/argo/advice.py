"""What a person who follows a run can do about a step whose pod does not start, told as soon as that is known."""

from collections.abc import Callable
from dataclasses import dataclass, field

from steps.contracts import ALL
from steps.core import argo, labels
from steps.core.run import Run
from steps.core.standstill import Standstill, standstills
from steps.ports.clock import Clock
from workflows.checkout import typed

_IMAGES = {step.name: step.image for step in ALL}


@dataclass
class Adviser:
    """Of one run. ``note`` is told each remedy once."""

    run: str
    namespace: str
    clock: Clock
    note: Callable[[str], None]
    _told: set[tuple[str, str]] = field(default_factory=set)

    def look(self, run: Run) -> None:
        for found in standstills(run, self.clock.now()):
            if (found.step, found.kind) not in self._told:
                self._told.add((found.step, found.kind))
                self.note(remedy(found, self.run, self.namespace))


def remedy(found: Standstill, run: str, namespace: str) -> str:
    """A sentence: what is wrong, how to mend it, how to end the run instead."""
    step = found.step
    mended, again = "and it starts by itself", f"or end the run with `{_end(found, run)}`"
    match found.kind:
        case "image":
            setting = f"{_IMAGES.get(step, 'transfer')}_image"
            return (
                f"{step} cannot start, as an image cannot be had: push it, or give its registry's Secret in "
                f"image_pull_secrets, {mended}; where {setting} names a wrong one, mend it, run "
                f"`{typed('workflows.install')}`, end the run with `{_end(found, run)}`, as it keeps what it began "
                f"with, and start a new one"
            )
        case "configuration":
            return f"{step} cannot start: make what the line above names, {mended}; {again}"
        case "node":
            return f"{step} cannot start, as no node takes it: free or add what the line above names, {mended}; {again}"
        case "refused":
            return f"{step} cannot start, as the cluster refuses its pod: raise that quota, {mended}; {again}"
    of = f"{argo.RUN}={run},{labels.COMPONENT}={step}"
    look = f"kubectl --namespace {namespace} describe pods --selector {of}"
    return f"{step} does not start, and its events say why: `{look}`; mend that, {mended}; {again}"


def _end(found: Standstill, run: str) -> str:
    """A stopped run has steps of its own to start, in the cluster image; nothing waits for those of one that ends."""
    alone = found.on_exit or _IMAGES.get(found.step) == "cluster"
    return typed("workflows.stop", "--run", run, *(("--now",) if alone else ()))
