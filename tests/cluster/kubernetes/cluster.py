"""One node with its control plane, as plain processes: up, down, and what may happen to them in between."""

import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import psutil

from steps.clients.local import daemon
from steps.clients.local.daemon import Daemon
from steps.errors import BadInput, Transient
from tests.cluster.kubernetes import admin, archive, certificates, cgroups, configuration, network, shell
from tests.cluster.kubernetes.components import Component, first, second
from tests.cluster.kubernetes.containerd import Containerd
from tests.cluster.kubernetes.layout import PAUSE, Layout
from tests.cluster.kubernetes.wait import until

GRACE_SECONDS = 5.0
"""The API server would take a minute for the watches that are open."""
CLOCK_SECONDS = 2.0
"""By which the time that a process began is uncertain."""
DATA = ("pki", "etc", "etcd", "containerd", "containerd-opt", "kubelet", "podlogs", "processes")


@dataclass(frozen=True, slots=True)
class Cluster:
    """``programs`` is where `programs.built` left them. All but ``up`` and ``down`` is done from within its network."""

    layout: Layout
    programs: Path

    @property
    def containerd(self) -> Containerd:
        return Containerd(self.layout.socket)

    @property
    def components(self) -> tuple[Component, ...]:
        return (*first(self.layout, self.programs), *second(self.layout, self.programs))

    def up(self) -> None:
        """Start what does not run; the data of before are found again. Leaves this program in the cluster's network."""
        self.layout.run.mkdir(parents=True, exist_ok=True)
        certificates.ensure(self.layout)
        configuration.write(configuration.files(self.layout))
        cgroups.make(self.layout.name)
        network.make(self.layout)
        network.enter(self.layout)
        network.build_bridge()
        begun = first(self.layout, self.programs)  # of the others, what ran before a `down` has ended
        self._start(begun)
        self._wait("containerd answers", self.containerd.answers, begun)
        self._load_pause()
        self._wait("the API server is ready", lambda: admin.api_is_ready(self.layout), begun)
        self._start(second(self.layout, self.programs))
        self._wait_for_all()
        self._wait("a pod can start", lambda: admin.pods_can_start(self.layout))

    def down(self) -> None:
        """End all of it, and what `exec --name` left beside it; the data stay. From within its network, or outside."""
        ours = {component.name for component in self.components}
        others = [d.name for d in daemon.found(self.layout.processes) if d.name not in ours]
        self._stop([*others, *(component.name for component in second(self.layout, self.programs))])
        self._end_pods()
        self._stop(["kube-apiserver", "etcd", "containerd"])
        for point in _mounts_below(self.layout.state):
            shell.run("umount", "--lazy", point)
        network.clear(self.layout)
        shutil.rmtree(self.layout.run, ignore_errors=True)
        cgroups.remove(self.layout.name)

    def wipe(self) -> None:
        """After ``down``: as if it had never been up."""
        network.delete(self.layout)
        for name in DATA:
            shutil.rmtree(self.layout.state / name, ignore_errors=True)
        for path in (self.layout.images, *self.layout.state.glob("*.kubeconfig")):
            path.unlink(missing_ok=True)

    def restart(self, name: str) -> None:
        """One component, killed: the API server, the kubelet, the scheduler... Returns when it works again.

        Raises BadInput where it has none of that name.
        """
        if not (wanted := [component for component in self.components if component.name == name]):
            raise BadInput(f"no component is called {name}; say {', '.join(c.name for c in self.components)}")
        self._stop([name], grace_seconds=0)
        self._start(wanted)
        self._wait_for_all()

    def restart_node(self) -> None:
        """As when its power fails, while the control plane runs elsewhere: every container is gone, its files too."""
        self._stop(["kubelet"], grace_seconds=0)
        self._end_pods()
        self._stop(["containerd", "kube-proxy"], grace_seconds=0)
        self._start(first(self.layout, self.programs))
        until("containerd answers", self.containerd.answers)  # a kubelet that finds none ends
        self._start(second(self.layout, self.programs))
        self._wait_for_all()

    def _start(self, components: Iterable[Component]) -> None:
        # With no more of our environment than programs are found by: no token of whoever starts it, and no proxy.
        environ = {"PATH": shell.path(), "HOME": str(self.layout.state)}
        for component in components:
            daemon.start(self._daemon(component.name), component.argv, environ, self.layout.state)

    def _stop(self, names: Iterable[str], grace_seconds: float = GRACE_SECONDS) -> None:
        for name in names:
            daemon.stop(self._daemon(name), grace_seconds)

    def _daemon(self, name: str) -> Daemon:
        return Daemon(self.layout.processes, name)

    def _end_pods(self) -> None:
        if daemon.running(self._daemon("containerd")):
            self.containerd.clear()

    def _load_pause(self) -> None:
        if PAUSE not in self.containerd.images():
            packed = self.layout.run / "pause.tar"
            packed.write_bytes(archive.pack(PAUSE, self.programs / "pause", ["/pause"]))
            self.containerd.load(packed)
            packed.unlink()

    def _wait(self, what: str, holds: Callable[[], bool], begun: Iterable[Component] | None = None) -> None:
        """Raises Transient with the last words of a component that ended meanwhile, of all or of those ``begun``."""
        until(what, holds, meanwhile=lambda: self._all_run(self.components if begun is None else begun))

    def _wait_for_all(self) -> None:
        for component in self.components:
            self._wait(f"{component.name} takes connections", component.answers)
        self._wait("the API server is ready", lambda: admin.api_is_ready(self.layout))
        self._wait("the node is ready", self._node_is_ready)

    def _node_is_ready(self) -> bool:
        """As the kubelet that runs now says."""
        pid = daemon.running(self._daemon("kubelet"))
        return pid is not None and admin.node_is_ready(self.layout, psutil.Process(pid).create_time() - CLOCK_SECONDS)

    def _all_run(self, begun: Iterable[Component]) -> None:
        for one in daemon.found(self.layout.processes):
            if one.name in {c.name for c in begun} and not daemon.running(one):
                raise Transient(f"{one.name} has ended; its last words:\n{daemon.tail(one, 20)}")


def _mounts_below(directory: Path) -> list[str]:
    """The innermost first."""
    points = [line.split()[1] for line in Path("/proc/self/mounts").read_text().splitlines()]
    return sorted((point for point in points if point.startswith(f"{directory}/")), key=len, reverse=True)
