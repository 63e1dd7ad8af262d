"""Workflow objects as a real controller (Argo v4.1.2) left them, with scripted steps; trimmed of what nobody reads."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

WORKFLOWS = Path(__file__).parents[1] / "unit" / "data" / "workflows"


def workflow(name: str) -> dict[str, Any]:
    """A fresh one each time, to be changed at will."""
    read: dict[str, Any] = json.loads((WORKFLOWS / f"{name}.json").read_text())
    return read


def shared_out(whole: dict[str, Any], task: str, items: Sequence[str]) -> dict[str, Any]:
    """As if the task had a ``withParam``: a TaskGroup with its name, and what it did once for each item.

    Not recorded: made after v4.1.2's workflow/controller/dag.go. All times, outputs and messages are the task's.
    """
    name, nodes = f"{whole['metadata']['name']}.{task}", whole["status"]["nodes"]
    own = {id_: node for id_, node in nodes.items() if node["name"] == name or node["name"].startswith(f"{name}(")}
    group = next(node for node in own.values() if node["name"] == name)
    for id_ in own:
        del nodes[id_]
    nodes["group"] = {**group, "id": "group", "type": "TaskGroup", "children": []} | _of_group(group["phase"])
    nodes["group"].pop("outputs", None)
    for number, item in enumerate(items):
        for id_, node in own.items():
            part = node["name"].replace(name, f"{name}({number}:{item})")
            nodes[f"{id_}-{number}"] = {**node, "id": f"{id_}-{number}", "name": part}
    return whole


def _of_group(phase: str) -> dict[str, str]:
    """A group whose runs were all left out has come to a good end."""
    return {"phase": "Succeeded", "message": ""} if phase == "Skipped" else {"phase": phase}
