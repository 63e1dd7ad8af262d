"""Go back to an earlier release: python -m workflows.rollback --deployment NAME."""

import os
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from steps.core.names import Layout, check_deployment, check_release_id
from steps.core.release import Release
from steps.errors import Missing
from workflows import command
from workflows.checkout import typed
from workflows.command import LocalFlag

if TYPE_CHECKING:
    from steps.ports.serving import Held
    from workflows.config import Config


def rollback(
    *,
    deployment: Annotated[str, typer.Option(metavar="NAME", help="The name that clients know.")],
    to: Annotated[
        str | None, typer.Option("--to", metavar="RELEASE", help="A release from the history; else the previous one.")
    ] = None,
    local: LocalFlag = False,
) -> int:
    """Go back to an earlier release: prove its bytes, start it, test it, and lead clients to it.

    What serves until then is not promoted again by itself. Exit codes are those of promote.
    """
    from workflows import config

    with command.usage():
        settings = config.load(local=local)
        check_deployment(deployment)
        if to is not None:
            check_release_id(to)
    command.require_local(local=local, what="submit")
    return _local(settings, deployment, to)


def target(held: "Held", deployment: str, to: str | None) -> str | None:
    """The release to go back to; None where it is live already. Raises Missing where there is none."""
    wanted = to or held.record.previous
    if wanted is None:
        listed = typed("workflows.history", "--deployment", deployment, "--local")
        raise Missing(f"{deployment} has no previous release; say which with --to, `{listed}` lists them")
    return None if wanted == held.record.live else wanted


def parameters(release: Release) -> dict[str, str]:
    """Of the rollback's workflow: what identifies the bytes, so that it needs no Hub."""
    return {
        "model": release.model,
        "commit": release.commit,
        "manifest_sha256": release.manifest_sha256,
        "release_id": release.release_id,
        "deployment": release.deployment,
    }


def _local(config: "Config", deployment: str, to: str | None) -> int:
    from steps.clients import serving
    from workflows.local.verbs import conduct, session

    place = serving.connect(session.settings(config), deployment)
    wanted = target(place.read(), deployment, to)
    if wanted is None:
        command.say(f"already live: release {to} serves at {place.url}; nothing was changed")
        return 0
    release = place.release(wanted) or _from_store(config, deployment, wanted)
    return conduct.rollback(config, parameters(release), conduct.run_name("rollback"))


def _from_store(config: "Config", deployment: str, release_id: str) -> Release:
    """Of an older one, which is kept nowhere else. Raises Missing."""
    from steps import releases
    from steps.clients import store
    from workflows.local.verbs import session

    with command.submitting():
        begun = session.begin(config, os.environ)
    session.become(begun)
    return releases.read(store.connect(begun.settings), Layout(config.prefix), deployment, release_id).release


def main() -> int:
    return command.run("rollback", rollback)


if __name__ == "__main__":
    sys.exit(main())
