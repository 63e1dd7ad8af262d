"""What a release's model servers have said. A log that cannot be read never keeps a step from its work."""

import logging
from dataclasses import dataclass

from steps.clients.kube.api import POD, Api, Json
from steps.clients.kube.pods import ReleasePods
from steps.core import labels, pod_state, serverlog
from steps.core.workload import CONTAINER
from steps.errors import Denied, StepError

HEAD_BYTES = 256 * 1024
"""A server says what it is within its first lines."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Logs:
    api: Api
    pods: ReleasePods

    def tail(self, release_id: str, lines: int) -> str:
        """Of several pods, those that are not ready come last; of one that was started again, how it ended."""
        try:
            found = sorted(self.pods.all(release_id), key=lambda pod: not pod_state.is_ready(pod))
        except StepError as err:
            log.warning("the logs of release %s cannot be read: %s", release_id, err)
            return ""
        text = "\n".join(filter(None, (self._tail(pod, lines) for pod in found)))
        return "\n".join(text.splitlines()[-lines:])

    def device(self, uid: str) -> str | None:
        try:
            return self._device(uid)
        except Denied as err:  # what another moment may give is asked for again: a wrong device must not pass
            log.warning("on what device a model server runs cannot be read: %s", err)
            return None

    def _device(self, uid: str) -> str | None:
        for pod in self.api.list(POD, labels=labels.selector(labels.servers(self.pods.deployment))):
            if pod["metadata"]["uid"] == uid:
                return serverlog.device(self.api.log_head(pod["metadata"]["name"], CONTAINER, HEAD_BYTES))
        return None

    def _tail(self, pod: Json, lines: int) -> str:
        name = pod["metadata"]["name"]
        try:
            said = self.api.log(name, CONTAINER, lines)
            if pod_state.restarts(pod) and not pod_state.is_ready(pod):
                said = _joined(said, self.api.log(name, CONTAINER, lines, previous=True))
        except StepError as err:
            log.warning("the log of pod %s cannot be read: %s", name, err)
            return ""
        return said.strip("\n")


def _joined(now: str, before: str) -> str:
    """While a container waits to be started again, both are the log of its last start."""
    return before if before.endswith(now) else f"{now.rstrip()}\n{before}"
