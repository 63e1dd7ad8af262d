"""Let a refused release be tried again: python -m workflows.allow."""

import sys
from typing import Annotated

import typer

from steps.core import rollout
from steps.core.names import check_deployment, check_release_id
from steps.errors import Missing
from steps.ports.serving import Serving
from workflows import command
from workflows.command import LocalFlag


def allow(
    *,
    deployment: Annotated[str, typer.Option(metavar="NAME", help="The name that clients know.")],
    release: Annotated[str, typer.Option(metavar="ID", help="12 hex digits, as status and history print.")],
    local: LocalFlag = False,
) -> int:
    """Let a release that failed before, or was rolled back by hand, be promoted again."""
    from workflows import config

    with command.usage():
        settings = config.load(local=local)
        check_deployment(deployment)
        check_release_id(release)
    command.require_local(local=local, what="ask")

    from steps.clients import serving
    from workflows.local.verbs import session

    lift(serving.connect(session.settings(settings), deployment), deployment, release)
    command.say(f"release {release} of {deployment} may be promoted again")
    return 0


def lift(serving: Serving, deployment: str, release: str) -> None:
    """Raises Missing where it is not refused, Conflict where the record changes meanwhile."""
    held = serving.read()
    if release not in held.record.refused:
        refused = ", ".join(held.record.refused) or "none is"
        raise Missing(
            f"release {release} of {deployment} is not refused, so there is nothing to allow; refused: {refused}"
        )
    serving.swap(held, rollout.allow(held.record, release))


def main() -> int:
    return command.run("allow", allow)


if __name__ == "__main__":
    sys.exit(main())
