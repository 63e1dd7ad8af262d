"""The NFS server of this machine, with a disk of its own, and clients that share nothing but a kernel.

Each client has a network of its own with a cable to the server, and a host name of its own: so the server takes them
for two machines, and each has its own caches.
"""

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

DISK_MB = 480
"""Room for what all tests leave: the machine is thrown away, so nothing is unmounted or removed."""
DISK = Path("/run/disk")
OTHER_DISK = Path("/run/other-disk")
BLOCK = 4096
"""Bytes, of its file system."""
EXPORT = Path("/run/export")
OPTIONS = "rw,sync,fsid=0,insecure,root_squash,no_subtree_check"
CLIENTS = Path("/run/clients")
CONTROL = Path("/proc/fs/nfsd")
OWNER = 1000
"""Of the volume, and of who populates it, as in our pods."""
GRACE_SECONDS = 10
"""The least that the kernel takes; servers have 90. Who restarts has clients wait so long."""
SECONDS = 30
NAMES = ("a", "b")


def run(*argv: str | Path) -> str:
    return subprocess.run(argv, check=True, timeout=SECONDS, capture_output=True, text=True).stdout


def make_disk(disk: Path) -> None:
    with disk.open("wb") as file:
        file.truncate(DISK_MB << 20)
    run("mkfs.ext4", "-q", "-m", "0", "-b", str(BLOCK), disk)


@dataclass(frozen=True)
class Client:
    """``number`` makes its network."""

    name: str
    number: int

    @property
    def server(self) -> str:
        """The server's address at its end of the cable."""
        return f"10.9.{self.number}.1"

    @property
    def own(self) -> str:
        return f"10.9.{self.number}.2"

    @property
    def cable(self) -> str:
        return f"server-{self.name}"

    def join(self) -> None:
        """Have a network with a cable to the server."""
        run("ip", "netns", "add", self.name)
        run("ip", "link", "add", self.cable, "type", "veth", "peer", "name", "cable", "netns", self.name)
        inside = ("ip", "-netns", self.name)
        for ip, device, address in ((("ip",), self.cable, self.server), (inside, "cable", self.own)):
            run(*ip, "address", "add", f"{address}/24", "dev", device)
            run(*ip, "link", "set", device, "up")

    def mount(self, version: str, what: str, where: Path, options: str) -> None:
        """As this client does it: who uses the directory may be anybody."""
        where.mkdir(parents=True)
        lockless = ",nolock" if version == "3" else ""
        told = f"vers={version}{lockless},nosharecache,{options}"
        script = 'hostname "$1" && exec mount.nfs "$2" "$3" -o "$4"'
        named = ("unshare", "--uts", "sh", "-ec", script, "sh", self.name, f"{self.server}:{what}", where, told)
        run("nsenter", f"--net=/run/netns/{self.name}", *named)

    @contextmanager
    def unplugged(self) -> Iterator[None]:
        """Nothing gets through, and nobody says so."""
        run("ip", "link", "set", self.cable, "down")
        try:
            yield
        finally:
            self.plug()

    def plug(self) -> None:
        run("ip", "link", "set", self.cable, "up")


class Server:
    def __init__(self, version: str) -> None:
        self.version = version
        self.clients = [Client(name, number) for number, name in enumerate(NAMES, start=1)]

    def boot(self) -> None:
        for directory in (EXPORT, CLIENTS, Path("/run/rpcbind"), Path("/var/lib/nfs/v4recovery")):
            directory.mkdir()
        for state in ("etab", "rmtab", "xtab"):
            Path("/var/lib/nfs", state).touch()
        make_disk(DISK)
        run("mount", "-o", "loop", DISK, EXPORT)
        run("mount", "-t", "nfsd", "nfsd", CONTROL)
        for client in self.clients:
            client.join()
        run("rpcbind")
        self.export()
        run("rpc.mountd")
        for limit in ("nfsv4leasetime", "nfsv4gracetime"):
            (CONTROL / limit).write_text(f"{GRACE_SECONDS}\n")
        self.start()
        (CONTROL / "v4_end_grace").write_text("Y\n")  # nobody was here before

    def start(self) -> None:
        run("rpc.nfsd", "4")

    def stop(self) -> None:
        """It is as away as a server that restarts: nothing listens there."""
        run("rpc.nfsd", "0")

    def export(self) -> None:
        for client in self.clients:
            run("exportfs", "-i", "-o", OPTIONS, f"{client.own}:{EXPORT}")

    @contextmanager
    def other_disk(self) -> Iterator[None]:
        """Lies over the export for a while, as after a failover: what clients have open there is stale."""
        make_disk(OTHER_DISK)
        run("mount", "-o", "loop", OTHER_DISK, EXPORT)
        run("exportfs", "-f")
        try:
            yield
        finally:
            run("umount", "--lazy", EXPORT)
            run("exportfs", "-f")

    def free_bytes(self) -> int:
        found = os.statvfs(EXPORT)
        return found.f_bavail * found.f_frsize


class Volume:
    """A directory of the export, and its mounts: what a claim is to pods on several nodes."""

    def __init__(self, server: Server, name: str) -> None:
        self._server = server
        self._name = name
        self._mounts = 0
        self.path = EXPORT / name
        """As the server sees it, which has no cache to be misled by."""

    def make(self) -> None:
        self.path.mkdir()
        os.chown(self.path, OWNER, OWNER)

    def mount(self, client: Client, options: str = "hard") -> Path:
        what = f"/{self._name}" if self._server.version != "3" else str(self.path)
        self._mounts += 1
        where = CLIENTS / f"{self._name}-{self._mounts}-{client.name}"
        client.mount(self._server.version, what, where, options)
        return where


def until(holds: Callable[[], object], seconds: float = SECONDS) -> float:
    """Seconds that it took to come true. Fails where it does not."""
    begun = time.monotonic()
    while not holds():
        assert time.monotonic() - begun < seconds, f"not within {seconds:g} s"
        time.sleep(0.05)
    return time.monotonic() - begun
