"""One run of a workflow as its engine records it: nodes, attempts, and which of them says why it failed.

Phases are Argo's words. The local engine writes this value to ``runs/RUN/run.json`` and reads it back for ``--retry``;
in a cluster the same value is read off the Workflow object.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from steps.errors import Corrupt

Phase = Literal["Pending", "Running", "Succeeded", "Failed", "Error", "Skipped", "Omitted"]
FINISHED: frozenset[str] = frozenset({"Succeeded", "Failed", "Error", "Skipped", "Omitted"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Attempt:
    """One execution of a step. Times are seconds since the epoch; ``exit_code`` is None while it runs or when lost."""

    number: int
    phase: Phase
    started: float
    finished: float | None = None
    exit_code: int | None = None
    message: str = ""
    """The step's own sentence."""

    @property
    def seconds(self) -> float | None:
        return None if self.finished is None else self.finished - self.started


@dataclass(frozen=True, kw_only=True, slots=True)
class Node:
    """A task of the DAG or of the exit handler. ``progress`` is what the step last said, ``N/M`` in bytes.

    One that is done several times side by side has no attempts of its own; for each of them another node follows it,
    ``mirror(0:1-of-3)``.
    """

    name: str
    phase: Phase = "Pending"
    attempts: tuple[Attempt, ...] = ()
    outputs: Mapping[str, str] = field(default_factory=dict)
    progress: str = ""
    message: str = ""
    """The engine's, about the node: why it was omitted or skipped, what could not be substituted."""
    on_exit: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Run:
    """``uid`` is what the record calls the owner. ``template`` names the WorkflowTemplate."""

    name: str
    uid: str
    template: str
    parameters: Mapping[str, str]
    phase: Phase
    started: float
    finished: float | None = None
    message: str = ""
    nodes: tuple[Node, ...] = ()

    def node(self, name: str) -> Node | None:
        return next((n for n in self.nodes if n.name == name), None)

    def output(self, node: str, name: str) -> str:
        """Empty where the node is not there, or has not told."""
        found = self.node(node)
        return found.outputs.get(name, "") if found else ""

    def failure(self) -> tuple[Node, Attempt] | None:
        """The first step that failed, with its last attempt: the one whose sentence tells why. Exit handler aside."""
        failed = (n for n in self.nodes if n.phase in ("Failed", "Error") and n.attempts and not n.on_exit)
        return next(((n, n.attempts[-1]) for n in failed), None)

    def dump(self) -> bytes:
        return json.dumps(asdict(self), indent=1).encode()


def together(told: Iterable[str]) -> str:
    """What several nodes said of their progress as that of all; empty where none has said anything."""
    parts = [text.partition("/") for text in told]
    known = [(int(done), int(total)) for done, _, total in parts if done.isdecimal() and total.isdecimal()]
    return f"{sum(d for d, _ in known)}/{sum(t for _, t in known)}" if known else ""


def parse(body: bytes, where: str) -> Run:
    """Raises Corrupt, naming ``where``."""
    try:
        value = json.loads(body)
        return Run(**{**value, "nodes": tuple(_node(n) for n in value["nodes"])})
    except (ValueError, KeyError, TypeError) as err:
        raise Corrupt(f"{where} does not describe a run: {err!r}") from err


def _node(value: dict[str, Any]) -> Node:
    return Node(**{**value, "attempts": tuple(Attempt(**a) for a in value["attempts"])})
