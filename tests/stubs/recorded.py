"""Workflow objects as a real controller (Argo v4.1.2) left them, with scripted steps; trimmed of what nobody reads."""

import json
from pathlib import Path
from typing import Any

WORKFLOWS = Path(__file__).parents[1] / "unit" / "data" / "workflows"


def workflow(name: str) -> dict[str, Any]:
    """A fresh one each time, to be changed at will."""
    read: dict[str, Any] = json.loads((WORKFLOWS / f"{name}.json").read_text())
    return read
