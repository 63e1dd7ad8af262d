"""Install into a cluster, or upgrade: python -m workflows.install."""

import sys
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from steps.errors import Conflict
from workflows import command
from workflows.cluster import session
from workflows.cluster.session import Consent

if TYPE_CHECKING:  # as in promote: --help answers at once
    from steps.clients.kube.api import Api, Json
    from steps.clients.kube.cluster import Cluster
    from workflows.config import Config

Asked = str | None
ARGOS_NAMESPACE = "argo"
"""Where Argo's documentation has it installed."""


def install(  # noqa: PLR0913  # typer makes an option of each
    *,
    namespace: Annotated[Asked, typer.Option(metavar="NAME", help="Where everything goes; made if need be.")] = None,
    nfs: Annotated[Asked, typer.Option(metavar="SERVER:/PATH", help="NFS share for the models.")] = None,
    storage_class: Annotated[Asked, typer.Option(metavar="NAME", help="Or: what makes a volume for them.")] = None,
    storage_size: Annotated[Asked, typer.Option(metavar="SIZE", help="How large, as in 500Gi.")] = None,
    claim: Annotated[Asked, typer.Option(metavar="NAME", help="Or: a volume claim that is there.")] = None,
    registry: Annotated[Asked, typer.Option(metavar="HOST/PATH", help="Take every image from there.")] = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="DIR", help="Write the objects as files; ask no cluster.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Ask the server what would change; change nothing.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Apply without asking.")] = False,
    take_over: Annotated[
        bool, typer.Option("--take-over", help="Also fields that somebody else manages by now.")
    ] = False,
) -> int:
    """Install into a cluster, or upgrade: shows what would change, asks, applies. Twice changes nothing.

    More settings in a TOML file named by VLLM_PROMOTE_CONFIG. Exit code: 0 done, or nothing to do; 1 failed, or not
    agreed to; 2 usage; 3 no cluster can be reached.
    """
    from workflows import config

    with command.usage():
        flags = {"namespace": namespace, "nfs": nfs, "storage_class": storage_class, "storage_size": storage_size}
        settings = config.load(local=False, flags={**flags, "claim": claim, "registry": registry})
    if output is not None:
        return _write(settings, output)
    return _install(settings, Consent(dry_run=dry_run, yes=yes, take_over=take_over))


def _write(config: "Config", directory: Path) -> int:
    from workflows.cluster import gitops, given, images, objects

    with command.usage():
        topics = objects.topics(config)
        copies = images.copies(config, given.parsed_catalog(config))
    written = gitops.write(directory, topics)
    command.say("\n".join(f"wrote {path}" for path in written))
    for copy in copies:
        command.say(images.command(copy))
    return 0


def _install(config: "Config", consent: Consent) -> int:
    from workflows.cluster import objects, reach

    with command.usage():
        objects.objects(config)
    api = session.connect(config)
    with session.asking():
        _require_argo(api)
        found, api_server = reach.with_ports(config, lambda namespace: replace(api, namespace=namespace))
    command.say(f"Namespace {config.namespace} at {api.server}\n")
    if config.network_policies and not api_server:
        command.say(f"{reach.UNSEEN}\n")
    return upgrade(api, config, objects.objects(found), consent)


def _require_argo(api: "Cluster") -> None:
    from workflows.cluster import argo

    argo.require(api)
    if not argo.require_controller((api, replace(api, namespace=ARGOS_NAMESPACE))):
        argo.require_definitions(api)


def upgrade(api: "Api", config: "Config", wanted: Iterable["Json"], consent: Consent) -> int:
    """From whatever is there to ``wanted``. Raises Conflict where somebody else minds, Refused where nobody agrees."""
    from steps.clients.kube.api import CLAIM
    from workflows.cluster import claim, given, shown, todo
    from workflows.cluster import plan as plans

    with session.asking():
        plan = plans.look(api, wanted)
    command.say(shown.text(plan))
    if not consent.take_over and (minded := tuple(shown.conflicts(plan))):
        raise Conflict(f"{'; '.join(minded)}; to make what they manage ours, add --take-over")
    changes = any(change.action != "keep" for change in plan)
    if changes and consent.dry_run:
        command.say("\nThis was a dry run: nothing was changed.")
    elif changes:
        session.require_agreement(f"Apply this to namespace {config.namespace}?", consent)
        plans.carry_out(api, plan, take_over=consent.take_over)
        command.say("\nDone.")
        if any(change.kind is CLAIM and change.action == "create" for change in plan):
            claim.settled(api, config.claim)
    if left := todo.todo(api, config, given.parsed_catalog(config)):
        command.say(f"\nLeft to you:\n{left}")
    return 0


def main() -> int:
    return command.run("install", install)


if __name__ == "__main__":
    sys.exit(main())
