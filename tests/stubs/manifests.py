"""Small manifests for the local engine, each task running `tests.stubs.step`."""

from collections.abc import Mapping
from typing import Any

from workflows import argument
from workflows.bridge import EXPRESSION

Task = Mapping[str, Any]


def task(do: str = "", **fields: Any) -> Task:
    """``depends`` and ``when`` go to the task, ``arguments`` too; all else overrides its container template."""
    return {"do": do, **fields}


def manifest(tasks: Mapping[str, Task], on_exit: Mapping[str, Task] | None = None, mutex: str = "") -> dict[str, Any]:
    """A WorkflowTemplate with parameters ``p`` (required) and ``q`` (``q`` unless given)."""
    dags = {"main": tasks, **({"finish": on_exit} if on_exit else {})}
    spec: dict[str, Any] = {
        "entrypoint": "main",
        "arguments": {"parameters": [{"name": "p"}, {"name": "q", "value": "q"}]},
        "templates": [
            *({"name": name, "dag": {"tasks": [_task(n, t) for n, t in ts.items()]}} for name, ts in dags.items()),
            *(_template(n, t) for ts in dags.values() for n, t in ts.items()),
        ],
    }
    if on_exit:
        spec["onExit"] = "finish"
    if mutex:
        spec["synchronization"] = {"mutexes": [{"name": mutex}]}
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "WorkflowTemplate",
        "metadata": {"name": "test"},
        "spec": spec,
    }


def retry(limit: int = 2, duration: str = "0.05s", cap: str = "1s") -> dict[str, Any]:
    return {"limit": limit, "expression": EXPRESSION, "backoff": {"duration": duration, "factor": 2, "cap": cap}}


def _task(name: str, told: Task) -> dict[str, Any]:
    arguments = {"do": told["do"], **told.get("arguments", {})}
    return {
        "name": name,
        "template": name,
        "arguments": {"parameters": [{"name": k, "value": v} for k, v in arguments.items()]},
        **{key: told[key] for key in ("depends", "when") if key in told},
    }


def _template(name: str, told: Task) -> dict[str, Any]:
    inputs = ("do", "out", "any")
    return {
        "name": name,
        "inputs": {"parameters": [{"name": "do"}, {"name": "out", "default": ""}, {"name": "any", "default": ""}]},
        "container": {
            "command": ["python", "-m", "tests.stubs.step"],
            "args": [f"--{i}={argument.reference(i)}" for i in inputs],
            **{key: told[key] for key in ("env", "envFrom") if key in told},
        },
        **{key: told[key] for key in ("outputs", "retryStrategy", "activeDeadlineSeconds") if key in told},
    }


def output(name: str, default: str | None = None) -> dict[str, Any]:
    """A template's ``outputs`` with one parameter."""
    source = {"path": f"/tmp/outputs/{name}"} | ({} if default is None else {"default": default})
    return {"parameters": [{"name": name, "valueFrom": source}]}
