"""Let a refused release be tried again: python -m workflows.allow."""

import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated

import typer

from steps.core import rollout
from steps.core.names import check_deployment, check_release_id
from steps.core.record import Record
from steps.errors import Conflict, Missing, StepError
from steps.ports.serving import Serving
from workflows import command
from workflows.command import LocalFlag

if TYPE_CHECKING:
    from workflows.config import Config


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
    lift(_serving(settings, deployment, local=local), deployment, release)
    command.say(f"release {release} of {deployment} may be promoted again")
    return 0


def lift(serving: Serving, deployment: str, release: str) -> None:
    """Raises Missing where it is not refused, Conflict where a run is at work or writes meanwhile, NotSubmitted."""
    with command.submitting(what="ask"):
        held = serving.read()
    if release not in held.record.refused:
        refused = ", ".join(held.record.refused) or "none is"
        raise Missing(
            f"release {release} of {deployment} is not refused, so there is nothing to allow; refused: {refused}"
        )
    _require_idle(serving, deployment, held.record)
    serving.swap(held, rollout.allow(held.record, release))


def _require_idle(serving: Serving, deployment: str, record: Record) -> None:
    """A run that finds its record changed ends and goes back: allowing something else would cost an outage."""
    if record.phase == "idle":
        return
    run = None
    with suppress(StepError):  # who may allow need not see who is at work
        run = serving.run_of(record.owner or "")
    raise Conflict(
        f"run {run or record.owner} is at work on {deployment} ({record.phase}), and would end if its record changed; "
        "allow it when that has ended, as `python -m workflows.status` shows"
    )


def _serving(config: "Config", deployment: str, *, local: bool) -> Serving:
    from steps.clients import serving

    if local:
        from workflows.local.verbs import session as here

        return serving.connect(here.settings(config), deployment)
    from workflows.argo import session as there

    with there.reaching("ask"):
        return serving.connect(there.settings(config), deployment)


def main() -> int:
    return command.run("allow", allow)


if __name__ == "__main__":
    sys.exit(main())
