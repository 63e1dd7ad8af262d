"""How a command reaches the runs of a namespace: by the Kubernetes API, or by argo-server where ``ARGO_SERVER`` is set.

A person may have no rights in the cluster at all and a login to argo-server; so what both can do is one Protocol.
"""

from collections.abc import Iterator, Mapping
from typing import Protocol

from steps.core.argo import Json
from workflows.config import Config


class Access(Protocol):
    """The Workflows of one namespace. Every method may raise Transient, or Missing: no login, no right."""

    @property
    def namespace(self) -> str: ...

    def submit(self, workflow: Json) -> Json:
        """The Workflow as it was taken. Raises BadInput, Conflict."""
        ...

    def get(self, name: str) -> Json | None:
        """None where there is none."""
        ...

    def watch(self, name: str, version: str, seconds: float) -> Iterator[Json]:
        """The Workflow at each change; ends after so many seconds at the latest. Raises Missing when it is deleted."""
        ...

    def stop(self, name: str) -> None:
        """Of one that is not over: end its running steps, then run its exit handler."""
        ...

    def terminate(self, name: str) -> None:
        """Of one that is not over: end its running steps, and nothing more."""
        ...

    def retry(self, name: str) -> Json:
        """Of one that failed: have all but what succeeded done again; the Workflow as it begins. Raises Conflict."""
        ...


def connect(config: Config, environ: Mapping[str, str]) -> Access:
    """Raises Missing where no cluster is known, BadInput for an ``ARGO_SERVER`` that is no address."""
    if environ.get("ARGO_SERVER"):
        from workflows.argo import server

        return server.connect(config.namespace, environ)
    from steps.clients.kube import cluster
    from workflows.argo.direct import Direct

    return Direct(cluster.connect(config.namespace))
