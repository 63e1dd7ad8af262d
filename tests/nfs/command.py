"""The suite on a real NFS: one User-Mode-Linux for each version of it, side by side, each its own server and clients.

What is given is handed on to pytest: `python -m tests.nfs -k sweep`.
"""

import compileall
import os
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from steps.errors import BadInput, StepError
from tests.cluster.kubernetes import packages
from tests.cluster.kubernetes.shell import say
from tests.nfs.machine import KERNEL, Machine
from workflows.checkout import CHECKOUT

VERSIONS = ("4.2", "3")
PACKAGES = {
    KERNEL: "user-mode-linux",
    "rpc.nfsd": "nfs-kernel-server",
    "mount.nfs": "nfs-common",
    "rpcbind": "rpcbind",
    "modprobe": "kmod",
    "ip": "iproute2",
    "mkfs.ext4": "e2fsprogs",
    "setpriv": "util-linux",
    "strace": "strace",
}
"""Program to package."""


def main(argv: Sequence[str] | None = None) -> int:
    try:
        return _run(sys.argv[1:] if argv is None else argv)
    except StepError as err:
        print(f"{type(err).__name__}: {err}", file=sys.stderr)  # noqa: T201  # the command's own output
        return 1


def _run(told: Sequence[str]) -> int:
    if os.geteuid() != 0:
        raise BadInput("packages are installed, and machines that may read what root may are started: run it as root")
    packages.provide(PACKAGES)
    for code in ("steps", "workflows", "tests"):  # the machines cannot, they may only read
        compileall.compile_dir(CHECKOUT / code, quiet=1)
    with tempfile.TemporaryDirectory(prefix="vllm-promote-nfs-") as directory:
        machines = [Machine(version, Path(directory) / version) for version in VERSIONS]
        return _side_by_side(machines, told)


def _side_by_side(machines: Sequence[Machine], told: Sequence[str]) -> int:
    """How the worst of them ended."""
    begun = time.monotonic()
    codes: dict[str, int] = {}
    failures: list[StepError] = []

    def run(machine: Machine) -> None:
        try:
            codes[machine.version] = machine.run(told, lambda line: say(f"nfs {machine.version:4}| {line}"))
        except StepError as err:
            failures.append(err)

    threads = [threading.Thread(target=run, args=(machine,)) for machine in machines]
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        for machine in machines:
            machine.end()
    if failures:
        raise failures[0]
    say(f"NFS {' and '.join(f'{v}: {codes[v]}' for v in VERSIONS)} after {time.monotonic() - begun:.0f} s")
    return max(codes.values())
