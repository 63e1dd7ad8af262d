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
    from collections.abc import Callable

    from steps.ports.serving import Held, Serving
    from steps.ports.store import Store
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
    go = _on_this_machine if local else _in_the_cluster
    return go(settings, deployment, to)


def target(held: "Held", deployment: str, to: str | None, flag: str) -> str | None:
    """The release to go back to; None where it is live already. Raises Missing where there is none."""
    wanted = to or held.record.previous
    if wanted is None:
        listed = typed("workflows.history", *filter(None, ("--deployment", deployment, flag)))
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


def _on_this_machine(config: "Config", deployment: str, to: str | None) -> int:
    from steps.clients import serving, store
    from workflows.local.verbs import conduct, session

    def documents() -> "Store":
        with command.submitting():
            begun = session.begin(config, os.environ)
        session.become(begun)
        return store.connect(begun.settings)

    place = serving.connect(session.settings(config), deployment)
    release = _wanted(place, documents, target(place.read(), deployment, to, conduct.FLAG), config, deployment)
    if release is None:
        return 0
    return conduct.rollback(config, parameters(release), conduct.run_name("rollback"))


def _in_the_cluster(config: "Config", deployment: str, to: str | None) -> int:
    from steps.clients import serving, store
    from steps.core.account import ROLLBACK_TEMPLATE
    from workflows.argo import conduct, session, submit

    def documents() -> "Store":
        session.become(config)
        return store.connect(session.settings(config))

    with session.reaching("submit"):
        place = serving.connect(session.settings(config), deployment)
    with command.submitting((Transient,)):
        held = place.read()
    release = _wanted(place, documents, target(held, deployment, to, ""), config, deployment)
    if release is None:
        return 0
    return conduct.follow(submit.submit(config, ROLLBACK_TEMPLATE, parameters(release)))


def _wanted(
    place: "Serving", documents: "Callable[[], Store]", release_id: str | None, config: "Config", deployment: str
) -> Release | None:
    """Of an older one the store alone knows. None, and said so, where it is live already. Raises Missing."""
    from steps import releases

    if release_id is None:
        command.say(f"already live: it serves at {place.url}; nothing was changed")
        return None
    if known := place.release(release_id):
        return known
    return releases.read(documents(), Layout(config.prefix), deployment, release_id).release


def main() -> int:
    return command.run("rollback", rollback)


if __name__ == "__main__":
    sys.exit(main())
