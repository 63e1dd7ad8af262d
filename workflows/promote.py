"""Bring a model into service: python -m workflows.promote --model ORG/NAME."""

import sys
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from workflows import command
from workflows.checkout import typed
from workflows.command import LocalFlag

if TYPE_CHECKING:  # what a command needs is imported when it is known to be needed, so that --help answers at once
    from workflows.asked import Asked
    from workflows.config import Config

Rendered = Literal["yaml"]


def promote(  # noqa: PLR0913  # typer makes an option of each
    *,
    model: Annotated[str | None, typer.Option(metavar="ORG/NAME", help="The model's name on the Hub.")] = None,
    revision: Annotated[
        str | None, typer.Option(metavar="REV", help="Branch, tag or commit; else the catalog's, else main.")
    ] = None,
    deployment: Annotated[
        str | None, typer.Option(metavar="NAME", help="The name that clients know; else the catalog's, else made up.")
    ] = None,
    local: LocalFlag = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the plan, and change nothing.")] = False,
    output: Annotated[
        Rendered | None, typer.Option("-o", "--output", help="Print the manifests of the run, and stop.")
    ] = None,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Follow the run to its end, or only start it.")] = True,
    retry: Annotated[
        str | None, typer.Option(metavar="RUN", help="Go on with a run that failed: what succeeded is kept.")
    ] = None,
    timeout: Annotated[
        float | None, typer.Option(min=1, metavar="SECONDS", help="Stop the run when it takes longer, as Ctrl-C does.")
    ] = None,
    run: Annotated[str | None, typer.Option(hidden=True, help="Its name, for --no-wait.")] = None,
) -> int:
    """Bring a model into service: fetch, prove, start, test, promote; else what served goes on serving.

    Exit code: 0 promoted or already live; 1 failed or refused, the previous model serves; 2 usage; 3 could not
    submit; 4 the rollback failed; 124 timed out; 130 interrupted.
    """
    from workflows import config

    with command.usage():
        settings = config.load(local=local)
    if retry is not None:
        if model or revision or deployment or dry_run or output or not wait:
            raise command.Usage(
                f"--retry {retry} goes on with what that run was asked for; give --local and --timeout beside it only"
            )
        return _retry(settings, retry, timeout, local=local)
    if dry_run and output:
        raise command.Usage("--dry-run shows the plan and --output the manifests; ask for one of them")
    asked = _checked(settings, model, revision, deployment)
    if output is not None:
        return _render(settings, asked)
    command.require_local(local=local, what="submit")
    if dry_run:
        return _plan(settings, asked)
    return _run(settings, asked, run, timeout) if wait else _start(settings, asked, timeout)


def _checked(config: "Config", model: str | None, revision: str | None, deployment: str | None) -> "Asked":
    from workflows import asked

    if model is None:
        raise command.Usage("say which model with --model ORG/NAME")
    with command.usage():
        return asked.checked(config, model, revision, deployment)


def _render(config: "Config", asked: "Asked") -> int:
    from workflows import render

    command.say(render.promotion(config, asked.parameters))
    return 0


def _plan(config: "Config", asked: "Asked") -> int:
    from workflows import plan
    from workflows.local.verbs import survey

    command.say(plan.text(survey.survey(config, asked)))
    return 0


def _run(config: "Config", asked: "Asked", name: str | None, timeout: float | None) -> int:
    from workflows.local.verbs import conduct

    return conduct.promotion(config, asked.parameters, name or conduct.run_name("promote"), timeout)


def _start(config: "Config", asked: "Asked", timeout: float | None) -> int:
    from workflows.local.verbs import conduct

    run = conduct.run_name("promote")
    log = conduct.detach(config, asked.parameters, run, timeout)
    command.say(f"started {run}; it writes to {log}; see also: {typed('workflows.status', '--local')}")
    return 0


def _retry(config: "Config", run: str, timeout: float | None, *, local: bool) -> int:
    from workflows.local.verbs import conduct

    command.require_local(local=local, what="retry")
    return conduct.again(config, run, timeout)


def main() -> int:
    return command.run("promote", promote)


if __name__ == "__main__":
    sys.exit(main())
