"""A task that is done once for each item of a list, side by side: Argo's ``withParam``, for a list of texts.

Read in argoproj/argo-workflows v4.1.2, workflow/controller/dag.go and operator.go. A list of one is shown as the task
alone, here as well as where Argo's nodes are read.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass

from steps.core.run import FINISHED, Phase
from workflows.local.spec import Task
from workflows.local.substitute import Scope, Unresolved, fill


@dataclass(frozen=True, slots=True)
class Unit:
    """What is tried, and tried again: a task, or one of its runs. ``node`` is its node's name, ``files`` its files'."""

    node: str
    files: str
    task: Task
    item: str | None = None

    @property
    def is_part(self) -> bool:
        return self.node != self.task.name

    def scope(self, around: Scope) -> Scope:
        return around if self.item is None else {**around, "item": self.item}


def units(task: Task, scope: Scope) -> tuple[Unit, ...]:
    """Raises Unresolved for what is no list of texts."""
    if not task.items:
        return (Unit(task.name, task.name, task),)
    items = _items(fill(task.items, scope))
    if len(items) == 1:
        return (Unit(task.name, task.name, task, items[0]),)
    return tuple(Unit(_name(task.name, n, item), f"{task.name}.{n}", task, item) for n, item in enumerate(items))


def outcome(phases: Sequence[Phase]) -> Phase | None:
    """Of all runs of a task: of the last one that went wrong, None while any of them goes on."""
    if not all(phase in FINISHED for phase in phases):
        return None
    return next((phase for phase in reversed(phases) if phase in ("Failed", "Error")), "Succeeded")


def is_part(node: str, task: str) -> bool:
    return node.startswith(f"{task}(")


def _items(text: str) -> list[str]:
    try:
        items = json.loads(text)
    except ValueError as err:
        raise Unresolved(f"withParam value could not be parsed as a JSON list: {text[:80]}: {err}") from err
    if not isinstance(items, list) or not all(isinstance(item, str) for item in items):
        raise Unresolved(f"withParam must be a JSON list of texts here: {text[:80]}")
    return items


def _name(task: str, index: int, item: str) -> str:
    """As Argo calls the node."""
    return f"{task}({index}:{item.replace('(', '').replace(')', '')})"
