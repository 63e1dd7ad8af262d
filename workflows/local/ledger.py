"""The run as it stands. Each change is on disk, and told, before anything is done about it."""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from steps.clients.local import files
from steps.core.run import Attempt, Node, Phase, Run


class Ledger:
    """Holds one run and changes it. One thread uses it."""

    run: Run

    def __init__(self, run: Run, path: Path, on_change: Callable[[Run], None]) -> None:
        """Writes and tells the run as it is given."""
        self._path = path
        self._on_change = on_change
        self._put(run)

    def node(self, name: str) -> Node:
        """Raises KeyError for a node that the run does not have."""
        node = self.run.node(name)
        if node is None:
            raise KeyError(name)
        return node

    def change(self, **changes: Any) -> None:
        """Of the run itself."""
        self._change(replace(self.run, **changes))

    def change_node(self, name: str, **changes: Any) -> None:
        nodes = tuple(replace(n, **changes) if n.name == name else n for n in self.run.nodes)
        self._change(replace(self.run, nodes=nodes))

    def expand(self, name: str, parts: Sequence[str]) -> None:
        """Nodes for the runs of a task that is done several times, behind its own; those that are there stay."""
        known = {node.name for node in self.run.nodes}
        new = tuple(Node(name=part, on_exit=self.node(name).on_exit) for part in parts if part not in known)
        at = next(n for n, node in enumerate(self.run.nodes) if node.name == name) + 1
        self._change(replace(self.run, nodes=(*self.run.nodes[:at], *new, *self.run.nodes[at:])))

    def begin_attempt(self, name: str) -> Attempt:
        """A new attempt, numbered on from all there were."""
        earlier = self.node(name).attempts
        number = earlier[-1].number + 1 if earlier else 0
        attempt = Attempt(number=number, phase="Running", started=time.time())
        self.change_node(name, phase="Running", attempts=(*earlier, attempt), message="", progress="")
        return attempt

    def end_attempt(self, name: str, phase: Phase, exit_code: int | None, message: str) -> None:
        """The last attempt of a node is over; what this means for the node is another question."""
        *earlier, last = self.node(name).attempts
        ended = replace(last, phase=phase, exit_code=exit_code, message=message, finished=time.time())
        self.change_node(name, attempts=(*earlier, ended))

    def _change(self, run: Run) -> None:
        if run != self.run:
            self._put(run)

    def _put(self, run: Run) -> None:
        self.run = run
        files.replace(self._path, self._path.with_name(f".{self._path.name}"), run.dump())
        self._on_change(run)
