"""What a chain of commands takes, all their processes together: wall time, CPU, and the memory of the largest one."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.bench import link

LAUNCHER = """
import json, resource, subprocess, sys, time
said, commands = sys.argv[1], json.loads(sys.argv[2])
began = time.monotonic()
for command in commands:
    if code := subprocess.call(command, stdin=subprocess.DEVNULL):
        sys.exit(f"{command[0]} ended with {code}")
wall = time.monotonic() - began
used = resource.getrusage(resource.RUSAGE_CHILDREN)
with open(said, "w") as f:
    json.dump({"wall": wall, "cpu": used.ru_utime + used.ru_stime, "peak_mib": used.ru_maxrss / 1024}, f)
"""
"""A small process between us and them: a child's peak begins with that of the process that forked it."""

Command = Sequence[str]


@dataclass(frozen=True, slots=True)
class Measured:
    """Seconds, seconds of all cores, MiB resident of the largest process."""

    wall: float
    cpu: float
    peak_mib: float

    def __str__(self) -> str:
        return f"{self.wall:8.2f} s {self.cpu:8.2f} CPU-s {self.peak_mib:6.0f} MiB"


class FailedError(Exception):
    """A command ended with another code than 0; the message has its last lines."""


def run(commands: Sequence[Command], environ: Mapping[str, str], scratch: Path) -> Measured:
    """One after the other, until one fails. ``environ`` is all that they get but the PATH. Raises FailedError."""
    said, log = scratch / "measured.json", scratch / "measured.log"
    argv = [*link.far(), sys.executable, "-I", "-S", "-c", LAUNCHER, str(said), json.dumps([list(c) for c in commands])]
    told = {"PATH": os.environ["PATH"], "HOME": str(scratch), **environ}
    with log.open("wb") as out:
        code = subprocess.run(argv, env=told, stdout=out, stderr=out, cwd=scratch, check=False).returncode
    if code:
        raise FailedError(log.read_bytes()[-2000:].decode(errors="replace"))
    return Measured(**json.loads(said.read_text()))
