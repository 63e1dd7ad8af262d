"""The record of a deployment: what serves, what is being brought in, and whose work that is.

It is JSON in annotation ``vllm-promote/record`` of the Service, locally a file. Every change is a compare-and-swap.
"""

import json
from dataclasses import dataclass
from typing import Any, Literal, get_args

from steps.errors import Corrupt

Phase = Literal["idle", "swapping", "testing", "draining", "rolling-back", "repairing"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Record:
    """``live``, ``previous``, ``candidate`` and ``refused`` are release ids. Times are seconds since the epoch."""

    phase: Phase = "idle"
    live: str | None = None
    previous: str | None = None
    """The rollback target."""
    candidate: str | None = None
    owner: str | None = None
    """uid of the workflow whose work is in flight; None when idle."""
    since: float | None = None
    """When the work in flight began. While draining, since when nothing served until the pointer moved; while rolling
    back, None as long as the live release has served all the while."""
    deadline: float | None = None
    replicas: int = 1
    """Of the live release as observed before room was made: what a rollback restores. 0: nothing of it was left."""
    refused: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        return {name: _plain(getattr(self, name)) for name in Record.__dataclass_fields__}


def from_json(value: Any) -> Record:
    """Raises ValueError, KeyError or TypeError for what is no record."""
    if value["phase"] not in get_args(Phase):
        raise ValueError(f"unknown phase {value['phase']!r}")
    known = {name: value[name] for name in Record.__dataclass_fields__}
    return Record(**{**known, "refused": tuple(known["refused"])})


def parse(text: str, where: str) -> Record:
    """Raises Corrupt, naming ``where``."""
    try:
        return from_json(json.loads(text))
    except (ValueError, KeyError, TypeError) as err:
        raise Corrupt(f"the record at {where} {_damage(err)}; a person must mend it") from err


def _damage(err: Exception) -> str:
    match err:
        case json.JSONDecodeError():
            return f"is no JSON from line {err.lineno}, column {err.colno} on"
        case KeyError():
            return f"has no field {err.args[0]}"
        case ValueError():
            return f"has an {err}"
        case _:
            return "holds something else than the fields of a record"


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
