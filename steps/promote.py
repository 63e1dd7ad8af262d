"""Point clients at the candidate that was proved, and keep what served until now as the rollback target."""

import logging
import sys
from functools import partial

from steps.candidate import Up, complete, ensure, refused_when_failed, started_release
from steps.contracts import ANY, PROMOTE, PromoteInputs, PromoteOutputs
from steps.core import rollout
from steps.core.names import Layout
from steps.core.record import Record
from steps.core.release import Release
from steps.endpoint import wait_for_clients
from steps.entry import run_step
from steps.ports.serving import Held
from steps.proof import examine, name_pods, remember, require_pass
from steps.recovery import settle
from steps.settings import Settings
from steps.stage import Stage, connect

log = logging.getLogger(__name__)


def promote(inputs: PromoteInputs, stage: Stage, release: Release) -> PromoteOutputs:
    """Idle at the end, with clients at this release. Proves again where other pods run than ``proof`` names."""
    held = settle(stage, release, inputs.owner, inputs.served)
    up = ensure(stage, held, release, inputs.owner, inputs.proved_commit)
    if up.held.record.phase in ("testing", "repairing"):
        _require_proof(inputs, stage, up)
    match up.held.record.phase:
        case "testing":
            return _drain(inputs, stage, _point(inputs, stage, up))
        case "draining":
            return _drain(inputs, stage, up.held)
        case "repairing":
            return _repaired(inputs, stage, up)
    log.info("release %s serves already", inputs.release_id)
    return PromoteOutputs(outage_seconds=None)  # an earlier attempt, lost since, may have cost something


def _repaired(inputs: PromoteInputs, stage: Stage, up: Up) -> PromoteOutputs:
    """Of several replicas some may have answered all the while; a single one was not healthy, and perhaps stopped."""
    record = up.held.record
    stage.serving.swap(up.held, rollout.repaired(record, inputs.owner))
    log.info("release %s was live, and is started again", inputs.release_id)
    if record.replicas > 1 or record.since is None:
        return PromoteOutputs(outage_seconds=None)
    return PromoteOutputs(outage_seconds=max(stage.clock.now() - record.since, 0.0))


def _require_proof(inputs: PromoteInputs, stage: Stage, up: Up) -> None:
    if inputs.proof == name_pods(up.pods):
        return
    log.info("the proof is about %s, what runs is %s: proving again", inputs.proof or "nothing", name_pods(up.pods))
    with refused_when_failed(stage, up.held, inputs.owner):
        proof = examine(stage, up.held.record, up.release, by_hand=inputs.proved_commit == ANY)
        require_pass(stage, proof)
    remember(stage, proof, inputs.owner)


def _point(inputs: PromoteInputs, stage: Stage, up: Up) -> Held:
    now = stage.clock.now()
    record = rollout.promote(
        up.held.record, inputs.owner, now=now, strategy=up.release.strategy, refuse_live=inputs.refuse_previous
    )
    return stage.serving.point(up.held, record, inputs.release_id)


def _drain(inputs: PromoteInputs, stage: Stage, held: Held) -> PromoteOutputs:
    """The old release ends only when clients no longer come to it."""
    arrival = wait_for_clients(stage, inputs.release_id)
    outage = arrival.prolonged(rollout.outage_seconds(held.record))
    log.info("the pointer is at release %s; nothing served for %.1f s", inputs.release_id, outage)
    complete(stage, held, inputs.owner)
    return PromoteOutputs(
        outage_seconds=outage, noticed="; ".join(filter(None, (arrival.notice, _no_way_back(held.record))))
    )


def _no_way_back(record: Record) -> str:
    if record.previous is None or record.replicas:
        return ""
    return (
        f"release {record.previous}, which served before, was deleted before this run began; it can only be promoted "
        "again, there is no way back to it"
    )


def main(inputs: PromoteInputs, settings: Settings) -> PromoteOutputs:
    from steps.clients import store

    stage, documents = connect(settings, inputs.deployment, inputs.run), partial(store.connect, settings)
    return promote(inputs, stage, started_release(stage, documents, Layout(settings.prefix), inputs.release_id))


if __name__ == "__main__":
    sys.exit(run_step(PROMOTE, main))
