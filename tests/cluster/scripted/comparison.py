"""Whether both engines did the same, as far as anybody can tell who reads a run.

They differ on purpose in what is named here, in nothing else that a run tells, and in three things beside it:
- A step that fails for good is at its end in Argo after the wait that would have come; here at once.
- A run that is stopped while it waits for its mutex runs its exit handler in Argo when its turn has come; here it ends.
- A step that takes no notice of Stop runs on in Argo beside the exit handler; here it is killed before that begins.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from steps.core.run import Node, Run
from tests.cluster.scripted.scenario import Scenario, sentences

Tried = tuple[str, int | None, str]
"""An attempt's phase, exit code and its step's own sentence; what an engine says of it is the engine's affair."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A node as it is compared. Outputs of one that did not succeed are nobody's business."""

    phase: str
    attempts: tuple[Tried, ...]
    outputs: Mapping[str, str]
    on_exit: bool

    def __str__(self) -> str:
        return f"{self.phase} {list(self.attempts)} {dict(self.outputs)}"


def differences(scenario: Scenario, argo: Iterable[Run], local: Iterable[Run]) -> list[str]:
    """A line for each; life by life."""
    found: list[str] = []
    for life, (theirs, ours) in enumerate(zip(argo, of_each_life(local), strict=True)):
        left, right = _seen(theirs, scenario), _seen(ours, scenario)
        if theirs.phase != ours.phase:
            found.append(f"life {life}: the run is {theirs.phase} in Argo and {ours.phase} here")
        found += [
            f"life {life}: {name} is in Argo\n  {left.get(name)}\nand here\n  {right.get(name)}"
            for name in sorted(left.keys() | right.keys())
            if left.get(name) != right.get(name)
        ]
    return found


def of_each_life(runs: Iterable[Run]) -> Iterable[Run]:
    """A retry in Argo forgets the attempts of what is done anew; here they stay, because their logs do."""
    before: Run | None = None
    for run in runs:
        yield replace(
            run, nodes=tuple(_forgetful(node, before.node(node.name) if before else None) for node in run.nodes)
        )
        before = run


def _forgetful(node: Node, before: Node | None) -> Node:
    if before is None or (not node.on_exit and before.phase in ("Succeeded", "Skipped")):
        return node
    return replace(node, attempts=node.attempts[len(before.attempts) :])


def cut_short(scenario: Scenario, node: Node) -> bool:
    """By Stop or Terminate. Argo writes that down before the step has ended: whether it then learns of exit code and
    sentence is left to chance. A step that takes no notice runs on there, and is killed here.
    """
    deed = scenario.interruption
    return deed is not None and deed.deed != "delete pod" and _is_of(node, deed.step) and node.phase == "Failed"


def loses_its_pod(scenario: Scenario, node: Node) -> bool:
    """To somebody who deletes it. Argo sees the step end, Failed with its code, or a pod gone, an Error: by chance."""
    deed = scenario.interruption
    return deed is not None and deed.deed == "delete pod" and _is_of(node, deed.step)


def _is_of(node: Node, step: str) -> bool:
    """Of a step that is done several times each node."""
    return node.name == step or node.name.startswith(f"{step}(")


def _seen(run: Run, scenario: Scenario) -> dict[str, Seen]:
    return {node.name: _node(node, scenario) for node in run.nodes}


def _node(node: Node, scenario: Scenario) -> Seen:
    own = sentences(scenario)
    outputs = dict(node.outputs) if node.phase == "Succeeded" else {}
    attempts = [(a.phase, a.exit_code, a.message if a.message in own else "") for a in node.attempts]
    if attempts and cut_short(scenario, node):
        attempts[-1] = (node.phase, None, "")
    if attempts and loses_its_pod(scenario, node) and attempts[0][0] in ("Failed", "Error"):
        attempts[0] = ("Failed", None, "")
    return Seen(node.phase, tuple(attempts), outputs, node.on_exit)
