"""The programs that are the cluster: how each is started, and where it takes connections once it works."""

import socket
from dataclasses import dataclass
from pathlib import Path

from tests.cluster.kubernetes.layout import ADDRESS, NODE, SERVICES, Layout

ETCD = "http://127.0.0.1:12379"
LOOPBACK = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Component:
    name: str
    argv: tuple[str, ...]
    listens: tuple[str, int] | None = None
    """Address and port; None for containerd, which has a socket."""

    def answers(self) -> bool:
        """Whether it takes connections. Raises OSError where it does not."""
        if self.listens:
            socket.create_connection(self.listens, timeout=1).close()
        return True


def first(layout: Layout, programs: Path) -> tuple[Component, ...]:
    """Those that wait for nobody."""
    return (_etcd(layout), _containerd(layout), _api_server(layout, programs))


def second(layout: Layout, programs: Path) -> tuple[Component, ...]:
    """Those that need the API server. In this order they are also stopped, before the first ones."""
    return (
        _controllers(layout, programs),
        _scheduler(layout, programs),
        _kubelet(layout, programs),
        _names(layout, programs),
        _proxy(layout, programs),
    )


def _etcd(layout: Layout) -> Component:
    """It need not survive a power cut."""
    urls = (
        f"--listen-client-urls={ETCD}",
        f"--advertise-client-urls={ETCD}",
        "--listen-peer-urls=http://127.0.0.1:12380",
    )
    quick = ("--unsafe-no-fsync", "--logger=zap", "--log-level=warn")
    return Component("etcd", ("etcd", f"--data-dir={layout.state}/etcd", *urls, *quick), (LOOPBACK, 12379))


def _containerd(layout: Layout) -> Component:
    return Component("containerd", ("containerd", f"--config={layout.etc}/containerd.toml", "--log-level=warn"))


def _api_server(layout: Layout, programs: Path) -> Component:
    """RBAC and Pod Security are on; nobody is anonymous."""
    pki = layout.pki
    return _kube(
        "kube-apiserver",
        programs,
        (ADDRESS, 6443),
        f"--etcd-servers={ETCD}",
        f"--bind-address={ADDRESS}",
        f"--advertise-address={ADDRESS}",
        "--secure-port=6443",
        f"--service-cluster-ip-range={SERVICES}",
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction,PodSecurity",
        "--anonymous-auth=false",
        f"--client-ca-file={pki}/ca.crt",
        f"--tls-cert-file={pki}/apiserver.crt",
        f"--tls-private-key-file={pki}/apiserver.key",
        f"--service-account-key-file={pki}/sa.pub",
        f"--service-account-signing-key-file={pki}/sa.key",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--kubelet-client-certificate={pki}/apiserver-kubelet.crt",
        f"--kubelet-client-key={pki}/apiserver-kubelet.key",
        f"--kubelet-certificate-authority={pki}/ca.crt",
        "--kubelet-preferred-address-types=InternalIP",
        "--event-ttl=6h",
        # Debian 12's etcd 3.4 lacks what streamed lists need, and clients of 1.35 do not fall back by themselves.
        "--feature-gates=WatchList=false",
    )


def _controllers(layout: Layout, programs: Path) -> Component:
    return _kube(
        "kube-controller-manager",
        programs,
        (LOOPBACK, 10257),
        f"--kubeconfig={layout.kubeconfig('controller-manager')}",
        "--leader-elect=false",
        "--bind-address=127.0.0.1",
        "--use-service-account-credentials=true",
        f"--service-account-private-key-file={layout.pki}/sa.key",
        f"--root-ca-file={layout.pki}/ca.crt",
    )


def _scheduler(layout: Layout, programs: Path) -> Component:
    config = f"--kubeconfig={layout.kubeconfig('scheduler')}"
    alone = ("--leader-elect=false", "--bind-address=127.0.0.1")
    return _kube("kube-scheduler", programs, (LOOPBACK, 10259), config, *alone)


def _kubelet(layout: Layout, programs: Path) -> Component:
    return _kube(
        "kubelet",
        programs,
        (ADDRESS, 10250),
        f"--config={layout.etc}/kubelet.json",
        f"--kubeconfig={layout.kubeconfig('kubelet')}",
        f"--hostname-override={NODE}",
        f"--node-ip={ADDRESS}",
        f"--root-dir={layout.state}/kubelet",
    )


def _proxy(layout: Layout, programs: Path) -> Component:
    config = f"--config={layout.etc}/proxy.json"
    return _kube("kube-proxy", programs, (LOOPBACK, 10256), config, f"--hostname-override={NODE}")


def _names(layout: Layout, programs: Path) -> Component:
    return Component("dns", (str(programs / "dns"), "-conf", f"{layout.etc}/Corefile"), (ADDRESS, 53))


def _kube(name: str, programs: Path, listens: tuple[str, int], *options: str) -> Component:
    """One program holds all of Kubernetes: linked once, in memory once."""
    return Component(name, (str(programs / "kube"), name, *options), listens)
