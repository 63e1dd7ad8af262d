"""Stop all that runs on this machine, and keep its data: python -m workflows.stop."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from steps.errors import Conflict
from workflows import command

PATIENCE_SECONDS = 600.0
"""For the exit handler of a run that is ended: it may have to load the previous model."""
SETTLE_SECONDS = 2.0
"""A run that was just killed lives on in its steps for a moment."""


def stop(
    *,
    force: Annotated[bool, typer.Option("--force", help="Also where a promotion is at work: end that first.")] = False,
    local: Annotated[bool, typer.Option("--local", help="Understood: there is nothing else to stop.")] = True,  # noqa: ARG001
) -> int:
    """Stop the model servers, the endpoints and the embedded services of this machine; all data stays.

    The next promotion starts again what it needs, with the models that were live.
    """
    from workflows import config

    with command.usage():
        home = config.load(local=True).home
    stopped = everything(home, force=force)
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
