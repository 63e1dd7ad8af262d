"""A User-Mode-Linux, seen from outside: a kernel as a process, that has this machine's files and may not write them."""

import contextlib
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from steps.errors import Transient
from tests.cluster.kubernetes import shell
from workflows.checkout import CHECKOUT

KERNEL = "linux.uml"
MEMORY = "1400M"
"""Taken as it is used: the disk of its server lies in it too."""
SECONDS = 900
"""All of it; then it hangs, and is ended."""
NOISE = ("SELinux: ", "mmapper_init", "Failed to initialize ubd", "rpc.mountd: svc_tli", "sysrq: ", "reboot: ")
"""What a kernel or a daemon says in there without any harm."""
INIT = """#!/bin/sh
cd {checkout} && exec env -i PATH={path} HOME=/run LANG=C.UTF-8 PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 \\
    {python} -m tests.nfs.guest {version} {directory} {told}
"""


class Machine:
    """``directory`` is made by it, and all that it may write to."""

    def __init__(self, version: str, directory: Path) -> None:
        self.version = version
        self._directory = directory
        self._process: subprocess.Popen[str] | None = None

    def run(self, told: Sequence[str], say: Callable[[str], None]) -> int:
        """Pytest's exit code in there; ``say`` gets its lines. Raises Transient where it did not get that far."""
        self._directory.mkdir()
        with self._started(told) as self._process:
            assert self._process.stdout
            for line in self._process.stdout:
                if not line.startswith(NOISE):
                    say(line.rstrip())
        ended = self._directory / "ended"
        if not ended.exists():
            raise Transient(
                f"the machine for NFS {self.version} did not get to the end of its tests, in {SECONDS} s at most; "
                "see its last lines"
            )
        return int(ended.read_text())

    def _started(self, told: Sequence[str]) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            self._command(told),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            cwd=self._directory,
            env={**os.environ, "HOME": str(self._directory), "PATH": shell.path()},
            start_new_session=True,
        )

    def end(self) -> None:
        """Whatever it does."""
        if self._process and self._process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)

    def _command(self, told: Sequence[str]) -> list[str]:
        init = self._directory / "init"
        text = INIT.format(
            checkout=shlex.quote(str(CHECKOUT)),
            path=shlex.quote(shell.path()),
            python=shlex.quote(sys.executable),
            version=self.version,
            directory=shlex.quote(str(self._directory)),
            told=shlex.join(told),
        )
        init.write_text(text)
        init.chmod(0o755)
        console = ("con=null", "con0=null,fd:1", "ssl=null", "quiet")
        root = ("rootfstype=hostfs", "ro", f"init={init}")
        return ["timeout", "--signal=KILL", str(SECONDS), KERNEL, f"mem={MEMORY}", *root, *console]
