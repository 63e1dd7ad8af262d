"""Read the models again, tell every difference, and repair them: python -m workflows.audit."""

import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from steps.core.names import check_deployment
from workflows import command
from workflows.checkout import typed
from workflows.command import DeploymentOption, LocalFlag, Usage

if TYPE_CHECKING:
    from steps.core.audit import Subject
    from steps.ports.serving import Serving
    from steps.scheduled import AuditInputs
    from steps.settings import Settings
    from workflows.config import Config


def audit(  # noqa: PLR0913  # typer makes an option of each
    *,
    deployment: DeploymentOption = None,
    everything: Annotated[bool, typer.Option("--all", help="Also what no deployment serves or goes back to.")] = False,
    store: Annotated[bool, typer.Option("--store", help="Only what is stored.")] = False,
    volume: Annotated[bool, typer.Option("--volume", help="Only what is published.")] = False,
    repair: Annotated[bool, typer.Option("--repair", help="Publish again what differs, from the other copy.")] = False,
    local: LocalFlag = False,
) -> int:
    """Read every byte again of what deployments serve and can go back to, in the store and on the volume.

    Changes nothing without --repair. With it a damaged directory is moved to the volume's .trash and published again
    from the store; a damaged object is written again from the volume, else from the Hub. What serves goes on.
    Exit code: 0 all is as it should be, or is again; 1 something differs, or could not be read; 3 not started, or
    lost sight of.
    """
    from workflows import config

    with command.usage():
        settings = config.load(local=local)
        if deployment is not None:
            check_deployment(deployment)
    if deployment and everything:
        raise Usage("--deployment NAME is a part of --all; ask for one of them")
    wanted = {"everything": everything, "store": store or not volume, "volume": volume or not store, "repair": repair}
    go = _on_this_machine if local else _in_the_cluster
    return go(settings, deployment, wanted)


def _on_this_machine(config: "Config", deployment: str | None, wanted: dict[str, bool]) -> int:
    """The volume is here."""
    from steps import audit as step
    from steps.entry import end_on_sigterm
    from workflows.local.verbs import session

    inputs = _inputs(session.settings(config), deployment, wanted)
    if inputs is None:
        return 0
    with command.submitting(what="audit"):
        begun = session.begin(config, os.environ)
    session.become(begun)
    end_on_sigterm("audit", Path(os.devnull))
    step.audit(inputs, step.connect(begun.settings), command.say)
    return 0


def _in_the_cluster(config: "Config", deployment: str | None, wanted: dict[str, bool]) -> int:
    """There, not here: no other machine has the volume."""
    from dataclasses import fields

    from steps.core.installed import AUDIT_JOB
    from steps.entry import flag
    from steps.step import encode
    from workflows.argo import session
    from workflows.cluster import by_hand

    api = session.connect(config, "audit")
    with command.submitting(what="audit"):
        inputs = _inputs(session.settings(config), deployment, wanted)
    if inputs is None:
        return 0
    arguments = [f"{flag(f.name)}={encode(getattr(inputs, f.name))}" for f in fields(inputs)]
    return by_hand.carry_out(api, AUDIT_JOB, arguments, "audit")


def _inputs(settings: "Settings", deployment: str | None, wanted: dict[str, bool]) -> "AuditInputs | None":
    """None, and said why, where there is nothing to look at."""
    from steps.clients import serving
    from steps.core.audit import dump
    from steps.reconcile import chosen
    from steps.scheduled import AuditInputs

    with command.usage():
        names = chosen(serving.deployments(settings), deployment or "")
    subjects = served(serving.connect(settings, name) for name in names)
    if not subjects and not wanted["everything"]:
        everything = typed("workflows.audit", "--all", *(["--local"] if settings.local_dir else []))
        command.say(f"no deployment serves anything; `{everything}` looks at all that is stored or published")
        return None
    return AuditInputs(commits=dump(subjects), **wanted)


def served(deployments: "Iterable[Serving]") -> "tuple[Subject, ...]":
    """What they serve, and what they can go back to; each commit once."""
    return tuple(dict.fromkeys(subject for each in deployments for subject in _of(each)))


def _of(serving: "Serving") -> "Iterator[Subject]":
    from steps.core.audit import Subject

    record = serving.read().record
    for release_id in filter(None, (record.live, record.previous)):
        if release := serving.release(release_id):
            yield Subject(release.model, release.commit, release.manifest_sha256)


def main() -> int:
    return command.run("audit", audit)


if __name__ == "__main__":
    sys.exit(main())
