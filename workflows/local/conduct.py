"""Carry out a run on this machine while a person watches, and say at the end what they should know."""

import os
import secrets
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Any

from steps import report
from steps.clients import serving
from steps.clients.local import daemon
from steps.clients.local.daemon import Daemon
from steps.clients.local.journal import LocalJournal
from steps.core.account import ROLLBACK_TEMPLATE, Account, Surroundings, draw_up
from steps.core.amounts import seconds
from steps.core.names import check_deployment, check_run
from steps.core.outcome import exit_code
from steps.core.run import Run
from steps.core.words import advice, headline, serves
from steps.errors import StepError
from steps.settings import Settings
from workflows import render
from workflows.command import Usage, say, submitting, usage
from workflows.config import CHECKOUT, Config
from workflows.follow import following
from workflows.local.engine import Engine
from workflows.local.session import Session, begin, sources
from workflows.template import PROMOTE_TEMPLATE

FLAG = "--local"
SIGNALS = (signal.SIGINT, signal.SIGTERM)


@dataclass
class Interrupts:
    """The first one stops the run: its exit handler brings back what served. The second ends it at once."""

    engine: Engine
    note: Callable[[str], None]
    count: int = 0

    def __call__(self, _number: int, _frame: FrameType | None) -> None:
        self.count += 1
        if self.count == 1:
            self.engine.stop()
            self.note("stopping: what was begun is put right first; once more to end at once")
        else:
            self.engine.terminate()
            self.note("ending at once: the next run puts right what is left unfinished")


def promotion(config: Config, parameters: Mapping[str, str], name: str) -> int:
    """Returns the command's exit code, as all of these do."""
    return _new(config, PROMOTE_TEMPLATE, parameters, name)


def rollback(config: Config, parameters: Mapping[str, str], name: str) -> int:
    """To the release that the parameters identify."""
    return _new(config, ROLLBACK_TEMPLATE, parameters, name)


def again(config: Config, name: str) -> int:
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
    return conduct(render.manifest(config, known.template), session, lambda engine: engine.retry(known), known)


def detach(config: Config, parameters: Mapping[str, str], name: str) -> Path:
    """Start the same command as a process of its own, which nobody follows; returns its log."""
    options = [word for key, value in parameters.items() for word in (f"--{key}", value)]
    argv = [sys.executable, "-m", "workflows.promote", FLAG, "--run", name, *options]
    process = Daemon(config.home / "runs" / ".detached", name)
    with submitting():
        daemon.start(process, argv, os.environ, CHECKOUT)
    return process.file("log")


def run_name(verb: str) -> str:
    """A new one: ``promote-20261122-030405-ab12``, UTC."""
    return f"{verb}-{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"


def _new(config: Config, template: str, parameters: Mapping[str, str], name: str) -> int:
    with submitting():
        session = begin(config, os.environ)
    return conduct(render.manifest(config, template), session, lambda engine: engine.run(parameters, name))


def conduct(
    manifest: Mapping[str, Any],
    session: Session,
    carry_out: Callable[[Engine], Run],
    known: Run | None = None,
) -> int:
    """``carry_out`` runs or retries on the engine that it is given; ``known`` is a run that is retried, as it was.

    Returns the command's exit code. Raises NotSubmitted when the engine does not take it.
    """
    with ExitStack() as until_the_last_word:
        with following(sys.stdout, known) as follower:
            with submitting():
                engine = Engine(manifest, session.home, sources(session, os.environ), follower.update)
            interrupts = Interrupts(engine, follower.note)
            until_the_last_word.enter_context(_handled(interrupts))
            with submitting():
                run = carry_out(engine)
        account = draw_up(run, surroundings(run, session.settings))
        interrupted = interrupts.count > 0 and run.phase != "Succeeded"
        say(("interrupted: " if interrupted else "") + last_words(account, session.home))
    return exit_code(account.outcome, interrupted=interrupted)


def surroundings(run: Run, settings: Settings) -> Surroundings:
    """What is true once it is over; a record that cannot be read is said to be so."""
    resolve = run.node("resolve")
    deployment = (resolve.outputs.get("deployment") if resolve else None) or run.parameters["deployment"]
    try:
        return report.look(run, serving.connect(settings, check_deployment(deployment)), FLAG)
    except StepError as err:
        say(f"the record of {deployment} could not be read: {err}")
        return Surroundings(flag=FLAG)


def last_words(account: Account, home: Path) -> str:
    """What happened, why, what serves, where to look, what to do: the first line says the outcome."""
    report, logs = home / "reports" / account.run / "report.html", home / "runs" / account.run
    outage = f"clients had no answer for {seconds(account.outage_seconds)}" if account.outage_seconds else ""
    rows = (
        ("why", account.failure),
        ("serves", serves(account)),
        ("outage", outage),
        *(("look at", str(path)) for path in (report, logs) if path.exists()),
        *(("next", item) for item in advice(account)),
    )
    step = f" ({account.failed_step})" if account.failed_step else ""
    return "\n".join((f"{headline(account)}{step}", *(f"  {label:<9}{text}" for label, text in rows if text)))


@contextmanager
def _handled(interrupts: Interrupts) -> Iterator[None]:
    before = {number: signal.signal(number, interrupts) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
