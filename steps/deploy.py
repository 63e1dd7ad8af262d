"""Make room by the release's strategy, start the candidate and wait until it is ready, saying what keeps it."""

import logging
import sys
from functools import partial

from steps.candidate import ensure, resolved_release
from steps.contracts import DEPLOY, DeployInputs, DeployOutputs
from steps.core.names import Layout
from steps.core.release import Release
from steps.entry import run_step
from steps.recovery import settle
from steps.settings import Settings
from steps.stage import Stage, connect

log = logging.getLogger(__name__)


def deploy(inputs: DeployInputs, stage: Stage, release: Release) -> DeployOutputs:
    """Leaves the record in ``testing``, or ``repairing`` where this release is live already and was not healthy."""
    held = settle(stage, release, inputs.owner, inputs.served)
    up = ensure(stage, held, release, inputs.owner, inputs.proved_commit)
    since = up.held.record.since
    seconds = 0.0 if since is None else max(stage.clock.now() - since, 0.0)
    log.info("release %s: %d pods are ready, %.1f s after room was made", inputs.release_id, len(up.pods), seconds)
    return DeployOutputs(startup_seconds=seconds)


def main(inputs: DeployInputs, settings: Settings) -> DeployOutputs:
    from steps.clients import store

    stage = connect(settings, inputs.deployment, inputs.run)
    release = resolved_release(stage, partial(store.connect, settings), Layout(settings.prefix), inputs.release_id)
    return deploy(inputs, stage, release)


if __name__ == "__main__":
    sys.exit(run_step(DEPLOY, main))
