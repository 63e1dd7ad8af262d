"""A run as a picture on a terminal: every step with its phase, attempt, progress, rate and time."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from steps.core.amounts import seconds, size
from steps.core.run import FINISHED, Node, Phase, Run

WINDOW_SECONDS = 10.0
"""What a rate is the mean of."""
FRAMES = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
FRAMES_A_SECOND = 8
MARKS: dict[Phase, tuple[str, str]] = {
    "Pending": ("·", "dim"),
    "Running": (FRAMES[0], "cyan"),
    "Succeeded": ("✓", "green"),
    "Failed": ("✗", "bold red"),
    "Error": ("✗", "bold red"),
    "Skipped": ("-", "dim"),
    "Omitted": ("-", "dim"),
}


@dataclass
class Rate:
    """Bytes a second, from what was done when. Noted by one thread, asked by another."""

    _seen: deque[tuple[float, int]] = field(default_factory=deque)

    def note(self, now: float, done: int) -> None:
        """A new attempt begins at less than was done before: then so does the rate."""
        if self._seen and done < self._seen[-1][1]:
            self._seen = deque()
        self._seen.append((now, done))
        while len(self._seen) > 2 and now - self._seen[1][0] > WINDOW_SECONDS:
            self._seen.popleft()

    def a_second(self) -> float | None:
        """None before there is anything to tell."""
        seen = self._seen  # which is never emptied, but replaced
        (start, before), (end, done) = (seen[0], seen[-1]) if seen else ((0.0, 0), (0.0, 0))
        return (done - before) / (end - start) if end > start else None


@dataclass
class Picture:
    """``clock`` gives seconds since the epoch. Updated by one thread, drawn by another."""

    clock: Callable[[], float]
    _run: Run | None = None
    _rates: dict[str, Rate] = field(default_factory=dict)
    _notes: tuple[str, ...] = ()

    def update(self, run: Run) -> None:
        for node in run.nodes:
            if node.phase == "Running" and (progress := parsed(node.progress)):
                self._rates.setdefault(node.name, Rate()).note(self.clock(), progress[0])
        self._run = run

    def note(self, text: str) -> None:
        self._notes = (*self._notes, text)

    def draw(self) -> RenderableType:
        if self._run is None:
            return Text("")
        rates = {name: rate.a_second() for name, rate in dict(self._rates).items()}
        notes = (Text(note, "yellow") for note in self._notes)
        return Group(draw(self._run, self.clock(), rates), *notes)


def draw(run: Run, now: float, rates: dict[str, float | None]) -> RenderableType:
    """``now`` in seconds since the epoch, ``rates`` in bytes a second by step."""
    table = Table.grid(padding=(0, 2, 0, 0))
    for _ in range(3):
        table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for node in run.nodes:
        table.add_row(*_row(node, now, rates.get(node.name)))
    return Group(_title(run, now), table)


def parsed(progress: str) -> tuple[int, int] | None:
    """``N/M`` as bytes done and in all; None for anything else, and for a total of nothing."""
    done, _, total = progress.partition("/")
    return (int(done), int(total)) if done.isdecimal() and total.isdecimal() and int(total) else None


def _title(run: Run, now: float) -> Text:
    given = run.parameters
    model, revision = given.get("model", ""), given.get("revision") or given.get("commit", "")[:12]
    text = Text.assemble((run.name, "bold"), f"  {model} {revision} → {given.get('deployment', '')}  ")
    text.append(seconds((run.finished or now) - run.started), "dim")
    if run.phase == "Pending" and run.message:
        text.append(f"\n  {run.message}", "yellow")
    return text


def _row(node: Node, now: float, rate: float | None) -> tuple[Text, Text, Text, Text]:
    mark, style = MARKS[node.phase]
    if node.phase == "Running":
        mark = FRAMES[int(now * FRAMES_A_SECOND) % len(FRAMES)]
    name = Text(f"  {mark} {node.name}", style)
    return name, _time(node, now), _word(node), _detail(node, rate)


def _time(node: Node, now: float) -> Text:
    if not node.attempts:
        return Text("")
    last = node.attempts[-1]
    return Text(seconds((last.finished or now) - last.started), "dim", justify="right")


def _word(node: Node) -> Text:
    number = node.attempts[-1].number if node.attempts else 0
    if number and node.phase not in ("Skipped", "Omitted"):
        return Text(f"attempt {number + 1}", "yellow")
    return Text("" if node.phase in ("Pending", "Running", "Succeeded") else node.phase.lower(), "dim")


def _detail(node: Node, rate: float | None) -> Text:
    last = node.attempts[-1] if node.attempts else None
    if last and last.phase == "Pending":  # its pod does not run yet
        return Text(last.message, "yellow")
    if node.phase == "Running" and (last is None or last.finished is None):  # without attempts: it is several nodes
        return _progress(node, rate)
    if node.phase in ("Running", "Failed", "Error"):  # it runs and its last attempt is over: it will be tried again
        said = last.message if last else ""
        return Text(said or node.message, "yellow" if node.phase not in FINISHED else "red")
    return Text("")


def _progress(node: Node, rate: float | None) -> Text:
    progress = parsed(node.progress)
    if progress is None:
        return Text("")
    done, total = progress
    speed = f"  {size(rate)}/s" if rate else ""
    return Text(f"{100 * done // total:3d} %  {size(done)} of {size(total)}{speed}")
