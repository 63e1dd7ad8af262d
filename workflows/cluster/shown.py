"""An installation's plan, as a person reads it before saying yes."""

from collections import Counter
from collections.abc import Iterable, Iterator

from workflows.cluster.plan import Action, Change

TOLD: dict[Action, str] = {"create": "to create", "change": "to change", "remove": "to remove", "keep": "as they are"}


def text(plan: Iterable[Change]) -> str:
    """What is to be done, a line an object; then each change as a diff; then the sum. What stays is only counted."""
    plan = tuple(plan)
    if all(change.action == "keep" for change in plan):
        return f"Nothing to change: {len(plan)} objects are as they should be."
    todo = [change for change in plan if change.action != "keep"]
    parts = ["\n".join(map(_line, todo)), *(_changed(change) for change in todo if change.difference), _sum(plan)]
    return "\n\n".join(filter(None, parts))


def conflicts(plan: Iterable[Change]) -> Iterator[str]:
    """A sentence each."""
    return (change.conflict for change in plan if change.conflict)


def _line(change: Change) -> str:
    minded = "  somebody else manages it: see below" if change.conflict else ""
    return f"  {change.action:<8}{change.kind.name:<23}{change.name}{minded}".rstrip()


def _changed(change: Change) -> str:
    return f"{change.kind.name} {change.name}\n{_indented(change.difference)}"


def _indented(block: str) -> str:
    return "\n".join(f"  {line}" for line in block.splitlines())


def _sum(plan: tuple[Change, ...]) -> str:
    counted = Counter(change.action for change in plan)
    return ", ".join(f"{counted[action]} {told}" for action, told in TOLD.items() if counted[action]) + "."
