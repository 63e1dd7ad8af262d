"""A run as people watch it: a live picture on a terminal, else a line at each change of a step.

Whoever runs it, the local engine or a watcher of Argo, tells the follower of each new state.
"""

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import IO, Protocol, cast

from steps.core.amounts import seconds
from steps.core.run import FINISHED, Attempt, Node, Run
from workflows.audience import Audience

REFRESH_A_SECOND = 8


class Follower(Protocol):
    def update(self, run: Run) -> None:
        """It has changed."""
        ...

    def note(self, text: str) -> None:
        """Something else that a person who watches should know."""
        ...


def following(stream: IO[str], known: Run | None = None) -> AbstractContextManager[Follower]:
    """``known``: a run that is continued, as it was: what it had told then is not told again.

    The run goes on when nobody reads the stream any more.
    """
    audience = Audience(stream)
    return _picture(audience) if audience.isatty() else _lines(audience, known)


def news(before: Run | None, after: Run) -> list[str]:
    """What happened between two states of a run, a line for each event."""
    told_before = {n.name: len(told(n)) for n in before.nodes} if before else {}
    lines = [_head(after)] if before is None else []
    if after.phase == "Pending" and after.message and (before is None or before.message != after.message):
        lines.append(f"{after.name}: {after.message}")
    return [*lines, *(f"{n.name}: {line}" for n in after.nodes for line in told(n)[told_before.get(n.name, 0) :])]


def told(node: Node) -> list[str]:
    """All that a node has to tell so far: once told, a line stays."""
    lines = [line for attempt in node.attempts for line in _of_attempt(attempt)]
    if node.phase in FINISHED and not node.attempts:
        lines.append(f"{node.phase.lower()}{f': {node.message}' if node.phase == 'Error' else ''}")
    return lines


def waits(run: Run) -> list[str]:
    """What keeps pods from starting: it may come and go, and each is worth one line."""
    last = ((n.name, n.attempts[-1]) for n in run.nodes if n.attempts)
    return [f"{name}: waits: {a.message}" for name, a in last if a.phase == "Pending" and a.message]


@dataclass
class _Lines:
    """Flushed one by one, so that a log shows each at once."""

    audience: Audience
    known: Run | None
    waited: frozenset[str] = frozenset()

    def update(self, run: Run) -> None:
        waiting = waits(run)
        self._write(*news(self.known, run), *(line for line in waiting if line not in self.waited))
        self.known, self.waited = run, self.waited.union(waiting)

    def note(self, text: str) -> None:
        self._write(text)

    def _write(self, *lines: str) -> None:
        self.audience.write("".join(f"{line}\n" for line in lines))
        self.audience.flush()


@contextmanager
def _lines(audience: Audience, known: Run | None) -> Iterator[Follower]:
    yield _Lines(audience, known)


@contextmanager
def _picture(audience: Audience) -> Iterator[Follower]:
    from rich.console import Console
    from rich.live import Live

    from workflows.picture import Picture

    picture = Picture(time.time)
    console = Console(file=cast("IO[str]", audience))  # all of a stream that it uses
    with Live(get_renderable=picture.draw, console=console, refresh_per_second=REFRESH_A_SECOND):
        yield picture


def _head(run: Run) -> str:
    parameters = run.parameters
    asked = " ".join(filter(None, (parameters.get("model"), parameters.get("revision") or parameters.get("commit"))))
    return f"{run.name}: {asked} to {parameters.get('deployment', '')}"


def _of_attempt(attempt: Attempt) -> Iterator[str]:
    if attempt.phase == "Pending":  # its pod does not run yet
        return
    nth = f", attempt {attempt.number + 1}" if attempt.number else ""
    yield f"running{nth}"
    if attempt.seconds is None:
        return
    took = f"{attempt.phase.lower()} after {seconds(attempt.seconds)}"
    if attempt.phase == "Succeeded":
        yield took
    else:
        code = "lost" if attempt.exit_code is None else f"exit {attempt.exit_code}"
        yield f"{took}, {code}: {attempt.message}"
