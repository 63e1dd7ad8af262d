"""Stop one run, or all that runs on this machine: python -m workflows.stop."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from steps.core.names import check_run
from steps.errors import Conflict
from workflows import command
from workflows.checkout import typed

if TYPE_CHECKING:
    from steps.clients.local.journal import LocalJournal
    from workflows.config import Config

PATIENCE_SECONDS = 600.0
"""For the exit handler of a run that is ended: it may have to load the previous model."""
SETTLE_SECONDS = 2.0
"""A run that was just killed lives on in its steps for a moment."""


def stop(
    *,
    run: Annotated[str | None, typer.Option(metavar="NAME", help="Stop this run: what served goes on.")] = None,
    now: Annotated[
        bool, typer.Option("--now", help="End the run without putting right what it began; in a cluster only.")
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Without --run: also where a promotion is at work, end that first.")
    ] = False,
    local: Annotated[
        bool, typer.Option("--local", help="On this machine; understood where no --run is given.")
    ] = False,
) -> int:
    """Stop one run: in the cluster, or with --local on this machine. Its exit handler brings back what served.

    Without --run: stop the model servers, the endpoints and the embedded services of this machine. All data stays; the
    next promotion starts again what it needs, with the models that were live.
    """
    from workflows import config

    here = local or run is None
    if now and here:
        raise command.Usage("--now ends a run in the cluster; say which with --run NAME, and leave out --local")
    if force and run is not None:
        raise command.Usage(f"--force is for all of this machine; leave it out to stop run {run}")
    with command.usage():
        settings = config.load(local=here)
    if run is not None:
        return _one(settings, run, local=local, now=now)
    stopped = everything(settings.home, force=force)
    command.say("\n".join(f"stopped {name}" for name in stopped) or "nothing was running")
    return 0


def everything(home: Path, *, force: bool) -> tuple[str, ...]:
    """Names of what ran. Waits until nothing of it is left. Raises Conflict while a run is at work, unless forced."""
    from steps.clients.local import daemon, serving
    from workflows.local import hub, seaweed

    runs = _end_runs(home, force=force)
    services = tuple(d.name for d in daemon.found(home / "services") if daemon.running(d))
    servers = serving.stop_everything(home)
    hub.stop(home)
    seaweed.stop(home)
    return (*runs, *servers, *services)


def _one(config: "Config", name: str, *, local: bool, now: bool) -> int:
    if local:
        from workflows.local.verbs import living

        living.end(_at_work(config.home, name), name, PATIENCE_SECONDS)
        command.say(f"stopped {name}")
        return 0
    from workflows.argo import submit

    submit.end(config, name, now=now)
    if now:
        command.say(
            f"ending {name} at once: the reconciler, or the next promotion, puts right what it leaves unfinished"
        )
    else:
        command.say(f"stopping {name}: what was begun is put right; see how with `{typed('workflows.watch', name)}`")
    return 0


def _at_work(home: Path, name: str) -> "LocalJournal":
    """Raises Usage where the run is not."""
    from steps.clients.local.journal import LocalJournal

    with command.usage():
        check_run(name)
    journal = LocalJournal(home)
    if not journal.alive(name):
        raise command.Usage(f"run {name} is not at work on this machine, so there is nothing to stop")
    return journal


def _end_runs(home: Path, *, force: bool) -> tuple[str, ...]:
    from steps.clients.local.journal import LocalJournal
    from workflows.local.verbs import living

    journal = LocalJournal(home)
    runs = living.living(journal)
    if runs and not force:
        runs = living.settled(journal, SETTLE_SECONDS)
    if runs and not force:
        at_work = ", ".join(f"{r.name} on {r.deployment or 'no deployment yet'}" for r in runs)
        raise Conflict(f"a run is at work: {at_work}; wait for its end, press Ctrl-C where it runs, or add --force")
    for run in runs:
        living.end(journal, run.name, PATIENCE_SECONDS)
    return tuple(run.name for run in runs)


def main() -> int:
    return command.run("stop", stop)


if __name__ == "__main__":
    sys.exit(main())
