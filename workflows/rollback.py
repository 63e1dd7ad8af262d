"""Go back to an earlier release: python -m workflows.rollback --deployment NAME."""

import os
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from steps.core.names import Layout, check_deployment, check_release_id
from steps.core.release import Release
from steps.errors import Missing, Transient
from workflows import command
from workflows.checkout import typed
from workflows.command import LocalFlag

if TYPE_CHECKING:
    from steps.ports.serving import Held, Serving
    from steps.settings import Settings
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

    What serves until then is not promoted again by itself. Where something else serves by the time it is this run's
    turn, nothing is moved. Exit codes are those of promote.
    """
    from workflows import config

    with command.usage():
        settings = config.load(local=local)
        check_deployment(deployment)
        if to is not None:
            check_release_id(to)
    go = _on_this_machine if local else _in_the_cluster
    return go(settings, deployment, to)


def target(held: "Held", deployment: str, to: str | None, flag: str) -> str | None:
    """The release to go back to; None where it is live already. Raises Missing where there is none."""
    wanted = to or held.record.previous
    if wanted is None:
        listed = typed("workflows.history", *filter(None, ("--deployment", deployment, flag)))
        raise Missing(f"{deployment} has no previous release; say which with --to, `{listed}` lists them")
    return None if wanted == held.record.live else wanted


def parameters(release: Release, served: str | None) -> dict[str, str]:
    """Of the rollback's workflow: what identifies the bytes, so that it needs no Hub, and what is to be left.

    ``served`` is live now. A rollback that waits for other runs ends where something else is by then.
    """
    return {
        "model": release.model,
        "commit": release.commit,
        "manifest_sha256": release.manifest_sha256,
        "release_id": release.release_id,
        "deployment": release.deployment,
        "served": served or "",
    }


def _on_this_machine(config: "Config", deployment: str, to: str | None) -> int:
    from steps.clients import serving
    from workflows.local.verbs import conduct, session
    from workflows.naming import run_name

    place = serving.connect(session.settings(config), deployment)
    held = place.read()
    wanted = target(held, deployment, to, conduct.FLAG)
    if wanted is None:
        return _already_live(place)
    release = place.release(wanted)
    if release is None:
        with command.submitting():
            begun = session.begin(config, os.environ)
        session.become(begun)
        release = from_store(begun.settings, deployment, wanted)
    return conduct.rollback(config, parameters(release, held.record.live), run_name("rollback"))


def _in_the_cluster(config: "Config", deployment: str, to: str | None) -> int:
    from steps.clients import serving
    from steps.core.installed import ROLLBACK_TEMPLATE
    from workflows.argo import conduct, session, submit

    settings = session.settings(config)
    with session.reaching("submit"):
        place = serving.connect(settings, deployment)
    with command.submitting():
        held = place.read()
    wanted = target(held, deployment, to, "")
    if wanted is None:
        return _already_live(place)
    with command.submitting():
        release = place.release(wanted)
    if release is None:
        with command.submitting((Transient,)), session.from_here(config):
            release = from_store(settings, deployment, wanted)
    return conduct.follow(submit.submit(config, ROLLBACK_TEMPLATE, parameters(release, held.record.live)))


def from_store(settings: "Settings", deployment: str, release_id: str) -> Release:
    """Of an older one, which is kept nowhere else. Raises Missing."""
    from steps import releases
    from steps.clients import store

    return releases.read(store.connect(settings), Layout(settings.prefix), deployment, release_id).release


def _already_live(place: "Serving") -> int:
    command.say(f"already live at {place.url}; nothing was changed")
    return 0


def main() -> int:
    return command.run("rollback", rollback)


if __name__ == "__main__":
    sys.exit(main())
