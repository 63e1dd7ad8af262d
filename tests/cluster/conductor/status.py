"""A run of the local engine as Argo would write it into the Workflow: what ``steps.core.argo`` reads."""

import zlib
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from steps.clients.kube.api import Json
from steps.core.run import FINISHED, Attempt, Node, Run
from workflows.local.fanout import is_part

PHASE = "workflows.argoproj.io/phase"
COMPLETED = "workflows.argoproj.io/completed"
HANDLER = "onExit"


def change(run: Run) -> Json:
    """The merge patch that brings the Workflow up to the run."""
    done = run.phase in FINISHED
    return {
        "metadata": {"labels": {PHASE: run.phase, COMPLETED: "true" if done else "false"}},
        "status": {
            "phase": run.phase,
            "message": run.message,
            "startedAt": _time(run.started),
            "finishedAt": _time(run.finished),
            "progress": f"{sum(n.phase in FINISHED for n in run.nodes)}/{len(run.nodes)}",
            "nodes": {node["id"]: node for node in _nodes(run)},
        },
    }


def _nodes(run: Run) -> Iterator[Json]:
    begun = [n for n in run.nodes if n.phase != "Pending" or n.attempts]
    yield _dag(run, run.name, [n for n in begun if not n.on_exit])
    if handled := [n for n in begun if n.on_exit]:
        yield {**_dag(run, f"{run.name}.{HANDLER}", handled), "nodeFlag": {"hooked": True}}
    for node in begun:
        yield from _task(run, node)


def _dag(run: Run, name: str, children: list[Node]) -> Json:
    return {
        **_node(run, name, name, "DAG", phase=_of_all(children)),
        "children": [_id(run, _path(run, n)) for n in children],
    }


def _task(run: Run, node: Node) -> Iterator[Json]:
    """A Retry node and its pods, or one that stands for what did not run, or for the runs of a task for each item."""
    path = _path(run, node)
    above = {"boundaryID": _id(run, path.rpartition(".")[0]), "templateName": node.name}
    shown = {**above, **({"message": node.message} if node.message else {})}
    if not node.attempts:
        several = any(is_part(n.name, node.name) for n in run.nodes)
        yield {**_node(run, path, node.name, "TaskGroup" if several else "Skipped", phase=node.phase), **shown}
        return
    pods = [f"({number})" for number, _ in enumerate(node.attempts)]
    outputs = {"outputs": {"parameters": [{"name": k, "value": v} for k, v in node.outputs.items()]}}
    last = node.attempts[-1]
    yield {
        **_node(run, path, node.name, "Retry", phase=node.phase, started=node.attempts[0].started),
        **shown,
        **outputs,
        "finishedAt": _time(last.finished if node.phase in FINISHED else None),
        "children": [_id(run, path + pod) for pod in pods],
    }
    for pod, attempt in zip(pods, node.attempts, strict=True):
        told = outputs if attempt.phase == "Succeeded" else {"outputs": {}}
        yield {
            **_pod(run, path + pod, node.name + pod, attempt),
            **above,
            "outputs": {**told["outputs"], **_exit_code(attempt)},
            **({"progress": node.progress} if node.progress else {}),
        }


def _pod(run: Run, name: str, shown: str, attempt: Attempt) -> Json:
    node = _node(run, name, shown, "Pod", phase=attempt.phase, started=attempt.started)
    node |= {"finishedAt": _time(attempt.finished), "nodeFlag": {"retried": True}}
    return {**node, "message": _message(attempt)} if attempt.message else node


def _message(attempt: Attempt) -> str:
    """Argo puts this before what the container itself left; not before its own words."""
    if not attempt.exit_code or attempt.phase != "Failed" or attempt.message.startswith("workflow shutdown"):
        return attempt.message
    return f"main: Error (exit code {attempt.exit_code}): {attempt.message}"


def _exit_code(attempt: Attempt) -> Mapping[str, str]:
    return {} if attempt.exit_code is None else {"exitCode": str(attempt.exit_code)}


def _node(run: Run, name: str, shown: str, kind: str, *, phase: str, started: float | None = None) -> dict[str, Any]:
    return {
        "id": _id(run, name),
        "name": name,
        "displayName": shown,
        "type": kind,
        "phase": phase,
        "startedAt": _time(started or run.started),
        "templateScope": f"local/{run.template}",
    }


def _of_all(nodes: list[Node]) -> str:
    phases = {n.phase for n in nodes}
    if not phases <= FINISHED:
        return "Running"
    return next((phase for phase in ("Error", "Failed") if phase in phases), "Succeeded")


def _path(run: Run, node: Node) -> str:
    return f"{run.name}.{HANDLER}.{node.name}" if node.on_exit else f"{run.name}.{node.name}"


def _id(run: Run, name: str) -> str:
    return run.name if name == run.name else f"{run.name}-{zlib.crc32(name.encode())}"


def _time(seconds: float | None) -> str | None:
    """RFC 3339 to the second, as Argo writes it."""
    return None if seconds is None else f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%SZ}"
