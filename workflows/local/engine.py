"""Runs a compiled WorkflowTemplate on this machine, as Argo would run it in a cluster.

The manifest is the one that Argo gets: DAG, `depends`, `when`, `withParam`, retries, deadlines, exit handler, mutex.
Each attempt of a step is a process of its own. What happens is in ``runs/RUN/run.json`` before it happens, so a run
whose engine was killed can be taken up again.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

from steps.clients.local.journal import LocalJournal
from steps.core.names import check_run
from steps.core.run import Phase, Run
from steps.errors import Conflict
from workflows.local import prepare, spec, substitute
from workflows.local.attempt import Execution, Launch, Process
from workflows.local.control import Control, Wish
from workflows.local.environment import Sources, compose
from workflows.local.ledger import Ledger
from workflows.local.locks import Lock
from workflows.local.spec import Dag
from workflows.local.walk import GRACE_SECONDS, POLL_SECONDS, Walk, Workplace

MUTEX_POLL_SECONDS = 0.2
LINGER_SECONDS = 10.0
"""How long the steps of a killed engine may need to end; they hold its locks until then."""


class Engine:
    """Carries out a run of one manifest; once stopped it stays so. ``home`` is the directory of everything local."""

    def __init__(  # noqa: PLR0913  # two of them are listeners
        self,
        manifest: Mapping[str, Any],
        home: Path,
        sources: Sources,
        on_change: Callable[[Run], None] = lambda _run: None,
        on_wish: Callable[[Wish], None] = lambda _wish: None,
        *,
        grace_seconds: float = GRACE_SECONDS,
        start: Callable[[Launch], Execution] = Process,
    ) -> None:
        """``start`` makes an attempt: the cluster suite has it made as a pod.

        Raises BadInput for a manifest that it cannot carry out to the letter.
        """
        self._workflow = spec.parse(manifest)
        self._journal = LocalJournal(home)
        self._sources = sources
        self._on_change = on_change
        self._grace_seconds = grace_seconds
        self._start = start
        self._control = Control(on_wish)
        for dag in self._dags():
            for task in dag.tasks.values():
                compose(task.program, sources)  # a missing Secret is better found now than in an hour

    def run(self, parameters: Mapping[str, str], name: str, uid: str = "") -> Run:
        """A new run, from its first to its last step; returns how it ended. By default its uid is its name.

        Raises BadInput for a parameter that is missing, unknown or no text, Conflict for a name that is taken.
        """
        run = prepare.new(self._workflow, parameters, check_run(name), time.time(), uid)
        try:
            self._journal.directory(name).mkdir(parents=True)
        except FileExistsError as err:
            raise Conflict(f"there is a run {name} already; take another name, or --retry {name}") from err
        with self._alive(name) as alive:
            return self._carried_out(run, alive)

    def retry(self, run: Run) -> Run:
        """The same run again: what succeeded is kept, all else and the exit handler is done anew.

        Raises BadInput for a run that succeeded or is of another template, Conflict for one that still lives.
        """
        with self._alive(run.name) as alive:
            latest = self._journal.run(run.name) or run  # nobody else changes it from here on
            return self._carried_out(prepare.again(self._workflow, latest, time.time()), alive)

    def stop(self, reason: str = "") -> None:
        """End the running steps, then run the exit handler; may be called from a signal handler.

        ``reason`` is what an attempt that is cut short is said to have ended for: who waits for it knows nothing of it.
        """
        if self._control.wish is Wish.GO_ON:
            self._control.reason = reason
            self._control.wish = Wish.STOP

    def terminate(self) -> None:
        """End the running steps, and nothing more."""
        self._control.wish = Wish.TERMINATE

    def _dags(self) -> tuple[Dag, ...]:
        return tuple(filter(None, (self._workflow.main, self._workflow.on_exit)))

    @contextmanager
    def _alive(self, name: str) -> Iterator[Lock]:
        """Everybody can see that the run is at work. The steps of a killed engine get time to end."""
        lock, deadline = Lock(self._journal.alive_lock(name)), time.monotonic() + LINGER_SECONDS
        while not lock.take(name):
            if time.monotonic() > deadline:
                raise Conflict(f"run {name} is still at work; wait for its end, or stop it")
            time.sleep(POLL_SECONDS)
        try:
            yield lock
        finally:
            lock.let_go()

    def _carried_out(self, run: Run, alive: Lock) -> Run:
        ledger, scope = Ledger(run, self._journal.file(run.name), self._on_change), _scope(run)
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
            if self._control.hear() is not Wish.GO_ON:
                return False
            time.sleep(MUTEX_POLL_SECONDS)
        return True

    def _walked(self, ledger: Ledger, locks: tuple[int, ...]) -> None:
        ledger.change(phase="Running", message="")
        phase = self._walk(self._workflow.main, ledger, locks, _scope(ledger.run))
        end: Phase = "Succeeded"
        if phase != "Succeeded" and self._control.reason:
            ledger.change(message=self._control.reason)  # the report is made before the run is closed
        if self._workflow.on_exit and self._control.hear() is not Wish.TERMINATE:
            scope = {**_scope(ledger.run), "workflow.status": phase}
            end = self._walk(self._workflow.on_exit, ledger, locks, scope)
        self._close(ledger, end if phase == "Succeeded" else phase)

    def _walk(self, dag: Dag, ledger: Ledger, locks: tuple[int, ...], scope: substitute.Scope) -> Phase:
        place = Workplace(
            directory=self._journal.directory(ledger.run.name),
            sources=self._sources,
            keep_open=locks,
            grace_seconds=self._grace_seconds,
            start=self._start,
        )
        on_exit = dag is self._workflow.on_exit
        walk = Walk(dag=dag, ledger=ledger, control=self._control, place=place, scope=scope, on_exit=on_exit)
        return walk.carry_out()

    def _close(self, ledger: Ledger, phase: Phase) -> None:
        stopped = phase != "Succeeded" and self._control.wish is not Wish.GO_ON
        for node in ledger.run.nodes:
            if node.phase == "Pending":
                ledger.change_node(node.name, phase="Omitted", message=self._control.wish.message)
        ledger.change(phase=phase, finished=time.time(), message=self._control.message if stopped else "")


def _scope(run: Run) -> dict[str, str | None]:
    parameters = {f"workflow.parameters.{name}": value for name, value in run.parameters.items()}
    return {"workflow.name": run.name, "workflow.uid": run.uid, **parameters}
