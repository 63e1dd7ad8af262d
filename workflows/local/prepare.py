"""A run before anything of it is done: a new one, or one that is to be done again where it failed."""

from collections.abc import Mapping
from dataclasses import replace

from steps.core.run import Attempt, Node, Run
from steps.errors import BadInput
from workflows.local.fanout import is_part
from workflows.local.spec import Workflow


def new(workflow: Workflow, parameters: Mapping[str, str], name: str, now: float, uid: str = "") -> Run:
    """All nodes pending; its uid is its name unless given.

    Raises BadInput for a parameter that is missing, unknown or no text.
    """
    tasks = _tasks(workflow)
    return Run(
        name=name,
        uid=uid or name,
        template=workflow.name,
        parameters=_checked(workflow, parameters),
        phase="Pending",
        started=now,
        nodes=tuple(Node(name=task, on_exit=on_exit) for task, on_exit in tasks.items()),
    )


def again(workflow: Workflow, run: Run, now: float) -> Run:
    """What succeeded and what needed not be done stays as it is; all else, and the exit handler, is pending.

    Of a task that is done several times those runs that succeeded stay too.

    Raises BadInput for a run that succeeded, or that is of another template.
    """
    if run.template != workflow.name:
        raise BadInput(f"run {run.name} is one of {run.template}, not of {workflow.name}; name another run")
    if run.phase == "Succeeded":
        raise BadInput(f"run {run.name} succeeded: there is nothing to retry; start a new one")
    redone = _redone(workflow, run)
    nodes: list[Node] = []
    for task, on_exit in _tasks(workflow).items():
        own, parts = run.node(task) or Node(name=task), [n for n in run.nodes if is_part(n.name, task)]
        if on_exit or task in redone:
            own = _pending(own, on_exit=on_exit)
            parts = [p if p.phase == "Succeeded" else _pending(p, on_exit=on_exit) for p in parts]
        nodes += [own, *parts]
    parameters = _checked(workflow, run.parameters)
    return replace(
        run, parameters=parameters, phase="Pending", started=now, finished=None, message="", nodes=tuple(nodes)
    )


def _tasks(workflow: Workflow) -> dict[str, bool]:
    """Every task, with whether it is one of the exit handler's."""
    return dict.fromkeys(workflow.main.tasks, False) | dict.fromkeys(
        workflow.on_exit.tasks if workflow.on_exit else (), True
    )


def _redone(workflow: Workflow, run: Run) -> frozenset[str]:
    kept = {node.name for node in run.nodes if node.phase in ("Succeeded", "Skipped")}
    return workflow.main.graph.below(set(workflow.main.tasks) - kept)


def _checked(workflow: Workflow, parameters: Mapping[str, str]) -> dict[str, str]:
    known = workflow.parameters
    if unknown := sorted(set(parameters) - set(known)):
        raise BadInput(f"{workflow.name} has no parameter {unknown[0]}; it has {', '.join(known)}")
    values = {name: parameters.get(name, value) for name, value in known.items()}
    if bad := [name for name, value in values.items() if not isinstance(value, str) or "\0" in value]:
        raise BadInput(f"parameter {bad[0]} of {workflow.name} needs a text; give it one")
    return {name: value for name, value in values.items() if value is not None}


def _pending(node: Node, *, on_exit: bool) -> Node:
    """The node before it is done again. Its attempts stay: their logs do too, and numbers go on."""
    return Node(name=node.name, attempts=tuple(_over(a) for a in node.attempts), on_exit=on_exit)


def _over(attempt: Attempt) -> Attempt:
    """An attempt that ran when its engine was killed was lost with it."""
    if attempt.phase != "Running":
        return attempt
    return replace(attempt, phase="Error", message="the engine was killed while this attempt ran; it ended unseen")
