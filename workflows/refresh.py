"""Show what the catalog's branches have come to: python -m workflows.refresh."""

import os
import sys
from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING

from steps.core.refresh import Decision
from steps.core.refresh import command as promotion
from steps.several import Failures
from workflows import command
from workflows.checkout import pasteable
from workflows.command import LocalFlag

if TYPE_CHECKING:
    from steps.contracts import ResolveInputs, ResolveOutputs
    from steps.core.catalog import Catalog
    from steps.settings import Settings
    from workflows.config import Config

    Planned = Callable[[ResolveInputs], ResolveOutputs]

FLAG = "--local"


def refresh(*, local: LocalFlag = False) -> int:
    """Show, for each entry of the catalog, where its branch is and what would have to be typed to promote that.

    Reads only. Each night the cluster does the same, and promotes where the entry says so.
    Exit code: 0; 1 where an entry could not be looked at; 3 where nobody could be asked.
    """
    from workflows import config

    with command.usage():
        settings = config.load(local=local)
    decisions, flag = (_local(settings), FLAG) if local else (_cluster(settings), "")
    command.say("\n".join(line for d in decisions for line in lines(d, flag)) or "the catalog follows no branch")
    return command.FAILED_EXIT if any(d.kind == "failed" for d in decisions) else 0


def lines(decision: Decision, flag: str) -> Iterator[str]:
    """For people. Here nothing is promoted by itself: what the cluster would promote at night can be typed too."""
    kind = "proposed" if decision.kind == "promoted" else decision.kind
    yield f"{decision.found.deployment}: {kind}: {pasteable(decision.why)}"
    if kind == "proposed":
        yield f"  {pasteable(promotion(decision.found, flag))}"


def _cluster(config: "Config") -> list[Decision]:
    """By the catalog that is installed there."""
    from workflows.argo import session

    with command.usage():
        catalog = session.installed_catalog(config, "ask")
    session.become(config)
    settings = session.settings(config)
    planned = session.from_here(config)(_planned(settings, catalog))
    with command.submitting(what="ask"):  # what fails for one entry is told beside the others
        return _decisions(settings, catalog, planned, "")


def _local(config: "Config") -> list[Decision]:
    from workflows.asked import read_catalog
    from workflows.local.verbs import session

    with command.usage():
        catalog = read_catalog(config)
    with command.submitting(what="ask"):
        begun = session.begin(config, os.environ)
    session.become(begun)
    return _decisions(begun.settings, catalog, _planned(begun.settings, catalog), FLAG)


def _decisions(settings: "Settings", catalog: "Catalog", planned: "Planned", flag: str) -> list[Decision]:
    from steps import discover
    from steps import refresh as step
    from steps.clients import runs, serving

    found, _ = discover.look(catalog, planned)
    outside = step.Outside(serving=partial(serving.connect, settings), runs=runs.connect(settings), flag=flag)
    return step.decide(found, outside, Failures())


def _planned(settings: "Settings", catalog: "Catalog") -> "Planned":
    """As ``resolve``, and nothing is written."""
    from steps import resolve
    from steps.clients import hub, store

    models, documents = hub.connect(settings), store.connect(settings)

    def planned(asked: "ResolveInputs") -> "ResolveOutputs":
        return resolve.outputs(resolve.plan(asked, models, documents, catalog, settings).document, settings)

    return planned


def main() -> int:
    return command.run("refresh", refresh)


if __name__ == "__main__":
    sys.exit(main())
