"""The Kubernetes API as the adapters see it: a few verbs for every kind, in plain JSON, each failure one of ours.

Objects are JSON as the API server speaks it: typed models would drop the fields of a newer server, and the decisions in
``steps.core`` read JSON.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import quote

from steps.core.labels import PROJECT

FIELD_MANAGER = PROJECT
Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Kind:
    """A resource as the API server's addresses name it."""

    group: str
    """Empty for the core group."""
    version: str
    plural: str
    name: str
    """What ``kind`` says in its objects."""
    namespaced: bool = True

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def header(self) -> Json:
        """What every object of this kind begins with."""
        return {"apiVersion": self.api_version, "kind": self.name}

    def path(self, namespace: str, name: str = "", below: str = "") -> str:
        root = f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"
        scope = f"/namespaces/{quote(namespace)}" if self.namespaced and namespace else ""
        return "".join(
            (root, scope, f"/{self.plural}", f"/{quote(name)}" if name else "", f"/{below}" if below else "")
        )


SERVICE = Kind("", "v1", "services", "Service")
POD = Kind("", "v1", "pods", "Pod")
EVENT = Kind("", "v1", "events", "Event")
NODE = Kind("", "v1", "nodes", "Node", namespaced=False)
NAMESPACE = Kind("", "v1", "namespaces", "Namespace", namespaced=False)
CONFIG_MAP = Kind("", "v1", "configmaps", "ConfigMap")
SECRET = Kind("", "v1", "secrets", "Secret")
SERVICE_ACCOUNT = Kind("", "v1", "serviceaccounts", "ServiceAccount")
VOLUME = Kind("", "v1", "persistentvolumes", "PersistentVolume", namespaced=False)
CLAIM = Kind("", "v1", "persistentvolumeclaims", "PersistentVolumeClaim")
ROLE = Kind("rbac.authorization.k8s.io", "v1", "roles", "Role")
ROLE_BINDING = Kind("rbac.authorization.k8s.io", "v1", "rolebindings", "RoleBinding")
CLUSTER_ROLE = Kind("rbac.authorization.k8s.io", "v1", "clusterroles", "ClusterRole", namespaced=False)
CLUSTER_ROLE_BINDING = Kind(
    "rbac.authorization.k8s.io", "v1", "clusterrolebindings", "ClusterRoleBinding", namespaced=False
)
NETWORK_POLICY = Kind("networking.k8s.io", "v1", "networkpolicies", "NetworkPolicy")
ENDPOINT_SLICE = Kind("discovery.k8s.io", "v1", "endpointslices", "EndpointSlice")
CRON_JOB = Kind("batch", "v1", "cronjobs", "CronJob")
JOB = Kind("batch", "v1", "jobs", "Job")
DEPLOYMENT = Kind("apps", "v1", "deployments", "Deployment")
WORKFLOW = Kind("argoproj.io", "v1alpha1", "workflows", "Workflow")
WORKFLOW_TEMPLATE = Kind("argoproj.io", "v1alpha1", "workflowtemplates", "WorkflowTemplate")
CRON_WORKFLOW = Kind("argoproj.io", "v1alpha1", "cronworkflows", "CronWorkflow")


class Api(Protocol):
    """One namespace of a cluster. Every method may raise Transient, or Missing: no right to do it.

    ``tests.stubs.kube`` has one in memory, which passes the same contract tests as the real one.
    """

    @property
    def namespace(self) -> str: ...

    def get(self, kind: Kind, name: str) -> Json | None:
        """None where there is none."""
        ...

    def list(self, kind: Kind, *, labels: str = "", fields: str = "") -> list[Json]:
        """Those that the selectors match; all pages."""
        ...

    def create(self, kind: Kind, body: Json) -> Json:
        """``metadata.generateName`` may stand for a name. Raises Conflict where it exists, BadInput."""
        ...

    def replace(self, kind: Kind, body: Json) -> Json:
        """Raises Conflict where it is no longer of ``metadata.resourceVersion``, or gone; BadInput."""
        ...

    def patch(self, kind: Kind, name: str, change: Json) -> Json:
        """JSON merge patch; conditional where it names ``metadata.resourceVersion``. Raises Conflict, BadInput."""
        ...

    def apply(self, kind: Kind, body: Json, *, force: bool = False, dry_run: bool = False) -> Json:
        """Server-side apply under our own field manager, validated strictly; conditional as ``patch`` is.

        Makes what is not there, also where a version is named: ``metadata.uid`` beside it keeps it from that.

        Raises Conflict naming who manages the fields in question, BadInput; Transient for a field that there is not, as
        the API server answers 500 to it.
        """
        ...

    def delete(self, kind: Kind, name: str, *, version: str = "", uid: str = "") -> None:
        """The cluster removes its dependents, later. Nothing where there is none; Conflict where it is another."""
        ...

    def log(self, pod: str, container: str, lines: int, *, previous: bool = False) -> str:
        """The last lines; empty where there is no log (yet, or any more)."""
        ...

    def log_head(self, pod: str, container: str, size: int) -> str:
        """The first bytes that are kept, ``size`` at most; otherwise as ``log``."""
        ...

    def watch(self, kind: Kind, name: str, version: str, seconds: float) -> Iterator[Json]:
        """The object, each time that it changes; ends when the server ends it, after so many seconds at the latest.

        Raises Missing when it is deleted, Transient also where ``version`` is too old: read it again.
        """
        ...
