"""Where a cluster's files lie, and the addresses of its own network.

Below its state:

    pki/  *.kubeconfig  etc/            made by the first ``up``, kept until the state is wiped
    processes/NAME.{lock,pid,log}       the components, see ``steps.clients.local.daemon``
    etcd/  containerd/  kubelet/  ...   their data
    images.json                         which images containerd was given
    run/                                sockets and mounts of one ``up``
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path

BRIDGE = "lc0"
ADDRESS = "10.244.0.1"
"""The node's and the bridge's. A server that listens there is reached by every pod."""
PODS = "10.244.0.0/24"
SERVICES = "10.96.0.0/16"
FIRST_SERVICE = "10.96.0.1"
"""Kubernetes gives it to the API server."""
API = f"https://{ADDRESS}:6443"
NODE = "local"
PAUSE = "localcluster.invalid/pause:1"
CLIENTS = ("admin", "controller-manager", "scheduler", "proxy", "kubelet")
"""Who gets a kubeconfig."""


@dataclass(frozen=True, slots=True)
class Layout:
    """``state`` is absolute."""

    state: Path

    @property
    def name(self) -> str:
        """Of its network namespace and of its cgroup: one for each state."""
        return f"lc-{self.state.name.strip('.')}-{hashlib.sha256(str(self.state).encode()).hexdigest()[:6]}"

    @property
    def pki(self) -> Path:
        return self.state / "pki"

    @property
    def etc(self) -> Path:
        return self.state / "etc"

    @property
    def run(self) -> Path:
        return self.state / "run"

    @property
    def processes(self) -> Path:
        return self.state / "processes"

    @property
    def socket(self) -> Path:
        """Containerd's."""
        return self.run / "containerd.sock"

    @property
    def images(self) -> Path:
        """Which images containerd was given."""
        return self.state / "images.json"

    def kubeconfig(self, user: str = "admin") -> Path:
        return self.state / f"{user}.kubeconfig"

    def environment(self) -> dict[str, str]:
        """What a command beside the cluster is told of it."""
        return {
            "KUBECONFIG": str(self.kubeconfig()),
            "LOCALCLUSTER_STATE": str(self.state),
            "LOCALCLUSTER_IP": ADDRESS,
        }
