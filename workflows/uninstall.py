"""Take an installation out of a cluster, and keep its data: python -m workflows.uninstall."""

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from steps.errors import Refused
from workflows import command

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
    return _uninstall(settings, dry_run=dry_run, yes=yes)


def _uninstall(config: "Config", *, dry_run: bool, yes: bool) -> int:
    from workflows.cluster import plan as plans
    from workflows.cluster import removal, session, shown

    api = session.connect(config)
    with session.reaching():
        removal.require_rest(api)
        plan = removal.plan(api, config)
    command.say(f"Namespace {config.namespace} at {api.server}\n")
    command.say(shown.text(plan) if plan else "Nothing is installed.")
    if plan and dry_run:
        command.say("\nThis was a dry run: nothing was removed.")
    elif plan:
        if not session.agreed(f"\nRemove this from namespace {config.namespace}?", yes=yes):
            raise Refused("not agreed to, so nothing was removed; where nobody can be asked, add --yes")
        plans.carry_out(api, plan, take_over=False)
        command.say("\nDone.")
    _tell_what_stays(api, config)
    return 0


def _tell_what_stays(api: "Api", config: "Config") -> None:
    from workflows.cluster import removal

    command.say("\nThis stays, as does everything in the store. To remove it for good:")
    for each in removal.stays(api, config):
        command.say(f"  {each.what}\n    {each.command}")


def main() -> int:
    return command.run("uninstall", uninstall)


if __name__ == "__main__":
    sys.exit(main())
