"""What runs of a cluster, in lines for a person."""

import psutil

from steps.clients.local import daemon
from tests.cluster.kubernetes import admin, network
from tests.cluster.kubernetes.layout import Layout


def lines(layout: Layout) -> list[str]:
    """Leaves this program in the cluster's network, if there is one."""
    if not network.exists(layout):
        return [f"no cluster in {layout.state}"]
    network.enter(layout)
    return [*(_process(one.name, daemon.running(one)) for one in daemon.found(layout.processes)), _node(layout)]


def _process(name: str, pid: int | None) -> str:
    if pid is None:
        return f"{name:26} ended"
    process = psutil.Process(pid)
    used, spent = process.memory_info().rss / 2**20, sum(process.cpu_times()[:2])
    return f"{name:26} pid {pid:<8} {used:6.0f} MiB {spent:8.1f} s of CPU"


def _node(layout: Layout) -> str:
    try:
        return f"{'node':26} {'ready' if admin.node_is_ready(layout) else 'not ready'}"
    except OSError as err:
        return f"{'node':26} unknown: {err}"
