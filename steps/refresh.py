"""Propose what the catalog's branches have come to, or begin its promotion where the catalog says so."""

import logging
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from steps.core import labels
from steps.core import refresh as core
from steps.core.names import Layout
from steps.core.refresh import Decision, Found, Serves
from steps.entry import run_step
from steps.errors import Conflict, Missing
from steps.ports.clock import Clock
from steps.ports.runs import Runs, Unfinished
from steps.ports.serving import Serving
from steps.ports.store import Store
from steps.scheduled import REFRESH, RefreshInputs, RefreshOutputs
from steps.settings import Settings
from steps.several import Failures

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class Outside:
    """``runs`` is None on one machine, where nothing is begun without a person; ``flag`` as of the commands there."""

    serving: Callable[[str], Serving]
    """Of a deployment."""
    runs: Runs | None
    flag: str


def refresh(inputs: RefreshInputs, found: Sequence[Found], outside: Outside) -> RefreshOutputs:
    """Raises what kept a deployment from being looked at or promoted, when all others had their turn."""
    failures = Failures()
    decisions = decide(found, outside, failures)
    decisions = [d if d.kind != "promoted" else _begin(d, inputs.run, outside, failures) for d in decisions]
    for decision in decisions:
        log.info("%s", core.line(decision, outside.flag))
    summary = core.summary(decisions)
    log.info("%s", summary)
    failures.tell()
    return RefreshOutputs(summary=summary)


def decide(found: Sequence[Found], outside: Outside, failures: Failures) -> list[Decision]:
    """Reads only."""
    unfinished = outside.runs.unfinished() if outside.runs else {}
    return [_decide(f, outside, unfinished, failures) for f in found]


def _decide(found: Found, outside: Outside, unfinished: Mapping[str, Unfinished], failures: Failures) -> Decision:
    deployment = found.deployment
    if found.failure:  # to be told again, because a run counts as good when its last step does
        failures.found[deployment] = Missing(found.failure)
        return Decision(found=found, kind="failed", why=found.failure)
    serves = failures.keep(deployment, lambda: look(outside.serving(deployment), unfinished.get(deployment)))
    if serves is None:
        return Decision(found=found, kind="failed", why=str(failures.found[deployment]))
    decision = core.decide(found, serves)
    if decision.kind == "failed":  # else it would be in flight every night, and nobody would be told
        failures.found[deployment] = Conflict(decision.why)
    return decision


def look(serving: Serving, unfinished: Unfinished | None) -> Serves:
    record = serving.read().record
    live = serving.release(record.live) if record.live else None
    at_work = unfinished or Unfinished("")
    return Serves(
        record=record,
        commit=live.commit if live else None,
        model=live.model if live else "",
        committed=(live.committed or 0.0) if live else 0.0,
        unfinished=at_work.run or None,
        standstill=at_work.standstill,
    )


def _begin(decision: Decision, run: str, outside: Outside, failures: Failures) -> Decision:
    if outside.runs is None:
        return replace(decision, kind="proposed")
    runs, found, name = outside.runs, decision.found, core.run_name(decision.found, run)
    marks = {labels.PART_OF: labels.PROJECT, labels.DEPLOYMENT: found.deployment, labels.RELEASE: found.release_id}
    under_way = failures.keep(found.deployment, lambda: runs.promote(name, found.parameters, marks))
    if under_way is None:
        return replace(decision, kind="failed", why=str(failures.found[found.deployment]))
    return replace(decision, run=name) if under_way else core.had_its_turn(decision, name)


def read(store: Store, layout: Layout, run: str, clock: Clock) -> tuple[Found, ...]:
    """What ``discover`` of this run has written. Raises Missing, Corrupt; BadInput where that was too long ago."""
    key = layout.report(run, core.FILE)
    body = store.get(key)
    if body is None:
        raise Missing(f"discover has left nothing at {key}; see how it ended, then start the refresh anew")
    findings = core.parse(body, key)
    core.check_fresh(findings, clock.now())
    return findings.found


def main(inputs: RefreshInputs, settings: Settings) -> RefreshOutputs:
    from steps.clients import runs, serving, store
    from steps.clients.clock import SystemClock

    found = read(store.connect(settings), Layout(settings.prefix), inputs.run, SystemClock())
    outside = Outside(
        serving=partial(serving.connect, settings),
        runs=runs.connect(settings),
        flag="--local" if settings.local_dir else "",
    )
    return refresh(inputs, found, outside)


if __name__ == "__main__":
    sys.exit(run_step(REFRESH, main))
