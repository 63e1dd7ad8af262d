"""What the cluster needs of the machine: programs from Debian's packages, root, and Go."""

import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

from steps.errors import BadInput, Missing, Transient
from tests.cluster.kubernetes import shell
from tests.cluster.kubernetes.configuration import PLUGINS

PACKAGES: Mapping[str, str] = {
    "etcd": "etcd-server",
    "containerd": "containerd",
    "runc": "runc",
    f"{PLUGINS}/bridge": "containernetworking-plugins",
    "iptables-restore": "iptables",
    "conntrack": "conntrack",
    "ip": "iproute2",
    "openssl": "openssl",
    "buildah": "buildah",
    "debootstrap": "debootstrap",
}
"""Program to package."""
INSTALL = ("apt-get", "install", "--yes", "--quiet", "--no-install-recommends")


def prepare() -> None:
    """Install what is missing. Raises BadInput where this user cannot, Missing where this machine cannot."""
    if os.geteuid() != 0:
        raise BadInput("a cluster needs namespaces, mounts and cgroups: run it as root")
    if not shutil.which("go", path=shell.path()):
        raise Missing("Go 1.24 or newer is needed to build Kubernetes, and there is no `go` on the PATH; install it")
    provide(PACKAGES)


def provide(wanted: Mapping[str, str]) -> None:
    """Install the packages of those programs that are not there. Raises Missing where that cannot be."""
    if packages := missing(_is_there, wanted):
        _install(packages)
    if packages := missing(_is_there, wanted):
        raise Missing(f"these packages are installed, and their programs are not there: {', '.join(packages)}")


def missing(is_there: Callable[[str], bool], wanted: Mapping[str, str] = PACKAGES) -> tuple[str, ...]:
    """Packages, each once."""
    return tuple(sorted({package for program, package in wanted.items() if not is_there(program)}))


def _is_there(program: str) -> bool:
    return shutil.which(program, path=shell.path()) is not None


def _install(packages: tuple[str, ...]) -> None:
    wanted = " ".join(packages)
    if not Path("/etc/debian_version").exists():
        raise Missing(f"this machine lacks what Debian 12 has as {wanted}; install it by its own means")
    shell.say(f"installing {wanted}")
    try:
        shell.run("apt-get", "update", "--quiet")
        shell.run(*INSTALL, *packages, environ={"DEBIAN_FRONTEND": "noninteractive"})
    except Transient as err:
        raise Missing(f"apt-get cannot install {wanted}: {err}") from err
