"""A network namespace of the cluster's own, with a bridge and no way out.

Mounts and cgroups stay the machine's, so `ip netns exec` will not do: it would make a new mount namespace.
"""

import ctypes
import os
from pathlib import Path

from steps.errors import Missing
from tests.cluster.kubernetes.layout import ADDRESS, BRIDGE, SERVICES, Layout
from tests.cluster.kubernetes.shell import run, tried

NAMES = Path("/run/netns")
"""Where `ip netns` keeps them."""
CLONE_NEWNET = 0x40000000
SWITCHES = ("net/ipv4/ip_forward", "net/bridge/bridge-nf-call-iptables")


def exists(layout: Layout) -> bool:
    return (NAMES / layout.name).exists()


def make(layout: Layout) -> None:
    if not exists(layout):
        run("ip", "netns", "add", layout.name)


def enter(layout: Layout) -> None:
    """Move this program's network, and so that of all it starts from now on. Raises Missing before ``up``."""
    if not exists(layout):
        raise Missing(f"no cluster has been started in {layout.state}; run: python -m tests.cluster.kubernetes up")
    with (NAMES / layout.name).open() as file:
        if ctypes.CDLL(None, use_errno=True).setns(file.fileno(), CLONE_NEWNET):
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code), file.name)


def build_bridge() -> None:
    """From within; again does no harm."""
    run("ip", "link", "set", "lo", "up")
    if not tried("ip", "link", "show", BRIDGE):
        run("ip", "link", "add", BRIDGE, "type", "bridge")
    run("ip", "addr", "replace", f"{ADDRESS}/24", "dev", BRIDGE)
    run("ip", "link", "set", BRIDGE, "up")
    # No default route leads to kube-proxy's rules, and a route is looked up before them.
    run("ip", "route", "replace", SERVICES, "dev", BRIDGE)
    for switch in SWITCHES:
        _turn_on(Path("/proc/sys", switch))


def clear(layout: Layout) -> None:
    """Take the bridge and kube-proxy's rules away; whoever runs inside keeps a namespace with nothing in it."""
    if exists(layout):
        inside = ("nsenter", f"--net={NAMES / layout.name}")
        tried(*inside, "ip", "link", "delete", BRIDGE)
        empty = "".join(f"*{table}\nCOMMIT\n" for table in ("nat", "filter", "mangle"))
        run(*inside, "iptables-restore", stdin=empty)


def delete(layout: Layout) -> None:
    if exists(layout):
        run("ip", "netns", "delete", layout.name)
    if NAMES.is_dir() and not any(NAMES.iterdir()):
        tried("umount", NAMES)  # `ip netns add` mounts the directory on itself


def _turn_on(switch: Path) -> None:
    if not switch.exists():
        tried("modprobe", "br_netfilter")
    try:
        switch.write_text("1")
    except OSError as err:
        raise Missing(f"{switch} cannot be set: {err.strerror}; load the kernel's module br_netfilter") from err
