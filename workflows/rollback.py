"""Go back to an earlier release: python -m workflows.rollback --deployment NAME."""

import os
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from steps.core.names import Layout, check_deployment, check_release_id
from steps.core.record import Record
from steps.core.release import Release
from steps.errors import Missing, Refused, Transient
from workflows import command
from workflows.checkout import typed
from workflows.command import LocalFlag

if TYPE_CHECKING:
    from steps.ports.serving import Held, Serving
    from steps.ports.store import Store
    from steps.settings import Settings
    from workflows.config import Config

SHOWN = 10
"""Releases that a sentence names."""


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
    """The release to go back to; None where it is live already.

    Raises Missing where there is none, and Refused for one that no run would start: that is told before one begins.
    """
    wanted = to or held.record.previous
    if wanted is None:
        listed = _typed("history", deployment, flag)
        raise Missing(f"{deployment} has no previous release; say which with --to, `{listed}` lists them")
    if wanted == held.record.live:
        return None
    if wanted in held.record.refused:
        what = f"release {wanted} of {deployment}" if to else f"the previous release of {deployment}, {wanted},"
        raise Refused(
            f"{what} is refused: it failed its test, or was rolled back by hand; "
            f"`{_typed('allow', deployment, '--release', wanted, flag)}` lets it be tried again, "
            f"`{_typed('history', deployment, flag)}` lists others for --to"
        )
    return wanted


def require_known(store: "Store", layout: Layout, deployment: str, release_id: str, flag: str) -> None:
    """Raises Missing, naming the releases that there are."""
    if store.stat(layout.release(deployment, release_id)):
        return
    prefix = f"{layout.all_releases}{deployment}/"
    known = sorted(key.removeprefix(prefix).removesuffix(".json") for key in store.list(prefix))
    more = f" and {len(known) - SHOWN} more" if len(known) > SHOWN else ""
    raise Missing(
        f"there is no release {release_id} of {deployment}; there are: {', '.join(known[:SHOWN]) or 'none'}{more}; "
        f"`{_typed('history', deployment, flag)}` tells of each; give one with --to"
    )


def _typed(verb: str, deployment: str, *more: str) -> str:
    return typed(f"workflows.{verb}", *filter(None, ("--deployment", deployment, *more)))


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
    _require_deployment(held, lambda: serving.deployments(session.settings(config)), deployment)
    wanted = target(held, deployment, to, conduct.FLAG)
    if wanted is None:
        return _already_live(place)
    release = place.release(wanted)
    if release is None:
        with command.submitting():
            begun = session.begin(config, os.environ)
        session.become(begun)
        release = from_store(begun.settings, deployment, wanted, conduct.FLAG)
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
        _require_deployment(held, lambda: serving.deployments(settings), deployment)
    wanted = target(held, deployment, to, "")
    if wanted is None:
        return _already_live(place)
    with command.submitting():
        release = place.release(wanted)
    if release is None:
        with command.submitting((Transient,)), session.from_here(config):
            release = from_store(settings, deployment, wanted, "")
    return conduct.follow(submit.submit(config, ROLLBACK_TEMPLATE, parameters(release, held.record.live)))


def from_store(settings: "Settings", deployment: str, release_id: str, flag: str) -> Release:
    """Of an older one, which is kept nowhere else. Raises Missing."""
    from steps import releases
    from steps.clients import store

    documents, layout = store.connect(settings), Layout(settings.prefix)
    require_known(documents, layout, deployment, release_id, flag)
    return releases.read(documents, layout, deployment, release_id).release


def _require_deployment(held: "Held", known: Callable[[], Sequence[str]], deployment: str) -> None:
    """Of one without a record ``known`` is asked. Raises Usage, naming those that there are."""
    from steps.reconcile import chosen

    if held.record != Record():
        return
    names = known()
    with command.usage():
        chosen(names, deployment)


def _already_live(place: "Serving") -> int:
    command.say(f"already live at {place.url}; nothing was changed")
    return 0


def main() -> int:
    return command.run("rollback", rollback)


if __name__ == "__main__":
    sys.exit(main())
