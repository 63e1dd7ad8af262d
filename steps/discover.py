"""Find where the branch of each of the catalog's entries is, and write down the release that it would make."""

import logging
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from steps.contracts import ResolveInputs, ResolveOutputs
from steps.core import refresh
from steps.core.names import Layout
from steps.core.refresh import Findings, Found
from steps.entry import run_step
from steps.errors import Refused
from steps.ports.clock import Clock
from steps.ports.store import Store
from steps.resolve import resolve
from steps.scheduled import DISCOVER, DiscoverInputs, DiscoverOutputs
from steps.settings import Settings
from steps.several import Failures

if TYPE_CHECKING:  # pydantic and yaml take longer to load than --help may take to answer
    from steps.core.catalog import Catalog, Entry

Resolve = Callable[[ResolveInputs], ResolveOutputs]
"""What a model at a branch is now, as step ``resolve`` would say. Raises as it does."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class Outside:
    resolve: Resolve
    store: Store
    layout: Layout
    clock: Clock


def discover(inputs: DiscoverInputs, catalog: "Catalog", outside: Outside) -> DiscoverOutputs:
    """Raises what kept an entry from being looked at, when all others are written down: a retry looks at all again."""
    found, failures = look(catalog, outside.resolve)
    findings = Findings(at=int(outside.clock.now()), found=found)
    outside.store.put(outside.layout.report(inputs.run, refresh.FILE), refresh.dump(findings))
    failures.tell()
    return DiscoverOutputs(looked_at=len(found), refused=sum(bool(f.refusal) for f in found))


def look(catalog: "Catalog", resolve: Resolve) -> tuple[tuple[Found, ...], Failures]:
    """At every entry that is to be followed. That policy refuses what is there now is a finding, not a failure."""
    failures = Failures()
    found = tuple(_look(name, entry, resolve, failures) for name, entry in followed(catalog).items())
    return found, failures


def followed(catalog: "Catalog") -> "Mapping[str, Entry]":
    """Entries by deployment."""
    return {name: entry for name, entry in catalog.deployments.items() if entry.refresh != "never"}


def _look(deployment: str, entry: "Entry", resolve: Resolve, failures: Failures) -> Found:
    found = Found(deployment=deployment, model=entry.model, revision=entry.revision, refresh=entry.refresh)
    seen = failures.keep(deployment, lambda: _resolved(found, resolve))
    return seen or replace(found, failure=str(failures.found[deployment]))


def _resolved(found: Found, resolve: Resolve) -> Found:
    asked = ResolveInputs(model=found.model, revision=found.revision, deployment=found.deployment)
    try:
        resolved = resolve(asked)
    except Refused as err:
        log.warning("%s: %s", found.deployment, err)
        return replace(found, refusal=str(err))
    return replace(found, commit=resolved.commit, release_id=resolved.release_id, committed=resolved.committed)


def main(inputs: DiscoverInputs, settings: Settings) -> DiscoverOutputs:
    from steps.clients import catalog, hub, store
    from steps.clients.clock import SystemClock

    entries, models, documents = catalog.read(settings), hub.connect(settings), store.connect(settings)

    def resolved(asked: ResolveInputs) -> ResolveOutputs:
        return resolve(asked, models, documents, entries, settings)

    outside = Outside(resolve=resolved, store=documents, layout=Layout(settings.prefix), clock=SystemClock())
    return discover(inputs, entries, outside)


if __name__ == "__main__":
    sys.exit(run_step(DISCOVER, main))
