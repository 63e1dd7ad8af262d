"""Put right what a dead run left unfinished, on every deployment. Safe at any time, and beside anything."""

import logging
import sys
from collections.abc import Callable, Sequence

from steps.core.names import check_deployment
from steps.core.record import Record
from steps.entry import run_step
from steps.errors import BadInput
from steps.parallel import in_order
from steps.recovery import is_abandoned, recover
from steps.scheduled import RECONCILE, ReconcileInputs, ReconcileOutputs
from steps.settings import Settings
from steps.several import Failures
from steps.stage import Stage, connect

WORKERS = 8
"""Deployments that are looked at side by side: one that takes half an hour to come back keeps few others waiting."""
LEFT_ALONE = "left alone"
WORDS = {
    "rolled-back": "back at the previous release",
    "removed": "a first promotion was taken away",
    "completed": "its promotion is completed",
    "nothing": "nothing is in flight any more",
}
"""For the outcomes of a rollback."""

log = logging.getLogger(__name__)


def reconcile(owner: str, deployments: Sequence[str], stage: Callable[[str], Stage]) -> ReconcileOutputs:
    """Raises what went wrong with a deployment when all others had their turn: RollbackFailed before all else."""
    failures, done = Failures(), dict[str, str]()

    def put_right(deployment: str) -> tuple[str, str]:
        return deployment, failures.keep(deployment, lambda: settle(stage(deployment), owner)) or "failed"

    in_order(put_right, deployments, WORKERS, lambda told: done.update([told]))
    told = summary(done)
    log.info("%s", told)
    failures.tell()
    return ReconcileOutputs(summary=told)


def settle(stage: Stage, owner: str) -> str:
    """What was done, in words. Raises RollbackFailed, or why its record could not be read."""
    record = stage.serving.read().record
    if not is_abandoned(stage, record):
        return _left_alone(stage, record)
    log.warning("owner %s left %s %s: that is put right now", record.owner, stage.deployment, record.phase)
    outcome = recover(stage, owner, take_over=True).outcome
    if outcome == "nothing" and (now := stage.serving.read().record).phase != "idle":  # somebody else was quicker
        return _left_alone(stage, now)
    log.warning("%s: %s", stage.deployment, WORDS[outcome])
    return WORDS[outcome]


def _left_alone(stage: Stage, record: Record) -> str:
    at_work = "" if record.phase == "idle" else f": owner {record.owner} is at it ({record.phase})"
    log.info("%s is left alone%s", stage.deployment, at_work)
    return LEFT_ALONE


def chosen(known: Sequence[str], deployment: str) -> Sequence[str]:
    """``deployment`` alone, or all where it is empty. Raises BadInput where nothing was ever promoted to it."""
    if not deployment:
        return known
    if check_deployment(deployment) not in known:
        raise BadInput(f"nothing was ever promoted to {deployment}; there is {', '.join(known) or 'nothing yet'}")
    return (deployment,)


def summary(done: dict[str, str]) -> str:
    """One line: names where something was done, else a number."""
    told = [f"{deployment}: {outcome}" for deployment, outcome in sorted(done.items()) if outcome != LEFT_ALONE]
    quiet = sum(outcome == LEFT_ALONE for outcome in done.values())
    return "; ".join([*told, f"{quiet} left alone"])


def main(inputs: ReconcileInputs, settings: Settings) -> ReconcileOutputs:
    from steps.clients import serving

    known = serving.deployments(settings)
    return reconcile(inputs.owner, chosen(known, inputs.deployment), lambda name: connect(settings, name))


if __name__ == "__main__":
    sys.exit(run_step(RECONCILE, main))
