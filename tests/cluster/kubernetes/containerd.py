"""Containerd through its own client: images in, and every container's end."""

import json
import os
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

from steps.errors import Transient
from tests.cluster.kubernetes.shell import run, tried

NAMESPACE = "k8s.io"
"""Of containerd's own: what the kubelet sees."""
FILLING = "vllm-promote-filling"
"""Name of a snapshot while it is made."""
KILL_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Containerd:
    socket: Path

    def images(self) -> set[str]:
        return set(self._ctr("images", "ls", "-q").split())

    def answers(self) -> bool:
        return bool(self._ctr("version"))

    def load(self, archive: Path) -> None:
        """What `docker save` or `buildah push` wrote."""
        self._ctr("images", "import", archive)

    def snapshots(self) -> set[str]:
        return {line.split()[0] for line in self._ctr("snapshots", "ls").splitlines()[1:]}

    def fill(self, chain: str, parent: str, tree: Path) -> None:
        """Have the layer of this chain id, above its parent's, hold the tree, by hard links where they are possible.

        An image whose layers are all there is not unpacked when it is loaded. So a layer of gigabytes takes seconds and
        no room; in the archive, a small file stands for it.
        """
        tried(*self._command("snapshots", "rm", FILLING))
        mounts = json.loads(self._ctr("snapshots", "prepare", "--mounts", FILLING, parent))
        options = dict(option.partition("=")[::2] for option in mounts[0]["Options"])
        shutil.copytree(tree, options["upperdir"], symlinks=True, dirs_exist_ok=True, copy_function=_link)
        self._ctr("snapshots", "commit", chain, FILLING)

    def clear(self) -> None:
        """End and forget every container. Raises Transient when one survives."""
        for task in self._tasks():
            tried(*self._command("tasks", "kill", "--signal", "SIGKILL", task))
        deadline = time.monotonic() + KILL_SECONDS
        while "RUNNING" in self._ctr("tasks", "ls"):
            if time.monotonic() > deadline:
                raise Transient(f"containers still run {KILL_SECONDS:g} s after SIGKILL: {', '.join(self._tasks())}")
            time.sleep(0.1)
        for task in self._tasks():
            tried(*self._command("tasks", "rm", "--force", task))
        for container in self._ctr("containers", "ls", "-q").split():
            tried(*self._command("containers", "rm", container))

    def _tasks(self) -> list[str]:
        return self._ctr("tasks", "ls", "-q").split()

    def _ctr(self, *arguments: str | Path) -> str:
        return run(*self._command(*arguments))

    def _command(self, *arguments: str | Path) -> tuple[str | Path, ...]:
        return ("ctr", "--address", self.socket, "--namespace", NAMESPACE, *arguments)


def _link(source: str, to: str) -> None:
    """A layer is never written to, so it can share its files."""
    try:
        os.link(source, to, follow_symlinks=False)
    except OSError:  # another file system
        shutil.copy2(source, to, follow_symlinks=False)
