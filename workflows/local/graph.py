"""Which task comes next, and how a DAG ended: Argo's rules for ``depends`` and ``when``, as functions of phases.

Read in argoproj/argo-workflows v4.1.2, workflow/controller/dag.go and workflow/common/ancestry.go.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import cast

from steps.core.run import FINISHED, Phase
from steps.errors import BadInput

_TOKEN = re.compile(r"\s*(?:(?P<name>[A-Za-z0-9][\w-]*)(?:\.(?P<end>[A-Z][A-Za-z]+))?|(?P<sign>&&|\|\||[()]))")
_WHEN = re.compile(r"'([^']*)' (==|!=) '([^']*)'")
_ENDS: Mapping[str | None, frozenset[Phase]] = {
    None: frozenset({"Succeeded", "Skipped"}),
    "Succeeded": frozenset({"Succeeded"}),
    "Failed": frozenset({"Failed"}),
    "Errored": frozenset({"Error"}),
    "Skipped": frozenset({"Skipped"}),
    "Omitted": frozenset({"Omitted"}),
}
"""What ``task.End`` asks for; a bare ``task`` means that nothing went wrong with it."""
_DECIDED: frozenset[Phase] = frozenset({"Succeeded", "Failed", "Error"})


@dataclass(frozen=True, slots=True)
class Ended:
    task: str
    phases: frozenset[Phase]


@dataclass(frozen=True, slots=True)
class Every:
    parts: tuple["Expression", ...]


@dataclass(frozen=True, slots=True)
class Either:
    parts: tuple["Expression", ...]


Expression = Ended | Every | Either
ALWAYS = Every(())


@dataclass(frozen=True, slots=True)
class Condition:
    """``when``: equality of two texts. Each is filled in after it was parsed, so no value can change the question."""

    left: str
    equal: bool
    right: str

    def holds(self, left: str, right: str) -> bool:
        """For the two sides with their references filled in."""
        return (left == right) is self.equal


@dataclass(frozen=True, slots=True)
class Graph:
    """``depends`` by task, in the order of the template."""

    depends: Mapping[str, Expression]

    def due(self, phases: Mapping[str, Phase]) -> dict[str, bool]:
        """Pending tasks whose dependencies have all ended, each with whether it runs; it is omitted otherwise."""
        ready = (
            (task, expression)
            for task, expression in self.depends.items()
            if phases[task] == "Pending" and all(phases[name] in FINISHED for name in names(expression))
        )
        return {task: holds(expression, phases) for task, expression in ready}

    def outcome(self, phases: Mapping[str, Phase]) -> Phase:
        """The phase of a DAG whose tasks have all ended.

        Its leaves decide. A leaf that did not run stands for what it would have followed: so a failure that nobody
        handled fails the DAG, and one that a later task took care of does not.
        """
        above = {name for expression in self.depends.values() for name in names(expression)}
        leaves = [self._branch(task, phases) for task in sorted(self.depends) if task not in above]
        return next((phase for phase in leaves if phase != "Succeeded"), "Succeeded")

    def below(self, tasks: Iterable[str]) -> frozenset[str]:
        """The tasks, and all that directly or indirectly wait for them."""
        found = set(tasks)
        while more := {t for t, e in self.depends.items() if t not in found and found.intersection(names(e))}:
            found |= more
        return frozenset(found)

    def _branch(self, task: str, phases: Mapping[str, Phase]) -> Phase:
        if phases[task] in _DECIDED:
            return phases[task]
        parents = [self._branch(name, phases) for name in sorted(names(self.depends[task]))]
        return next((phase for phase in parents if phase != "Succeeded"), "Succeeded")


def build(depends: Mapping[str, str]) -> Graph:
    """Raises BadInput for what does not parse, names no task, or goes in a circle."""
    graph = Graph({task: parse(text) for task, text in depends.items()})
    for task, expression in graph.depends.items():
        if unknown := [name for name in names(expression) if name not in depends]:
            raise BadInput(f"task {task} depends on {unknown[0]}, which is not a task of its DAG; mend the template")
        if task in graph.below(t for t, e in graph.depends.items() if task in names(e)):
            raise BadInput(f"task {task} waits for itself; mend the template")
    return graph


def parse(depends: str) -> Expression:
    """``a && (b.Succeeded || b.Skipped)``; empty: no condition. Raises BadInput for anything else."""
    if not depends.strip():
        return ALWAYS
    tokens = _tokens(depends)
    expression = _either(tokens, depends)
    if tokens:
        raise _unreadable(depends)
    return expression


def parse_when(when: str) -> Condition:
    """``'{{reference}}' == 'word'`` or ``!=``. Raises BadInput for anything else."""
    match = _WHEN.fullmatch(when.strip())
    if not match:
        raise BadInput(f"the local engine cannot read when: {when!r}; write 'LEFT' == 'RIGHT' or 'LEFT' != 'RIGHT'")
    return Condition(left=match[1], equal=match[2] == "==", right=match[3])


def holds(expression: Expression, phases: Mapping[str, Phase]) -> bool:
    if isinstance(expression, Ended):
        return phases[expression.task] in expression.phases
    together = all if isinstance(expression, Every) else any
    return together(holds(part, phases) for part in expression.parts)


def names(expression: Expression) -> frozenset[str]:
    """The tasks that an expression asks about."""
    if isinstance(expression, Ended):
        return frozenset({expression.task})
    return frozenset[str]().union(*(names(part) for part in expression.parts))


def _tokens(text: str) -> list[re.Match[str]]:
    found, at = [], 0
    while at < len(text.rstrip()):
        match = _TOKEN.match(text, at)
        if not match:
            raise _unreadable(text)
        found.append(match)
        at = match.end()
    return found


def _either(tokens: list[re.Match[str]], text: str) -> Expression:
    parts = [_every(tokens, text)]
    while _take(tokens, "||"):
        parts.append(_every(tokens, text))
    return parts[0] if len(parts) == 1 else Either(tuple(parts))


def _every(tokens: list[re.Match[str]], text: str) -> Expression:
    parts = [_part(tokens, text)]
    while _take(tokens, "&&"):
        parts.append(_part(tokens, text))
    return parts[0] if len(parts) == 1 else Every(tuple(parts))


def _part(tokens: list[re.Match[str]], text: str) -> Expression:
    if _take(tokens, "("):
        inner = _either(tokens, text)
        if not _take(tokens, ")"):
            raise _unreadable(text)
        return inner
    if not tokens or not tokens[0]["name"] or tokens[0]["end"] not in _ENDS:
        raise _unreadable(text)
    token = tokens.pop(0)
    return Ended(task=token["name"], phases=_ENDS[cast("str | None", token["end"])])


def _take(tokens: list[re.Match[str]], sign: str) -> bool:
    if tokens and tokens[0]["sign"] == sign:
        tokens.pop(0)
        return True
    return False


def _unreadable(text: str) -> BadInput:
    return BadInput(f"the local engine cannot read depends: {text!r}; write task or task.Succeeded, &&, || and ()")
