"""Have a run carried out by Argo while a person watches, and say at the end what they should know.

The run is the cluster's: it goes on when nobody watches. Only the end of the time it was given makes it stop.
"""

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from types import FrameType
from typing import NoReturn

from steps.clients.clock import SystemClock
from steps.contracts import REPORT
from steps.core import argo, labels
from steps.core.account import Account, draw_up
from steps.core.names import Layout
from steps.core.outcome import INTERRUPTED_EXIT, exit_code
from steps.core.run import Run
from steps.core.serverlog import log_name
from workflows import ending
from workflows.argo import session
from workflows.argo.advice import Adviser
from workflows.argo.patience import OutOfSight
from workflows.argo.submit import Underway
from workflows.argo.watch import Watch
from workflows.checkout import typed
from workflows.command import NOT_SUBMITTED_EXIT, say
from workflows.config import Config
from workflows.follow import Follower, following


def follow(run: Underway, timeout_seconds: float | None = None) -> int:
    """To its end, or until a Ctrl-C; returns the command's exit code. When its time is over the run is stopped."""
    try:
        with _interruptible(), following(sys.stdout, run.known) as follower:
            last, timed_out = _to_its_end(run, follower, timeout_seconds)
    except KeyboardInterrupt:
        say(f"no longer followed: run {run.name} goes on; {on_its_own(run)}")
        return INTERRUPTED_EXIT
    except OutOfSight as err:
        say(f"lost sight of run {run.name}, which may well go on: {err}; {on_its_own(run)}")
        return NOT_SUBMITTED_EXIT
    account = draw_up(last, ending.surroundings(last, session.settings(run.config), flag=""))
    preface = "timed out: " if timed_out and last.phase != "Succeeded" else ""
    say(preface + ending.last_words(account, last, tuple(_places(run.config, last, account))))
    return exit_code(account.outcome, timed_out=timed_out)


def on_its_own(run: Underway) -> str:
    """How to come back to a run that nobody follows."""
    watch, stop = typed("workflows.watch", run.name), typed("workflows.stop", "--run", run.name)
    return f"follow it with `{watch}`, stop it with `{stop}`"


def link(config: Config, run: str) -> str:
    """To the run in Argo's UI; empty where nobody has said where that is."""
    return f"{config.argo_ui_url.rstrip('/')}/workflows/{config.namespace}/{run}" if config.argo_ui_url else ""


def _to_its_end(run: Underway, follower: Follower, timeout_seconds: float | None) -> tuple[Run, bool]:
    """The run as it ended, and whether its time was over before."""
    clock = SystemClock()
    watch = Watch(run.access, run.name, clock, follower.note)
    adviser = Adviser(run.name, run.config.namespace, clock, follower.note)
    deadline = None if timeout_seconds is None else clock.now() + timeout_seconds
    last = _told(watch.states(deadline), follower, adviser)
    if argo.is_over(last):
        return last, False
    follower.note("its time is over: stopping it; what was begun is put right first")
    watch.stop()
    return _told(watch.states(last=last), follower, adviser), True


def _told(states: Iterator[Run], follower: Follower, adviser: Adviser) -> Run:
    """The last one."""
    for state in states:
        follower.update(state)
        adviser.look(state)
    return state


def _places(config: Config, run: Run, account: Account) -> Iterator[str]:
    if where := link(config, account.run):
        yield where
    reports = partial(Layout(config.prefix).report, account.run)
    if account.outcome != "live":
        yield f"s3://{config.bucket}/{reports('report.html')}"
    log = reports(log_name(account.release.release_id)) if account.release else ""
    if log and log in run.output(REPORT.name, "summary"):  # the report has seen that it is there
        yield f"s3://{config.bucket}/{log}"
    if account.failed_step:
        of = f"{argo.RUN}={account.run},{labels.COMPONENT}={account.failed_step}"
        yield f"kubectl --namespace {config.namespace} logs --container main --tail -1 --selector {of}"


@contextmanager
def _interruptible() -> Iterator[None]:
    """SIGTERM ends the following as Ctrl-C does."""

    def interrupt(_number: int, _frame: FrameType | None) -> NoReturn:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
