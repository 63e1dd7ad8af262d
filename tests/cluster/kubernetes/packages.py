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


def provide(packages: Mapping[str, str]) -> None:
    """Programs to packages: install what is missing, as root. Raises Missing where this machine cannot."""
    if wanted := missing(packages, _is_there):
        _install(wanted)
    if wanted := missing(packages, _is_there):
        raise Missing(f"these packages are installed, and their programs are not there: {', '.join(wanted)}")


def missing(packages: Mapping[str, str], is_there: Callable[[str], bool]) -> tuple[str, ...]:
    """Packages, each once."""
    return tuple(sorted({package for program, package in packages.items() if not is_there(program)}))


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
