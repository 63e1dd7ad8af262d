"""Put right what a dead run left unfinished, on every deployment. Safe at any time, and beside anything."""

import logging
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import count
from typing import TypeVar

from steps import amends
from steps.core.budget import backoff
from steps.core.names import check_deployment
from steps.core.record import Record
from steps.entry import run_step
from steps.errors import BadInput, StepError, Transient
from steps.parallel import in_order
from steps.ports.clock import Clock
from steps.recovery import is_abandoned, recover
from steps.scheduled import RECONCILE, ReconcileInputs, ReconcileOutputs
from steps.settings import Settings
from steps.several import Failures
from steps.stage import Stage, connect

WORKERS = 8
"""Deployments that are looked at side by side: one that takes half an hour to come back keeps few others waiting."""
PATIENCE_SECONDS, LONGEST_PAUSE_SECONDS = 300.0, 30.0
"""For an API server that is away: nobody tries this step again, and whom its failure calls should be needed."""
NOTHING = "nothing unfinished"
NOT_READY = f"{NOTHING}; its live release is NOT READY: promote it again"
"""What was stopped, or killed where nobody restarts it, is no unfinished work: whether it is to serve a person says."""
WORDS = {
    "rolled-back": "back at the previous release",
    "removed": "a first promotion was taken away",
    "completed": "its promotion is completed",
    "nothing": "nothing is in flight any more",
}
"""For the outcomes of a rollback."""

log = logging.getLogger(__name__)


T = TypeVar("T")


def reconcile(owner: str, deployments: Sequence[str], stage: Callable[[str], Stage]) -> ReconcileOutputs:
    """Raises what went wrong with a deployment when all others had their turn: RollbackFailed before all else."""
    failures, done = Failures(), dict[str, str]()

    def put_right(deployment: str) -> tuple[str, str]:
        return deployment, failures.keep(deployment, lambda: _settle(stage(deployment), owner)) or "failed"

    in_order(put_right, deployments, WORKERS, lambda told: done.update([told]))
    told = summary(done)
    log.info("%s", told)
    failures.tell()
    return ReconcileOutputs(summary=told)


def patiently(work: Callable[[], T], clock: Clock, base: float) -> T:
    """What ``work`` returns, once nobody is away. Raises Transient where that takes minutes."""
    until = clock.now() + PATIENCE_SECONDS
    for number in count():
        try:
            return work()
        except Transient as err:
            if clock.now() >= until:
                raise
            log.warning("trying again: %s", err)
            clock.sleep(min(backoff(number, base), LONGEST_PAUSE_SECONDS))
    raise AssertionError("a count does not end")


def _settle(stage: Stage, owner: str) -> str:
    return patiently(lambda: settle(stage, owner), stage.clock, stage.patience.retry_base)


def settle(stage: Stage, owner: str) -> str:
    """What was done, in words. Raises RollbackFailed, or why its record could not be read."""
    record = stage.serving.read().record
    if not is_abandoned(stage, record):
        return _left_alone(stage, record)
    log.warning("owner %s left %s %s: that is put right now", record.owner, stage.deployment, record.phase)
    done = recover(stage, owner, take_over=True)
    outcome = done.outcome
    if outcome == "nothing" and (now := stage.serving.read().record).phase != "idle":  # somebody else was quicker
        return _left_alone(stage, now)
    log.warning("%s: %s", stage.deployment, WORDS[outcome])
    amends.enter(stage, record, done)
    return WORDS[outcome]


def _left_alone(stage: Stage, record: Record) -> str:
    if record.phase != "idle":
        said = f"run {_name(stage, record.owner or '')} is at work ({record.phase})"
    else:
        said = NOT_READY if _is_silent(stage, record) else NOTHING
    log.info("%s is left alone: %s", stage.deployment, said)
    return said


def _name(stage: Stage, owner: str) -> str:
    with suppress(StepError):  # it is only told
        return stage.serving.run_of(owner) or owner
    return owner


def _is_silent(stage: Stage, record: Record) -> bool:
    """Whether no server of what is live is ready. What cannot be seen at this moment is no verdict."""
    with suppress(StepError):
        return record.live is not None and not any(pod.ready for pod in stage.serving.pods(record.live))
    return False


def chosen(known: Sequence[str], deployment: str) -> Sequence[str]:
    """``deployment`` alone, or all where it is empty. Raises BadInput where nothing was ever promoted to it."""
    if not deployment:
        return known
    if check_deployment(deployment) not in known:
        raise BadInput(
            f"there is no deployment {deployment}: nothing was ever promoted to {deployment}; "
            f"there is {', '.join(known) or 'nothing yet'}"
        )
    return (deployment,)


def summary(done: dict[str, str]) -> str:
    """One line: of each deployment what was done or found, those together of which it is the same."""
    names = dict[str, list[str]]()
    for deployment, said in sorted(done.items()):
        names.setdefault(said, []).append(deployment)
    told = (f"{', '.join(of)}: {said}" for said, of in names.items())
    return "; ".join(told) or "nothing was ever promoted here"


def stages(owner: str, settings: Settings) -> Callable[[str], Stage]:
    """By deployment. What is ended is filed under this turn's own name: of a dead owner no more than a uid is known."""
    return lambda deployment: connect(settings, deployment, f"{RECONCILE.name}-{owner}")


def main(inputs: ReconcileInputs, settings: Settings) -> ReconcileOutputs:
    from steps.clients import serving
    from steps.clients.clock import SystemClock

    known = patiently(lambda: serving.deployments(settings), SystemClock(), settings.retry_base_seconds)
    return reconcile(inputs.owner, chosen(known, inputs.deployment), stages(inputs.owner, settings))


if __name__ == "__main__":
    sys.exit(run_step(RECONCILE, main))
