"""Carry out a run on this machine while a person watches, and say at the end what they should know."""

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType
from typing import Any

from steps.clients.local import daemon
from steps.clients.local.daemon import Daemon
from steps.clients.local.journal import LocalJournal
from steps.core.account import draw_up
from steps.core.installed import PROMOTE_TEMPLATE, ROLLBACK_TEMPLATE
from steps.core.names import check_run
from steps.core.outcome import exit_code
from steps.core.run import FINISHED, Run
from steps.errors import StepError
from workflows import ending, render
from workflows.checkout import CHECKOUT
from workflows.command import Usage, say, submitting, usage
from workflows.config import Config
from workflows.follow import following
from workflows.local.control import Wish
from workflows.local.engine import Engine
from workflows.local.verbs.session import Session, begin, settings, sources

FLAG = "--local"
WATCH_SECONDS = 0.3
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGALRM)
SAID = {
    Wish.STOP: "stopping: what was begun is put right first; once more to end at once",
    Wish.TERMINATE: "ending at once: the next run puts right what is left unfinished",
}


@dataclass
class Interrupts:
    """The first one stops the run: its exit handler brings back what served. The second ends it at once.

    Nothing is written here: the signal may have come in the middle of another write.
    """

    engine: Engine
    timeout_seconds: float | None = None
    interrupted: bool = False
    timed_out: bool = False

    def __call__(self, number: int, _frame: FrameType | None) -> None:
        reason = ""
        if number == signal.SIGALRM:
            self.timed_out = True
            reason = f"stopped after {self.timeout_seconds or 0.0:g} s, as --timeout says"
        elif self.interrupted and number != signal.SIGHUP:  # a terminal that goes away may say so twice
            self.engine.terminate()
        else:
            self.interrupted = True
        self.engine.stop(reason)

    def preface(self, run: Run) -> str:
        """Of the last words about a run that they kept from succeeding."""
        if run.phase == "Succeeded":
            return ""
        return "interrupted: " if self.interrupted else "timed out: " if self.timed_out else ""


def promotion(config: Config, parameters: Mapping[str, str], name: str, timeout_seconds: float | None = None) -> int:
    """Returns the command's exit code, as all of these do. When its time is over the run is stopped."""
    return _new(config, PROMOTE_TEMPLATE, parameters, name, timeout_seconds)


def rollback(config: Config, parameters: Mapping[str, str], name: str) -> int:
    """To the release that the parameters identify."""
    return _new(config, ROLLBACK_TEMPLATE, parameters, name)


def again(config: Config, name: str, timeout_seconds: float | None = None) -> int:
    """Go on with a run that failed, or that was killed."""
    with usage():
        check_run(name)
    known = LocalJournal(config.home).run(name)
    if known is None:
        raise Usage(f"there is no run {name} below {config.home / 'runs'}; its directories are named for the runs")
    if known.phase == "Succeeded":
        raise Usage(f"run {name} succeeded, so there is nothing to go on with; start a new one")
    with submitting():
        session = begin(config, os.environ)
    manifest = render.manifest(config, known.template)
    return conduct(manifest, session, lambda engine: engine.retry(known), known, timeout_seconds)


def watched(config: Config, name: str) -> int:
    """Follow a run that another process carries out, or that is over."""
    with usage():
        check_run(name)
    journal = LocalJournal(config.home)
    if (run := journal.run(name)) is None:
        raise Usage(f"there is no run {name} below {config.home / 'runs'}; its directories are named for the runs")
    with following(sys.stdout) as follower:
        while True:
            alive = journal.alive(name)  # before the run is read: what it writes last is not missed
            run = journal.run(name) or run
            follower.update(run)
            if not alive:
                break
            time.sleep(WATCH_SECONDS)
    if run.phase not in FINISHED:
        run = replace(run, phase="Error", message="the process that carried it out was killed")
    account = draw_up(run, ending.surroundings(run, settings(config), FLAG))
    say(ending.last_words(account, run, places(config.home, name)))
    return exit_code(account.outcome)


def detach(config: Config, parameters: Mapping[str, str], name: str, timeout_seconds: float | None = None) -> Path:
    """Start the same command as a process of its own, which nobody follows; returns its log."""
    told = {**parameters, **({} if timeout_seconds is None else {"timeout": str(timeout_seconds)})}
    options = [word for key, value in told.items() for word in (f"--{key}", value)]
    argv = [sys.executable, "-m", "workflows.promote", FLAG, "--run", name, *options]
    process = Daemon(config.home / "runs" / ".detached", name)
    with submitting():
        daemon.start(process, argv, os.environ, CHECKOUT)
    return process.file("log")


def _new(
    config: Config, template: str, parameters: Mapping[str, str], name: str, timeout_seconds: float | None = None
) -> int:
    with submitting():
        session = begin(config, os.environ)
    manifest = render.manifest(config, template)
    return conduct(manifest, session, lambda engine: engine.run(parameters, name), None, timeout_seconds)


def conduct(
    manifest: Mapping[str, Any],
    session: Session,
    carry_out: Callable[[Engine], Run],
    known: Run | None = None,
    timeout_seconds: float | None = None,
) -> int:
    """``carry_out`` runs or retries on the engine that it is given; ``known`` is a run that is retried, as it was.

    Returns the command's exit code. Raises NotSubmitted when the engine does not take it.
    """
    with ExitStack() as until_the_last_word:
        with following(sys.stdout, known) as follower:
            with submitting():
                told = sources(session, os.environ)
                engine = Engine(manifest, session.home, told, follower.update, lambda w: follower.note(SAID[w]))
            interrupts = Interrupts(engine, timeout_seconds)
            until_the_last_word.enter_context(_handled(interrupts, timeout_seconds))
            with submitting((StepError,)):  # a disk that is full may end it when much of it is done
                run = carry_out(engine)
        account = draw_up(run, ending.surroundings(run, session.settings, FLAG))
        say(interrupts.preface(run) + ending.last_words(account, run, places(session.home, run.name)))
    interrupted = interrupts.interrupted and run.phase != "Succeeded"
    return exit_code(account.outcome, interrupted=interrupted, timed_out=interrupts.timed_out)


def places(home: Path, run: str) -> tuple[str, ...]:
    """Where more of a run can be seen: its report, and its steps' logs."""
    return tuple(str(path) for path in (home / "reports" / run / "report.html", home / "runs" / run) if path.exists())


@contextmanager
def _handled(interrupts: Interrupts, timeout_seconds: float | None) -> Iterator[None]:
    ignored = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN  # by nohup: the run outlives its terminal
    handled = [number for number in SIGNALS if not (ignored and number == signal.SIGHUP)]
    before = {number: signal.signal(number, interrupts) for number in handled}
    signal.setitimer(signal.ITIMER_REAL, timeout_seconds or 0.0)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        for number, handler in before.items():
            signal.signal(number, handler)
