"""Put right what a dead run left unfinished: python -m workflows.reconcile."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from steps.core.names import check_deployment
from steps.core.outcome import ROLLBACK_FAILED_EXIT
from steps.errors import RollbackFailed
from workflows import command
from workflows.command import DeploymentOption, LocalFlag

if TYPE_CHECKING:
    from workflows.config import Config


def reconcile(*, deployment: DeploymentOption = None, local: LocalFlag = False) -> int:
    """Put right what a dead run left unfinished; what a living one is at, and what is idle, is left alone.

    Says of each deployment what was done or found. A model server that is gone without a run is told, not started.
    The cluster does so by itself every ten minutes. Exit code: 0 nothing is left unfinished by the dead; 1 it could not
    be found out; 3 not started, or lost sight of; 4 what served could not be brought back, a person is needed.
    """
    from workflows import config

    with command.usage():
        settings = config.load(local=local)
        if deployment is not None:
            check_deployment(deployment)
    try:
        return _local(settings, deployment) if local else _in_the_cluster(settings, deployment)
    except RollbackFailed as err:
        command.say(f"a person is needed: {err}")
        return ROLLBACK_FAILED_EXIT


def _local(config: "Config", deployment: str | None) -> int:
    from steps import reconcile as step
    from steps import stage
    from steps.clients.serving import deployments
    from steps.entry import end_on_sigterm
    from workflows.local.environment import direct
    from workflows.local.verbs import session
    from workflows.local.verbs.owner import owning
    from workflows.local.verbs.storing import Later

    settings = session.settings(config)
    os.environ.update(direct(os.environ))
    with command.usage():
        chosen = step.chosen(deployments(settings), deployment or "")
    store = Later(config)  # for what is kept of what was put right, where anything is
    with owning(config.home, "reconcile") as owner:
        end_on_sigterm("reconcile", Path(os.devnull))  # at once, though threads wait for a model to start
        done = step.reconcile(owner, chosen, lambda name: stage.connect(settings, name, owner, store))
    command.say(done.summary)
    return 0


def _in_the_cluster(config: "Config", deployment: str | None) -> int:
    """There, not here: what is brought back is tested pod by pod, and no pod can be reached from outside."""
    from steps.core.installed import RECONCILE_JOB
    from workflows.argo import session
    from workflows.cluster import by_hand

    chosen = [f"--deployment={deployment}"] if deployment else []
    return by_hand.carry_out(session.connect(config, "reconcile"), RECONCILE_JOB, chosen, "reconciler")


def main() -> int:
    return command.run("reconcile", reconcile)


if __name__ == "__main__":
    sys.exit(main())
