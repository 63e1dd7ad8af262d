"""A compiled WorkflowTemplate as values: what of it the local engine carries out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from steps.errors import BadInput
from workflows.local import fields, graph, references, retry
from workflows.local.graph import Condition, Graph
from workflows.local.retry import Retry


@dataclass(frozen=True, kw_only=True, slots=True)
class Output:
    """A file that a step leaves in its output directory. Without a default, its absence is an error."""

    name: str
    file: str
    default: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Variable:
    """One environment variable: a ``value``, or the ``key`` of a Secret."""

    name: str
    value: str = ""
    secret: str | None = None
    key: str = ""
    optional: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Bundle:
    """All keys of a ConfigMap or a Secret as environment variables."""

    name: str
    secret: bool
    optional: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Program:
    """A container template. ``inputs`` holds defaults by name, None where there is none."""

    name: str
    command: tuple[str, ...]
    args: tuple[str, ...]
    inputs: Mapping[str, str | None]
    outputs: tuple[Output, ...]
    variables: tuple[Variable, ...]
    bundles: tuple[Bundle, ...]
    retry: Retry | None
    deadline_seconds: float | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Task:
    name: str
    program: Program
    arguments: Mapping[str, str]
    when: Condition | None
    items: str = ""
    """A JSON list, once it is filled in: the task is done for each of them. Empty: once."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Dag:
    """``tasks`` by name, in the order of the template."""

    tasks: Mapping[str, Task]
    graph: Graph


@dataclass(frozen=True, kw_only=True, slots=True)
class Workflow:
    """``parameters`` holds the template's own values, None where a run must give one."""

    name: str
    parameters: Mapping[str, str | None]
    mutexes: tuple[str, ...]
    main: Dag
    on_exit: Dag | None


def parse(manifest: Mapping[str, Any]) -> Workflow:
    """Raises BadInput for a field, an expression, a reference or a name that the engine does not know."""
    fields.check(manifest)
    try:
        references.check(manifest)
        return _workflow(manifest["metadata"]["name"], manifest["spec"])
    except (KeyError, TypeError, ValueError) as err:
        raise BadInput(f"this is not a WorkflowTemplate that the local engine can run: {err!r}; mend it") from err


def _workflow(name: str, spec: Mapping[str, Any]) -> Workflow:
    programs = {t["name"]: _program(t) for t in spec["templates"] if "container" in t}
    dags = {t["name"]: _dag(t["dag"]["tasks"], programs) for t in spec["templates"] if "dag" in t}
    if unknown := {spec["entrypoint"], spec.get("onExit", spec["entrypoint"])} - set(dags):
        raise BadInput(f"{name} has no DAG {min(unknown)} to run; mend the template")
    workflow = Workflow(
        name=name,
        parameters={p["name"]: p.get("value") for p in _parameters(spec.get("arguments"))},
        mutexes=tuple(m["name"] for m in spec.get("synchronization", {}).get("mutexes", ())),
        main=dags[spec["entrypoint"]],
        on_exit=dags[spec["onExit"]] if "onExit" in spec else None,
    )
    if workflow.on_exit and (twice := set(workflow.main.tasks) & set(workflow.on_exit.tasks)):
        raise BadInput(f"{min(twice)} is a task of {name} and of its exit handler; give it another name")
    return workflow


def _program(template: Mapping[str, Any]) -> Program:
    container = template["container"]
    deadline, strategy = template.get("activeDeadlineSeconds"), template.get("retryStrategy")
    return Program(
        name=template["name"],
        command=tuple(container["command"]),
        args=tuple(container.get("args", ())),
        inputs={p["name"]: p.get("default") for p in _parameters(template.get("inputs"))},
        outputs=tuple(_output(p) for p in _parameters(template.get("outputs"))),
        variables=tuple(_variable(v) for v in container.get("env", ())),
        bundles=tuple(_bundle(b) for b in container.get("envFrom", ())),
        retry=None if strategy is None else retry.parse(strategy),
        deadline_seconds=None if deadline is None else float(deadline),
    )


def _dag(tasks: Sequence[Mapping[str, Any]], programs: Mapping[str, Program]) -> Dag:
    for task in tasks:
        if task["template"] not in programs:
            raise BadInput(f"task {task['name']} calls {task['template']}, which is no container; mend the template")
    several = [t["name"] for t in tasks if "withParam" in t]
    for text in (text for _, text in fields.leaves(tasks) if isinstance(text, str)):
        if asked := [name for name in several if f"tasks.{name}.outputs" in text]:
            raise BadInput(
                f"{asked[0]} is done several times, and the local engine does not gather its outputs: {text}"
            )
    return Dag(
        tasks={t["name"]: _task(t, programs[t["template"]]) for t in tasks},
        graph=graph.build({t["name"]: t.get("depends", "") for t in tasks}),
    )


def _task(task: Mapping[str, Any], program: Program) -> Task:
    arguments = {p["name"]: p["value"] for p in _parameters(task.get("arguments"))}
    if unknown := set(arguments) - set(program.inputs):
        raise BadInput(f"task {task['name']} gives {min(unknown)}, which {program.name} does not take")
    when = graph.parse_when(task["when"]) if "when" in task else None
    return Task(name=task["name"], program=program, arguments=arguments, when=when, items=task.get("withParam", ""))


def _output(parameter: Mapping[str, Any]) -> Output:
    source = parameter["valueFrom"]
    # Where the file lies in a pod is the pod's business; here each attempt has a directory of its own.
    return Output(name=parameter["name"], file=PurePosixPath(source["path"]).name, default=source.get("default"))


def _variable(variable: Mapping[str, Any]) -> Variable:
    if "valueFrom" not in variable:
        return Variable(name=variable["name"], value=variable.get("value", ""))
    ref = variable["valueFrom"]["secretKeyRef"]
    return Variable(name=variable["name"], secret=ref["name"], key=ref["key"], optional=ref.get("optional", False))


def _bundle(source: Mapping[str, Any]) -> Bundle:
    ref = source.get("configMapRef") or source["secretRef"]
    return Bundle(name=ref["name"], secret="secretRef" in source, optional=ref.get("optional", False))


def _parameters(holder: Mapping[str, Any] | None) -> Sequence[Mapping[str, Any]]:
    found: Sequence[Mapping[str, Any]] = (holder or {}).get("parameters", ())
    return found
