"""How often and how long a deployment is brought back, before a person is called."""

import logging

from steps.core.budget import ROLLBACK_PATIENCE, backoff
from steps.core.record import Record
from steps.errors import Failed, RollbackFailed, StepError
from steps.stage import Stage

FRESH_STARTS = 2
"""Times that a release which does not come back is started once more before a person is called."""

log = logging.getLogger(__name__)


class Tries:
    """Nobody else would try it after a stop, and it is not tried for ever."""

    def __init__(self, stage: Stage) -> None:
        self.failure: Failed | None = None
        """The last one."""
        self._failures = 0
        self._stage, self._clock = stage, stage.clock
        self._number, self._began = -1, 0.0
        self._troubled_since: float | None = None

    def begin(self) -> None:
        self._number += 1
        self._began = self._clock.now()

    def let_down(self, err: StepError) -> None:
        """By the outside. Raises RollbackFailed when that has gone on for ten minutes without a pause."""
        now = self._clock.now()
        if self._troubled_since is None or now - self._began > ROLLBACK_PATIENCE:  # it was well for long
            self._troubled_since = now
        if now - self._troubled_since > ROLLBACK_PATIENCE:
            raise RollbackFailed(not_brought_back(self._stage, err)) from err
        log.warning("trying again: %s", err)

    def failed(self, err: Failed) -> None:
        """The old release did not come back, or not well. Raises RollbackFailed after two more starts."""
        self.failure = err
        self._failures += 1
        self._troubled_since = None
        if self._failures > FRESH_STARTS:
            raise RollbackFailed(not_brought_back(self._stage, err)) from err
        log.warning("once more: %s", err)

    def pause(self) -> None:
        self._clock.sleep(backoff(self._number, self._stage.patience.retry_base))


def not_brought_back(stage: Stage, err: StepError) -> str:
    """By what is in flight still, as far as that can be read."""
    record = _record(stage)
    if record and record.phase == "draining":
        return (
            f"the promotion of release {record.live} to {stage.deployment} could not be completed: {err}; clients "
            "follow that release already, and nothing has to be brought back: put right what is named here, and "
            "`python -m workflows.reconcile` completes it, as the reconciler does by itself"
        )
    failed = f"{stage.deployment} could not be brought back: {err}"
    if record and record.phase == "idle":
        return f"{failed}; nothing is in flight any more"
    return (
        f"{failed}; its record still says what is in flight: put right what is named here, then promote again, which "
        "first goes back"
    )


def nothing_left(deployment: str, live: str) -> str:
    """Of a rollback by hand that failed where somebody had deleted what is live."""
    return (
        f"nothing serves, for its live release {live} was deleted before this work began and nobody knows how it is "
        "started; promote that release again, or go back to another one with "
        f"`python -m workflows.rollback --deployment {deployment} --to RELEASE`"
    )


def _record(stage: Stage) -> Record | None:
    try:
        return stage.serving.read().record
    except StepError:  # it may be what failed
        return None
