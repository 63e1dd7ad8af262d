"""Go back to the previous release where a promotion was left unfinished, or complete it where clients follow it."""

import sys

from steps import preparing
from steps.contracts import ROLLBACK, RollbackInputs, RollbackOutputs
from steps.entry import run_step
from steps.recovery import recover
from steps.settings import Settings
from steps.stage import Stage, connect


def rollback(inputs: RollbackInputs, stage: Stage) -> RollbackOutputs:
    """Only this owner's work is touched: a run that was stopped while it waited has none. Raises RollbackFailed.

    A run that was stopped while it prepared has not touched the record, and may have left what prepares: that ends
    also where the way back fails.
    """
    try:
        return recover(stage, inputs.owner, take_over=False)
    finally:
        preparing.unprepare(stage, inputs.owner)


def main(inputs: RollbackInputs, settings: Settings) -> RollbackOutputs:
    return rollback(inputs, connect(settings, inputs.deployment, inputs.run))


if __name__ == "__main__":
    sys.exit(run_step(ROLLBACK, main))
