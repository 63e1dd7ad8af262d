"""Take an installation out of a cluster, and keep its data: python -m workflows.uninstall."""

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from workflows import command
from workflows.cluster import session
from workflows.cluster.session import Consent

if TYPE_CHECKING:
    from steps.clients.kube.api import Api
    from workflows.config import Config


def uninstall(
    *,
    namespace: Annotated[str | None, typer.Option(metavar="NAME", help="Where it was installed.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would go; remove nothing.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Remove without asking.")] = False,
) -> int:
    """Take out what install put in. Models, Secrets and what serves stay; how to remove them is said.

    Exit code: 0 done, or nothing to do; 1 failed, or not agreed to; 2 usage; 3 no cluster can be reached.
    """
    from workflows import config

    with command.usage():
        settings = config.load(local=False, flags={"namespace": namespace})
    return _uninstall(settings, Consent(dry_run=dry_run, yes=yes))


def _uninstall(config: "Config", consent: Consent) -> int:
    api = session.connect(config)
    command.say(f"Namespace {config.namespace} at {api.server}\n")
    return remove(api, config, consent)


def remove(api: "Api", config: "Config", consent: Consent) -> int:
    """Raises Conflict while a run is at work or one is unfinished, Refused where nobody agrees."""
    from workflows.cluster import plan as plans
    from workflows.cluster import removal, shown

    with session.asking():
        removal.require_rest(api)
        models = removal.claim_of(api, config)
        plan = removal.plan(api, config)
    command.say(shown.text(plan) if plan else "Nothing is installed.")
    if plan and consent.dry_run:
        command.say("\nThis was a dry run: nothing was removed.")
    elif plan:
        session.require_agreement(f"Remove this from namespace {config.namespace}?", consent)
        with session.asking():
            removal.require_rest(api)  # that may have been a while
        starters, rest = removal.in_two(plan)
        plans.carry_out(api, starters, take_over=False)
        removal.require_nothing_begun(api)
        plans.carry_out(api, rest, take_over=False)
        command.say("\nDone.")
    _tell_what_stays(api, config, models)
    return 0


def _tell_what_stays(api: "Api", config: "Config", models: str) -> None:
    from workflows.cluster import removal

    command.say("\nThis stays, as does everything in the store. To remove it for good:")
    for each in removal.stays(api, config, models):
        command.say(f"  {each.what}\n    {each.command}")


def main() -> int:
    return command.run("uninstall", uninstall)


if __name__ == "__main__":
    sys.exit(main())
