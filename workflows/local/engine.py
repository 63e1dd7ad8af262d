"""Runs a compiled WorkflowTemplate on this machine, as Argo would run it in a cluster.

The manifest is the one that Argo gets: DAG, `depends`, `when`, retries, deadlines, exit handler, mutex. Each attempt of
a step is a process of its own. What happens is in ``runs/RUN/run.json`` before it happens, so a run whose engine was
killed can be taken up again.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

from steps.clients.local.journal import LocalJournal
from steps.core.names import check_run
from steps.core.run import Attempt, Node, Phase, Run
from steps.errors import BadInput, Conflict
from workflows.local import spec, substitute
from workflows.local.control import Control, Wish
from workflows.local.environment import Sources, compose
from workflows.local.ledger import Ledger, write
from workflows.local.locks import Lock
from workflows.local.spec import Dag
from workflows.local.walk import GRACE_SECONDS, POLL_SECONDS, Place, Walk

MUTEX_POLL_SECONDS = 0.2
LINGER_SECONDS = 10.0
"""How long the steps of a killed engine may need to end; they hold its locks until then."""


class Engine:
    """Carries out a run of one manifest; once stopped it stays so. ``home`` is the directory of everything local."""

    def __init__(
        self,
        manifest: Mapping[str, Any],
        home: Path,
        sources: Sources,
        on_change: Callable[[Run], None] = lambda _run: None,
        *,
        grace_seconds: float = GRACE_SECONDS,
    ) -> None:
        """Raises BadInput for a manifest that it cannot carry out to the letter."""
        self._workflow = spec.parse(manifest)
        self._journal = LocalJournal(home)
        self._sources = sources
        self._on_change = on_change
        self._grace_seconds = grace_seconds
        self._control = Control()
        for dag in self._dags():
            for task in dag.tasks.values():
                compose(task.program, sources)  # a missing Secret is better found now than in an hour

    def run(self, parameters: Mapping[str, str], name: str) -> Run:
        """A new run, from its first to its last step; returns how it ended.

        Raises BadInput for a parameter that is missing, unknown or no text, Conflict for a name that is taken.
        """
        given = self._checked(parameters)
        directory = self._journal.directory(check_run(name))
        try:
            directory.mkdir(parents=True)
        except FileExistsError as err:
            raise Conflict(f"there is a run {name} already; take another name, or --retry {name}") from err
        nodes = tuple(
            Node(name=task, on_exit=dag is self._workflow.on_exit) for dag in self._dags() for task in dag.tasks
        )
        run = Run(
            name=name,
            uid=name,
            template=self._workflow.name,
            parameters=given,
            phase="Pending",
            started=time.time(),
            nodes=nodes,
        )
        return self._held(run)

    def retry(self, run: Run) -> Run:
        """The same run again: what succeeded is kept, all else and the exit handler is done anew.

        Raises BadInput for a run that succeeded or is of another template, Conflict for one that still lives.
        """
        if run.template != self._workflow.name or run.phase == "Succeeded":
            raise BadInput(
                f"run {run.name} of {run.template} is {run.phase}: there is nothing to retry; start a new one"
            )
        return self._held(replace(run, parameters=self._checked(run.parameters)))

    def stop(self) -> None:
        """End the running steps, then run the exit handler; may be called from a signal handler."""
        self._control.wish = Wish.STOP

    def terminate(self) -> None:
        """End the running steps, and nothing more."""
        self._control.wish = Wish.TERMINATE

    def _dags(self) -> tuple[Dag, ...]:
        return tuple(filter(None, (self._workflow.main, self._workflow.on_exit)))

    def _checked(self, parameters: Mapping[str, str]) -> dict[str, str]:
        known = self._workflow.parameters
        if unknown := sorted(set(parameters) - set(known)):
            raise BadInput(f"{self._workflow.name} has no parameter {unknown[0]}; it has {', '.join(known)}")
        values = {name: parameters.get(name, value) for name, value in known.items()}
        bad = [name for name, value in values.items() if not isinstance(value, str) or "\0" in value]
        if bad:
            raise BadInput(f"parameter {bad[0]} of {self._workflow.name} needs a text; give it one")
        return {name: value for name, value in values.items() if value is not None}

    def _held(self, run: Run) -> Run:
        """Carry out the run while everybody can see that it is alive."""
        alive = Lock(self._journal.alive_lock(run.name))
        if not self._taken(alive, run.name):
            raise Conflict(f"run {run.name} is still at work; wait for its end, or stop it")
        try:
            return self._carried_out(self._again(run), alive)
        finally:
            alive.let_go()

    def _taken(self, lock: Lock, name: str) -> bool:
        deadline = time.monotonic() + LINGER_SECONDS
        while not lock.take(name):
            if time.monotonic() > deadline:
                return False
            time.sleep(POLL_SECONDS)
        return True

    def _again(self, run: Run) -> Ledger:
        """The run with every node that has to be done (again) pending; for a new one that is all of them."""
        main, on_exit = self._workflow.main, self._workflow.on_exit
        before = {node.name: node for node in run.nodes}
        kept = {name for name in main.tasks if name in before and before[name].phase in ("Succeeded", "Skipped")}
        redone = main.graph.below(set(main.tasks) - kept)
        nodes = [
            _pending(before.get(name, Node(name=name)), on_exit=dag is on_exit)
            if dag is on_exit or name in redone
            else before[name]
            for dag in self._dags()
            for name in dag.tasks
        ]
        fresh = replace(run, phase="Pending", started=time.time(), finished=None, message="", nodes=tuple(nodes))
        write(self._journal.file(run.name), fresh.dump())
        self._on_change(fresh)
        return Ledger(fresh, self._journal.file(run.name), self._on_change)

    def _carried_out(self, ledger: Ledger, alive: Lock) -> Run:
        scope = _scope(ledger.run)
        mutexes = [Lock(self._mutex_file(substitute.fill(name, scope))) for name in self._workflow.mutexes]
        try:
            if all(self._awaited(mutex, ledger) for mutex in mutexes):
                self._walked(ledger, (alive.fd, *(mutex.fd for mutex in mutexes)))
            else:  # stopped before it had done anything: nothing to undo, and the lock is not ours to do it under
                self._close(ledger, "Failed")
        finally:
            for mutex in mutexes:
                mutex.let_go()
        return ledger.run

    def _mutex_file(self, name: str) -> Path:
        return self._journal.locks / quote(name, safe="")[:200]

    def _awaited(self, mutex: Lock, ledger: Ledger) -> bool:
        """False when the user stops the run before it gets the mutex."""
        while not mutex.take(ledger.run.name):
            ledger.change(message=f"waits for {mutex.holder() or 'another run'}, which holds {mutex.path.name}")
            if self._control.wish is not Wish.GO_ON:
                return False
            time.sleep(MUTEX_POLL_SECONDS)
        return True

    def _walked(self, ledger: Ledger, locks: tuple[int, ...]) -> None:
        ledger.change(phase="Running", message="")
        phase = self._walk(self._workflow.main, ledger, locks, _scope(ledger.run))
        end: Phase = "Succeeded"
        if self._workflow.on_exit and self._control.wish is not Wish.TERMINATE:
            scope = {**_scope(ledger.run), "workflow.status": phase}
            end = self._walk(self._workflow.on_exit, ledger, locks, scope)
        self._close(ledger, end if phase == "Succeeded" else phase)

    def _walk(self, dag: Dag, ledger: Ledger, locks: tuple[int, ...], scope: substitute.Scope) -> Phase:
        place = Place(
            directory=self._journal.directory(ledger.run.name),
            sources=self._sources,
            keep_open=locks,
            grace_seconds=self._grace_seconds,
        )
        on_exit = dag is self._workflow.on_exit
        walk = Walk(dag=dag, ledger=ledger, control=self._control, place=place, scope=scope, on_exit=on_exit)
        return walk.carry_out()

    def _close(self, ledger: Ledger, phase: Phase) -> None:
        stopped = phase != "Succeeded" and self._control.wish is not Wish.GO_ON
        for node in ledger.run.nodes:
            if node.phase == "Pending":
                ledger.change_node(node.name, phase="Omitted", message=self._control.wish.message)
        ledger.change(phase=phase, finished=time.time(), message=self._control.wish.message if stopped else "")


def _scope(run: Run) -> dict[str, str | None]:
    parameters = {f"workflow.parameters.{name}": value for name, value in run.parameters.items()}
    return {"workflow.name": run.name, "workflow.uid": run.uid, **parameters}


def _pending(node: Node, *, on_exit: bool) -> Node:
    """The node before it is done again. Its attempts stay: their logs do too, and numbers go on."""
    return Node(name=node.name, attempts=tuple(_over(a) for a in node.attempts), on_exit=on_exit)


def _over(attempt: Attempt) -> Attempt:
    """An attempt that ran when its engine was killed was lost with it."""
    if attempt.phase != "Running":
        return attempt
    return replace(attempt, phase="Error", message="the engine was killed while this attempt ran; it ended unseen")
