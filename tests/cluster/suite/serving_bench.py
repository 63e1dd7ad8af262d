"""The bench of tests/contract/test_serving.py over a real cluster, with the rights that the steps have there."""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, replace
from itertools import count
from typing import Any, TypeVar

import psutil
from kubernetes import client as kubernetes

from steps.clients.clock import SystemClock
from steps.clients.kube.api import SERVICE, WORKFLOW
from steps.clients.kube.cluster import Cluster
from steps.clients.kube.serving import KubeServing
from steps.core.names import slug
from steps.core.release import Release
from steps.core.workload import Where
from steps.ports.serving import Pod
from tests.cluster.suite.estate import MODEL_SERVER, Estate
from tests.cluster.suite.node import until
from tests.contract.test_serving import Bench
from tests.stubs.clients import endpoint
from tests.stubs.local import a_release
from tests.stubs.weights import write_model
from workflows.pods import TemplateConfig

PATIENCE_SECONDS = 180.0
_NUMBERS = count(1)
T = TypeVar("T")


@dataclass(frozen=True)
class Beside(KubeServing):
    """For a step that runs beside the cluster, where nobody knows Services by name."""

    administrator: Cluster

    @property
    def url(self) -> str:
        service = self.administrator.get(SERVICE, self.deployment)
        if service is None:
            return super().url
        return endpoint(service)


class ClusterBench(Bench):
    """A deployment of its own for each test: what an earlier one left may still be ending."""

    def __init__(self, estate: Estate, account: str = TemplateConfig().serving_account) -> None:
        self.estate, self.number = estate, next(_NUMBERS)
        self.deployment, where = f"bench-{self.number}", Where(claim="models", volume="/models")
        self.serving = Beside(acting_as(estate.api, account), self.deployment, where, SystemClock(), estate.api)

    def release(self, number: int, *, crashes: bool = False) -> Release:
        made = a_release(1000 * self.number + number, image=MODEL_SERVER)
        release = replace(made, deployment=self.deployment)
        self.publish(release, fault="crash-on-start" if crashes else "")
        return release

    def publish(self, release: Release, **stub: Any) -> None:
        write_model(self.estate.volume / slug(release.model) / release.commit, **stub)

    def crash(self, pod: Pod) -> None:
        release = self.serving.release(pod.release_id)
        assert release
        self.publish(release, fault="crash-on-start")
        server(release).kill()
        self.until(lambda: any(p.failure for p in self.serving.pods(pod.release_id)))
        self.publish(release)

    def live(self) -> str:
        """Nobody runs it: this namespace's conductor is told to leave it alone."""
        spec = {"entrypoint": "nothing", "suspend": True, "templates": [{"name": "nothing", "suspend": {}}]}
        body = {**WORKFLOW.header, "metadata": {"generateName": "bench-"}, "spec": spec}
        return str(self.estate.api.create(WORKFLOW, body)["metadata"]["uid"])

    def called(self, owner: str) -> str:
        found = self.estate.api.list(WORKFLOW)
        return str(next(w["metadata"]["name"] for w in found if w["metadata"]["uid"] == owner))

    def leave_no_room(self, release: Release) -> Release:
        return replace(release, serving=replace(release.serving, device="cuda", gpus=64))

    def until(self, condition: Callable[[], T]) -> T:
        return until(condition, PATIENCE_SECONDS)


def server(release: Release) -> psutil.Process:
    """One of its model servers: a pod's processes are this machine's."""
    wanted = f"/models/{slug(release.model)}/{release.commit}"
    return next(p for p in psutil.process_iter(["cmdline"]) if wanted in (p.info["cmdline"] or ()))


def acting_as(api: Cluster, account: str) -> Cluster:
    """The same cluster as a service account sees it."""
    body = kubernetes.AuthenticationV1TokenRequest(spec=kubernetes.V1TokenRequestSpec(audiences=[]))
    core = kubernetes.CoreV1Api(api.client)
    made = core.create_namespaced_service_account_token(account, api.namespace, body)
    assert made.status
    configuration = deepcopy(api.client.configuration)
    configuration.cert_file = configuration.key_file = None
    configuration.api_key = {"BearerToken": made.status.token}
    configuration.api_key_prefix = {"BearerToken": "Bearer"}
    return Cluster(kubernetes.ApiClient(configuration), api.namespace)
