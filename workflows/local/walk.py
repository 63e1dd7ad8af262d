"""One DAG, carried out: tasks begin when what they depend on has ended, and are tried again as their template says."""

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from steps.core.run import FINISHED, Attempt, Phase, together
from workflows import argument
from workflows.checkout import CHECKOUT
from workflows.local import fanout, retry, substitute
from workflows.local.attempt import STOPPED, Ending, Execution, Launch, Process, never_started
from workflows.local.control import Control, Wish
from workflows.local.environment import Sources, compose
from workflows.local.fanout import Unit
from workflows.local.ledger import Ledger
from workflows.local.spec import Dag, Program, Task
from workflows.local.substitute import Scope, Unresolved

POLL_SECONDS = 0.02
PROGRESS_SECONDS = 0.5
GRACE_SECONDS = 30.0
"""What Kubernetes gives a pod."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Workplace:
    """Where a run's attempts are made, and the locks that they hold with the engine; ``start`` may raise OSError."""

    directory: Path
    sources: Sources
    keep_open: tuple[int, ...]
    grace_seconds: float = GRACE_SECONDS
    start: Callable[[Launch], Execution] = Process


@dataclass(kw_only=True)
class Walk:
    """``scope`` holds what the workflow offers to references; the tasks' outputs join it as they end."""

    dag: Dag
    ledger: Ledger
    control: Control
    place: Workplace
    scope: Scope
    on_exit: bool
    _units: dict[str, Unit] = field(default_factory=dict)
    """By node, what has begun."""
    _running: dict[str, Execution] = field(default_factory=dict)
    _again_at: dict[str, float] = field(default_factory=dict)
    _attempts_before: dict[str, int] = field(default_factory=dict)
    """By node, in earlier runs of the engine: they do not count against the limit of this one."""
    _cut_short: bool = False
    _progress_at: float = 0.0

    def carry_out(self) -> Phase:
        """Until every task has ended. Whatever happens, no process is left."""
        self._attempts_before = {node.name: len(node.attempts) for node in self.ledger.run.nodes}
        try:
            while not all(phase in FINISHED for phase in self._phases().values()):
                self._tick()
                time.sleep(POLL_SECONDS)
        finally:
            self._end_all()
        return "Failed" if self._cut_short else self.dag.graph.outcome(self._phases())

    def _tick(self) -> None:
        wish = self.control.hear()
        if wish is Wish.TERMINATE or (wish is Wish.STOP and not self.on_exit):
            self._stop()
        for name, process in tuple(self._running.items()):
            self._look(name, process)
        for name in [name for name, at in self._again_at.items() if time.time() >= at]:
            del self._again_at[name]
            self._launch(self._units[name])
        for name, runs in self.dag.graph.due(self._phases()).items():
            self._begin(self.dag.tasks[name], runs=runs)
        self._show_progress()

    def _stop(self) -> None:
        for process in self._running.values():
            process.stop()
        waiting = [name for name, phase in self._phases().items() if phase == "Pending"]
        self._cut_short |= bool(self._running or self._again_at or waiting)
        for name in self._again_at:
            last = self.ledger.node(name).attempts[-1]
            self.ledger.change_node(name, phase=last.phase, message=self.control.wish.message)
            self._gather(self._units[name])
        for name in waiting:
            self.ledger.change_node(name, phase="Omitted", message=self.control.wish.message)
        self._again_at.clear()

    def _begin(self, task: Task, *, runs: bool) -> None:
        if not runs:
            self.ledger.change_node(task.name, phase="Omitted", message="omitted: depends condition not met")
            return
        try:
            if not self._wanted(task):
                self.ledger.change_node(task.name, phase="Skipped", message="skipped: its when is false")
                return
            units = fanout.units(task, self._scope())
            for unit in units:
                self._arguments(unit)
        except Unresolved as err:
            self.ledger.change_node(task.name, phase="Error", message=str(err))
            return
        if not units:
            self.ledger.change_node(task.name, phase="Skipped", message="skipped: there is nothing to do it for")
            return
        self._begin_all(task, units)

    def _begin_all(self, task: Task, units: Sequence[Unit]) -> None:
        """Of a run that is retried those that had succeeded stay as they are."""
        self._units |= {unit.node: unit for unit in units}
        if units[0].is_part:
            self.ledger.expand(task.name, [unit.node for unit in units])
            self.ledger.change_node(task.name, phase="Running")
        for unit in units:
            if self.ledger.node(unit.node).phase == "Pending":
                self._launch(unit)
        self._gather(units[0])

    def _gather(self, unit: Unit) -> None:
        """What the runs of a task have come to is the task's own phase."""
        task = unit.task.name
        parts = [self.ledger.node(name) for name, u in self._units.items() if u.is_part and u.task.name == task]
        if parts:
            phase = fanout.outcome([node.phase for node in parts])
            self.ledger.change_node(task, phase=phase or "Running", progress=together(n.progress for n in parts))

    def _launch(self, unit: Unit) -> None:
        launch = self._planned(unit, self.ledger.begin_attempt(unit.node))
        try:
            self._running[unit.node] = self.place.start(launch)
        except OSError as err:
            self._ended(unit.node, never_started(launch, err))

    def _look(self, name: str, process: Execution) -> None:
        if ending := process.poll():
            del self._running[name]
            self.ledger.change_node(name, progress=process.progress())
            self._ended(name, ending)

    def _ended(self, name: str, ending: Ending) -> None:
        cut = self._cut_short and ending.exit_code in STOPPED
        message = (self.control.reason if cut else "") or ending.message
        self.ledger.end_attempt(name, ending.phase, ending.exit_code, message)
        self._settle(name, ending)
        self._gather(self._units[name])

    def _settle(self, name: str, ending: Ending) -> None:
        if ending.phase == "Succeeded":
            self.ledger.change_node(name, phase="Succeeded", outputs=ending.outputs)
            return
        decision = self._decided(name)
        if decision.at is None:
            self.ledger.change_node(name, phase=ending.phase, message=decision.reason)
        else:
            self._again_at[name] = decision.at
            self.ledger.change_node(name, message=decision.reason)

    def _decided(self, name: str) -> retry.Decision:
        if self.control.wish is not Wish.GO_ON:  # nothing is tried again then, the exit handler's steps included
            return retry.Decision(None, self.control.wish.message)
        attempts = self.ledger.node(name).attempts[self._attempts_before.get(name, 0) :]
        return retry.decide(self._units[name].task.program.retry, attempts)

    def _show_progress(self) -> None:
        if time.monotonic() >= self._progress_at:
            self._progress_at = time.monotonic() + PROGRESS_SECONDS
            for name, process in self._running.items():
                self.ledger.change_node(name, progress=process.progress())
                self._gather(self._units[name])

    def _end_all(self) -> None:
        """For when the walk itself is interrupted: nothing that it started may go on unseen."""
        for process in self._running.values():
            process.stop()
        while self._running:
            self._running = {name: p for name, p in self._running.items() if p.poll() is None}
            time.sleep(POLL_SECONDS)

    def _planned(self, unit: Unit, attempt: Attempt) -> Launch:
        program = unit.task.program
        inputs = self._arguments(unit)
        scope = {argument.expression(name): value for name, value in inputs.items()}  # here nobody halves a doubled $
        return Launch(
            name=f"{unit.files}.{attempt.number}",
            template=program.name,
            inputs=inputs,
            argv=(*_command(program), *(substitute.fill(text, scope) for text in program.args)),
            environ=compose(program, self.place.sources) | {"PYTHONPATH": str(CHECKOUT)},
            outputs=program.outputs,
            directory=self.place.directory,
            cwd=CHECKOUT,
            deadline_seconds=program.deadline_seconds,
            grace_seconds=self.place.grace_seconds,
            keep_open=self.place.keep_open,
        )

    def _wanted(self, task: Task) -> bool:
        if task.when is None:
            return True
        scope = self._scope()
        return task.when.holds(substitute.fill(task.when.left, scope), substitute.fill(task.when.right, scope))

    def _arguments(self, unit: Unit) -> dict[str, str]:
        return substitute.arguments(unit.task.arguments, unit.task.program.inputs, unit.scope(self._scope()))

    def _scope(self) -> dict[str, str | None]:
        ended = {name: self.ledger.node(name) for name, phase in self._phases().items() if phase in FINISHED}
        scope = dict(self.scope)
        for name, node in ended.items():
            scope[f"tasks.{name}.status"] = node.phase
            if node.phase not in ("Failed", "Error") and not self.dag.tasks[name].items:
                outputs = _outputs(self.dag.tasks[name].program, node.outputs)
                scope |= {f"tasks.{name}.outputs.parameters.{key}": value for key, value in outputs.items()}
        return scope

    def _phases(self) -> dict[str, Phase]:
        return {name: self.ledger.node(name).phase for name in self.dag.tasks}


def _outputs(program: Program, written: Mapping[str, str]) -> dict[str, str | None]:
    """Of a task that did not run: the defaults."""
    return {output.name: written.get(output.name, output.default) for output in program.outputs}


def _command(program: Program) -> tuple[str, ...]:
    """The images' python is the one that runs now."""
    first, *others = program.command
    return (sys.executable if first == "python" else first, *others)
