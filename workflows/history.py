"""Show what was promoted, refused and rolled back: python -m workflows.history."""

import json
import logging
import os
import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from steps.core.amounts import seconds
from steps.core.history import Entry, parse
from steps.core.names import Layout, check_deployment
from steps.errors import Corrupt
from steps.ports.store import Store
from workflows import command
from workflows.command import DeploymentOption, LocalFlag, OutputOption

if TYPE_CHECKING:
    from workflows.config import Config

log = logging.getLogger(__name__)


def history(
    *,
    deployment: DeploymentOption = None,
    limit: Annotated[int, typer.Option(min=1, help="So many, the newest first.")] = 50,
    local: LocalFlag = False,
    output: OutputOption = "text",
) -> int:
    """Show how the runs of a deployment, or of all, ended; newest first.

    Exit code: 0; 3 where nobody could be asked.
    """
    from workflows import config

    with command.usage():
        settings = config.load(local=local)
        if deployment is not None:
            check_deployment(deployment)
    entries = (_on_this_machine if local else _in_the_cluster)(settings, deployment, limit)
    if output == "json":
        command.say(json.dumps([entry.to_json() for entry in entries], indent=1))
    else:
        command.say("\n".join(map(line, entries)) or "no run is on record")
    return 0


def read(store: Store, layout: Layout, deployments: Iterable[str], limit: int) -> list[Entry]:
    """Newest first. An entry that is damaged is left out, and said so."""
    keys = {key.rpartition("/")[2]: key for d in deployments for key in store.list(layout.history_prefix(d))}
    newest = (keys[name] for name in sorted(keys, reverse=True)[:limit])
    return [entry for key in newest if (entry := _entry(key, store.get(key))) is not None]


def line(entry: Entry) -> str:
    """One run; why it did not end well stands below."""
    commit, release = (entry.commit or "no commit")[:12], entry.release_id or "unknown"
    what = f"{entry.model or 'unknown'} at {commit}  release {release}"
    cost = f"  outage {seconds(entry.outage_seconds)}" if entry.outage_seconds else ""
    why = f"\n    {entry.message}" if entry.message else ""
    return f"{entry.at}  {entry.deployment}  {entry.words:<19}  {what}{cost}{why}"


def _entry(key: str, body: bytes | None) -> Entry | None:
    try:
        return parse(body or b"", key)
    except Corrupt as err:
        log.warning("left out: %s", err)
        return None


def _on_this_machine(config: "Config", deployment: str | None, limit: int) -> list[Entry]:
    from steps.clients import store
    from steps.clients.local.serving import deployments
    from workflows.local.verbs import session

    with command.submitting():
        begun = session.begin(config, os.environ)
    session.become(begun)
    wanted = [deployment] if deployment else deployments(config.home)
    with command.submitting(what="ask"):
        return read(store.connect(begun.settings), Layout(config.prefix), wanted, limit)


def _in_the_cluster(config: "Config", deployment: str | None, limit: int) -> list[Entry]:
    """No cluster is needed where the name is known: the store alone is asked."""
    from steps.clients import store
    from steps.clients.kube.serving import deployments
    from workflows.argo import session

    wanted: Sequence[str] = (deployment,) if deployment else ()
    if not wanted:
        api = session.connect(config, "ask")
        with command.submitting(what="ask"):
            wanted = deployments(api)
    with command.submitting(what="ask"), session.from_here(config):
        return read(store.connect(session.settings(config)), Layout(config.prefix), wanted, limit)


def main() -> int:
    return command.run("history", history)


if __name__ == "__main__":
    sys.exit(main())
