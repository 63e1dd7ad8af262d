"""Bring a model into service: python -m workflows.promote --model ORG/NAME."""

import sys
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from workflows import command
from workflows.checkout import typed
from workflows.command import LocalFlag

if TYPE_CHECKING:  # what a command needs is imported when it is known to be needed, so that --help answers at once
    from steps.core.catalog import Catalog
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
        float | None,
        typer.Option(min=1, metavar="SECONDS", help="Stop the run when it takes longer; what served goes on."),
    ] = None,
    run: Annotated[str | None, typer.Option(hidden=True, help="Its name.")] = None,
) -> int:
    """Bring a model into service: fetch, prove, start, test, promote; else what served goes on serving.

    In a cluster Argo carries out the run, which goes on when Ctrl-C ends the following; with --local Ctrl-C stops it.
    Exit code: 0 promoted or already live; 1 failed or refused, what served before serves; 2 usage; 3 could not
    submit, or lost sight of it; 4 the rollback failed; 124 timed out; 130 interrupted.
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
    if timeout and not (wait or local):
        raise command.Usage("with --no-wait nobody would be there to stop the run; leave out --timeout, or wait")
    asked = _checked(settings, (model, revision, deployment), installed=not (local or output))
    if output is not None:
        return _render(settings, asked)
    if dry_run:
        return _plan(settings, asked, local=local)
    begin = _on_this_machine if local else _in_the_cluster
    return begin(settings, asked, run, timeout, wait=wait)


def _checked(config: "Config", given: tuple[str | None, str | None, str | None], *, installed: bool) -> "Asked":
    """By the catalog that the run will go by."""
    from workflows import asked

    model, revision, deployment = given
    if model is None:
        raise command.Usage("say which model with --model ORG/NAME")

    def read() -> "Catalog":
        if not installed:
            return asked.read_catalog(config)
        from workflows.argo import session

        return session.installed_catalog(config, "submit")

    with command.usage():
        return asked.checked(read, model, revision, deployment)


def _render(config: "Config", asked: "Asked") -> int:
    from workflows import render

    command.say(render.promotion(config, asked.parameters))
    return 0


def _plan(config: "Config", asked: "Asked", *, local: bool) -> int:
    from workflows import plan

    if local:
        from workflows.local.verbs import survey as here

        command.say(plan.text(here.survey(config, asked)))
    else:
        from workflows.argo import survey as there

        command.say(plan.text(there.survey(config, asked)))
    return 0


def _on_this_machine(config: "Config", asked: "Asked", name: str | None, timeout: float | None, *, wait: bool) -> int:
    from workflows.local.verbs import conduct
    from workflows.naming import run_name

    name = name or run_name("promote")
    if wait:
        return conduct.promotion(config, asked.parameters, name, timeout)
    log = conduct.detach(config, asked.parameters, name, timeout)
    command.say(f"started {name}; it writes to {log}; follow it with `{typed('workflows.watch', name, '--local')}`")
    return 0


def _in_the_cluster(config: "Config", asked: "Asked", name: str | None, timeout: float | None, *, wait: bool) -> int:
    from steps.core.installed import PROMOTE_TEMPLATE
    from workflows.argo import conduct, submit

    run = submit.submit(config, PROMOTE_TEMPLATE, asked.parameters, name)
    if wait:
        return conduct.follow(run, timeout)
    command.say(
        "\n".join(filter(None, (f"submitted {run.name}; {conduct.on_its_own(run)}", conduct.link(config, run.name))))
    )
    return 0


def _retry(config: "Config", run: str, timeout: float | None, *, local: bool) -> int:
    if local:
        from workflows.local.verbs import conduct as here

        return here.again(config, run, timeout)
    from workflows.argo import conduct as there
    from workflows.argo import submit

    return there.follow(submit.again(config, run), timeout)


def main() -> int:
    return command.run("promote", promote)


if __name__ == "__main__":
    sys.exit(main())
