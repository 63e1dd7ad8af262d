"""Follow a run that was started before: python -m workflows.watch RUN."""

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from workflows import command
from workflows.command import LocalFlag

if TYPE_CHECKING:
    from workflows.config import Config


def watch(
    run: Annotated[str, typer.Argument(metavar="RUN", help="Its name, as promote printed it or the UI shows it.")],
    *,
    local: LocalFlag = False,
    timeout: Annotated[
        float | None, typer.Option(min=1, metavar="SECONDS", help="Stop the run when it takes longer from now on.")
    ] = None,
) -> int:
    """Follow a run to its end, whoever started it and however; it goes on when the following ends.

    Exit codes are those of promote: of a run that is over already, too.
    """
    from workflows import config

    with command.usage():
        settings = config.load(local=local)
    if local:
        return _on_this_machine(settings, run, timeout)
    from workflows.argo import conduct, submit

    return conduct.follow(submit.picked_up(settings, run), timeout)


def _on_this_machine(config: "Config", run: str, timeout: float | None) -> int:
    from workflows.local.verbs import conduct

    if timeout is not None:
        raise command.Usage("--timeout stops a run in the cluster; with --local give it to promote")
    return conduct.watched(config, run)


def main() -> int:
    return command.run("watch", watch)


if __name__ == "__main__":
    sys.exit(main())
