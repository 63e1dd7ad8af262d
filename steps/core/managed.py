"""Who changed what of an object in a cluster, and when: its managedFields, read for a person.

The API server keeps for each manager (``kubectl-edit``, ``kube-controller-manager``, us) which fields it set last:

    {"manager": …, "operation": "Update" | "Apply", "subresource": "scale", "time": "2026-11-27T09:12:03Z",
     "fieldsV1": {"f:spec": {"f:template": {"f:spec": {"f:containers": {'k:{"name":"vllm"}': {"f:image": {}}}}}}}}

A value that somebody sets to what it is already stays the former manager's, and of what was removed nobody is known.
Of a change through ``scale`` the API server (1.34) keeps no time, and nobody's name where it is to 0, which its Scale
leaves out as empty.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

Json = dict[str, Any]
Path = tuple[str, ...]
"""Keys; a member of a list as JSON of what identifies it: ``{"name":"vllm"}``."""

SCALERS = {"kube-controller-manager": ", as a HorizontalPodAutoscaler does"}
"""Who else writes replicas through the scale subresource."""
SHOWN = 80
"""Characters of a value that a sentence repeats."""


@dataclass(frozen=True, slots=True)
class Author:
    manager: str
    time: str
    """As the API server wrote it; empty where it wrote none."""
    subresource: str = ""

    def __str__(self) -> str:
        through = f" through {self.subresource}{SCALERS.get(self.manager, '')}" if self.subresource else ""
        return f"{self.manager}{through}{f' at {self.time}' if self.time else ''}"


SOMEBODY = "somebody whose name was not kept"


def others(body: Json, ours: str, below: Path) -> Mapping[Path, Author]:
    """Each field below a path that somebody else than ``ours`` has set last, with who did; statuses aside."""
    found: dict[Path, Author] = {}
    for entry in sorted(body["metadata"].get("managedFields", ()), key=lambda e: str(e.get("time", ""))):
        if entry.get("manager") != ours and entry.get("subresource") != "status":
            author = Author(str(entry.get("manager", "")), str(entry.get("time", "")), entry.get("subresource", ""))
            found |= {path: author for path in _fields(entry.get("fieldsV1", {})) if path[: len(below)] == below}
    return found


def author(body: Json, ours: str, path: Path) -> str:
    """Who set this last, in words."""
    known = [*others(body, ours, path).values()]
    return str(known[-1]) if known else SOMEBODY


def value(body: Any, path: Path) -> Any:
    """What is there; None where there is nothing."""
    for key in path:
        body = _member(body, key) if isinstance(body, list) else body.get(key) if isinstance(body, dict) else None
    return body


def told(what: str, before: Any, now: Any, who: str) -> str:
    """A change in a sentence; of something new ``before`` is None."""
    since = f"from {_short(before)} to {_short(now)}" if before is not None else f"to {_short(now)}"
    return f"{what} was changed {since} by {who}"


def named(path: Path) -> str:
    """As a person writes it: ``spec.template.spec.containers[vllm].image``."""
    words = (f"[{'/'.join(str(v) for v in json.loads(key).values())}]" if key[:1] == "{" else f".{key}" for key in path)
    return "".join(words).removeprefix(".")


def _fields(tree: Json, at: Path = ()) -> Iterator[Path]:
    """Leaves. A member of a set (``v:``) or of a plain list (``i:``) stands for the list."""
    for key, below in tree.items():
        kind, _, rest = key.partition(":")
        if kind not in ("f", "k"):
            continue
        deeper = list(_fields(below, (*at, rest)))
        yield from deeper or [(*at, rest)]


def _member(items: list[Any], key: str) -> Any:
    try:
        wanted = json.loads(key)
    except ValueError:
        return None
    return next((i for i in items if isinstance(i, dict) and wanted.items() <= i.items()), None)


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"
