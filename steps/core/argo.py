"""Argo's Workflow objects: what one asks for, and what one tells of its run.

How a run is read off its nodes was observed on Argo v4.1.2: a task has a node ``RUN.TASK``, one of the exit handler
``RUN.onExit.TASK``; an attempt is a pod's node ``RUN.TASK(N)``; a task that was not begun may have no node at all. One
that is done for each item of a list has a TaskGroup, and a node ``RUN.TASK(N:ITEM)`` for each; of these one alone, or
where none is to be done, is told as the task itself.
"""

import base64
import binascii
import gzip
import json
import re
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from itertools import count
from typing import Any

from steps.core import argo_words
from steps.core.installed import PROMOTE_TEMPLATE, ROLLBACK_TEMPLATE
from steps.core.run import FINISHED, Attempt, Node, Phase, Run, together
from steps.errors import Corrupt, Missing

Json = dict[str, Any]
API_VERSION = "argoproj.io/v1alpha1"
UNFINISHED = "workflows.argoproj.io/completed!=true"
"""Selector: the controller labels a Workflow when it has ended, by itself or stopped."""
RUN = "workflows.argoproj.io/workflow"
"""Label of a pod: the name of its run."""
OURS = (PROMOTE_TEMPLATE, ROLLBACK_TEMPLATE)
"""Templates whose runs change what serves."""


def workflow(
    template: str,
    parameters: Mapping[str, str],
    *,
    name: str | None = None,
    generate_name: str | None = None,
    labels: Mapping[str, str] = {},
) -> Json:
    """A run to be: everything but the parameters is the WorkflowTemplate's."""
    named = {"name": name} if name else {"generateName": generate_name}
    return {
        "apiVersion": API_VERSION,
        "kind": "Workflow",
        "metadata": {**named, "labels": dict(labels)},
        "spec": {
            "workflowTemplateRef": {"name": template},
            "arguments": {"parameters": [{"name": key, "value": value} for key, value in parameters.items()]},
        },
    }


def template_of(workflow: Json) -> str:
    """By what its author wrote: the controller's labels come later. Empty where it refers to none."""
    return str(workflow["spec"].get("workflowTemplateRef", {}).get("name", ""))


def is_run_of_ours(workflow: Json) -> bool:
    return template_of(workflow) in OURS


def run(workflow: Json) -> Run:
    """As the local engine would record it. Raises Missing where its nodes are kept elsewhere, Corrupt."""
    metadata, spec, status = workflow["metadata"], workflow["spec"], workflow.get("status") or {}
    stored = status.get("storedWorkflowTemplateSpec") or spec
    phase: Phase = status.get("phase") or "Pending"
    return Run(
        name=metadata["name"],
        uid=metadata["uid"],
        template=template_of(workflow),
        parameters={**_arguments(stored), **_arguments(spec)},
        phase=phase,
        started=_time(status.get("startedAt")) or _time(metadata["creationTimestamp"]) or 0.0,
        finished=_time(status.get("finishedAt")),
        message=argo_words.of_run(status),
        nodes=tuple(_nodes(metadata["name"], stored, status, shut_down="shutdown" in spec)),
    )


def is_over(run: Run) -> bool:
    """Its exit handler included."""
    return run.phase in FINISHED and run.finished is not None


def has_ended(workflow: Json) -> bool:
    """As ``is_over``, of one whose nodes need not be readable."""
    status = workflow.get("status") or {}
    return status.get("phase") in FINISHED and bool(status.get("finishedAt"))


def nodes(status: Json, run: str) -> dict[str, Json]:
    """By id, unpacked where Argo packed them because of their size. Raises Missing, Corrupt."""
    if status.get("offloadNodeStatusVersion"):
        raise Missing(f"Argo keeps the nodes of run {run} in its own database; set ARGO_SERVER to ask argo-server")
    packed = status.get("compressedNodes")
    if not packed:
        return status.get("nodes") or {}
    try:
        unpacked: dict[str, Json] = json.loads(gzip.decompress(base64.b64decode(packed)))
    except (binascii.Error, OSError, EOFError, zlib.error, ValueError) as err:
        raise Corrupt(f"the compressed nodes of run {run} cannot be unpacked: {err}; see what wrote them") from err
    return unpacked


def tasks(stored: Json) -> dict[str, bool]:
    """Every task of a workflow's spec in its order, with whether it is one of the exit handler's."""
    templates = {template["name"]: template for template in stored.get("templates", [])}

    def of(name: str | None) -> list[str]:
        return [task["name"] for task in templates.get(name, {}).get("dag", {}).get("tasks", [])]

    return dict.fromkeys(of(stored.get("entrypoint")), False) | dict.fromkeys(of(stored.get("onExit")), True)


def task_node(run: str, task: str, *, on_exit: bool) -> str:
    """The name of a task's node."""
    return f"{run}.onExit.{task}" if on_exit else f"{run}.{task}"


def part_nodes(task: str, node: Json, by_name: Mapping[str, Json]) -> list[tuple[str, Json]]:
    """Of a task that is done several times: what each run is called within the task, in order, and its node."""
    if node["type"] != "TaskGroup":
        return []
    one = re.compile(rf"{re.escape(node['name'])}(\((\d+):[^()]*\))")
    found = sorted((int(m[2]), task + m[1], by_name[name]) for name in by_name if (m := one.fullmatch(name)))
    return [(name, part) for _, name, part in found]


def attempt_nodes(node: Json, by_name: Mapping[str, Json]) -> Iterator[Json]:
    """The nodes of its pods, the first attempt first."""
    if node["type"] == "Pod":
        yield node
    for number in count():
        if (attempt := by_name.get(f"{node['name']}({number})")) is None:
            return
        yield attempt


def _nodes(run: str, stored: Json, status: Json, *, shut_down: bool) -> Iterator[Node]:
    by_name = {node["name"]: node for node in nodes(status, run).values()}
    over = bool(status.get("finishedAt"))
    stopping = shut_down and not over
    for task, on_exit in tasks(stored).items():
        node = by_name.get(task_node(run, task, on_exit=on_exit))
        if node is None:
            yield _unbegun(task, status, on_exit=on_exit)
            continue
        parts = [
            _node(name, part, list(attempt_nodes(part, by_name)), on_exit=on_exit, stopping=stopping)
            for name, part in part_nodes(task, node, by_name)
        ]
        if not parts:
            yield _node(task, node, list(attempt_nodes(node, by_name)), on_exit=on_exit, stopping=stopping)
        elif len(parts) == 1 or all(part.phase == "Skipped" for part in parts):
            yield replace(parts[0], name=task)
        else:
            yield _group(_node(task, node, [], on_exit=on_exit, stopping=stopping), parts, ending=shut_down or over)
            yield from parts


def _group(own: Node, parts: list[Node], *, ending: bool) -> Node:
    """Of a run that was stopped Argo leaves it Running, for ever: then it is as its parts have ended."""
    progress = together(part.progress for part in parts)
    if own.phase in FINISHED or not ending or not all(part.phase in FINISHED for part in parts):
        return replace(own, progress=progress)
    bad: list[Phase] = [part.phase for part in parts if part.phase not in ("Succeeded", "Skipped")]
    return replace(own, phase=bad[0] if bad else "Succeeded", progress=progress)


def _node(task: str, node: Json, pods: list[Json], *, on_exit: bool, stopping: bool) -> Node:
    """Of a run that is stopped no attempt is repeated, which Argo's own node says some seconds late."""
    cut_short = stopping and node["phase"] == "Running" and pods and pods[-1]["phase"] in FINISHED
    return Node(
        name=task,
        phase=pods[-1]["phase"] if cut_short else node["phase"],
        attempts=tuple(_attempt(number, pod, stopping=stopping) for number, pod in enumerate(pods)),
        outputs=_outputs(node),
        progress=_progress(pods[-1]) if pods else "",
        message="" if pods else argo_words.of_node(node.get("message", "")),
        on_exit=on_exit,
    )


def _unbegun(task: str, status: Json, *, on_exit: bool) -> Node:
    """Still to come, or left out by a run that is over."""
    if not status.get("finishedAt"):
        return Node(name=task, on_exit=on_exit)
    return Node(name=task, phase="Omitted", message=argo_words.of_run(status), on_exit=on_exit)


def _attempt(number: int, pod: Json, *, stopping: bool) -> Attempt:
    """Of a run that is stopped an attempt is said to have failed some seconds before it is told how it ended."""
    phase: Phase = pod["phase"]
    over = phase in FINISHED
    code = (pod.get("outputs") or {}).get("exitCode") if over else None
    said = pod.get("message", "")
    known = over and not (stopping and code is None and argo_words.is_shutdown(said))
    return Attempt(
        number=number,
        phase=phase,
        started=_time(pod.get("startedAt")) or 0.0,
        finished=_time(pod.get("finishedAt")) if known else None,
        exit_code=None if code is None else int(code),
        message=argo_words.of_attempt(said) if over else argo_words.of_waiting(said),
    )


def _outputs(node: Json) -> dict[str, str]:
    """Of a failed step Argo lists the outputs that it should have had, without values."""
    parameters = (node.get("outputs") or {}).get("parameters", [])
    return {p["name"]: p["value"] for p in parameters if p.get("value") is not None}


def _progress(pod: Json) -> str:
    """Empty as long as the step told nothing: Argo counts pods then, ``0/1``."""
    told: str = pod.get("progress", "")
    return "" if told.startswith("0/") or told == "1/1" else told


def _arguments(spec: Json) -> dict[str, str]:
    parameters = spec.get("arguments", {}).get("parameters", [])
    return {p["name"]: p["value"] for p in parameters if p.get("value") is not None}


def _time(text: str | None) -> float | None:
    return datetime.fromisoformat(text).timestamp() if text else None
