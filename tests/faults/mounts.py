"""File systems of a size and a mode of our choice, which only this test sees and nobody needs to be root for.

They are mounted in a namespace that a sleeping process holds; through /proc everybody of the same user reaches them.
"""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

SCRIPT = 'mount -t tmpfs -o "size=$1,mode=755" volume "$2" && echo ready && exec sleep 600'


@dataclass(frozen=True)
class Mount:
    """``path`` leads into the namespace."""

    path: Path
    pid: int
    inside: Path

    def remount(self, options: str) -> None:
        enter = ["nsenter", f"--target={self.pid}", "--user", "--preserve-credentials", "--mount"]
        subprocess.run([*enter, "mount", "-o", f"remount,{options}", str(self.inside)], check=True)

    def free(self) -> int:
        found = os.statvfs(self.path)
        return found.f_bavail * found.f_frsize

    def fill(self, left: int) -> Path:
        """Somebody else's file, which leaves no more than so many bytes."""
        filler = self.path / "somebody-else"
        filler.write_bytes(bytes(max(0, self.free() - left)))
        return filler


@contextmanager
def tmpfs(directory: Path, size: int) -> Iterator[Mount]:
    """Raises AssertionError where this machine lets its user make no namespaces."""
    directory.mkdir(parents=True)
    apart = ["unshare", "--user", "--map-root-user", "--mount"]
    shell = ["sh", "-c", SCRIPT, "sh", str(size), str(directory)]
    with subprocess.Popen([*apart, *shell], stdout=subprocess.PIPE, text=True) as holder:
        try:
            assert holder.stdout is not None
            assert holder.stdout.readline() == "ready\n", "no tmpfs can be mounted: this kernel forbids user namespaces"
            yield Mount(Path(f"/proc/{holder.pid}/root{directory}"), holder.pid, directory)
        finally:
            holder.kill()
