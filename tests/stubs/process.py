"""A step as its own process, as the engine runs it."""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from steps.entry import flag
from steps.settings import PREFIX
from steps.step import Fields, Step, encode

ROOT = Path(__file__).parents[2]
MEASURE = """
import resource, subprocess, sys
code = subprocess.run(sys.argv[2:]).returncode
open(sys.argv[1], "w").write(str(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss))
sys.exit(code)
"""
"""A small process between us and the step: a child's peak begins with that of the process that forked it."""


@dataclass(frozen=True)
class Ended:
    code: int
    sentence: str
    """Of the termination message."""
    stderr: str
    outputs: Mapping[str, str]
    peak_mib: float


@dataclass(frozen=True)
class StepProcess:
    popen: "subprocess.Popen[str]"
    directory: Path

    def children(self) -> list[int]:
        """The step, once it runs: this process measures it."""
        pid = self.popen.pid
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]

    def end(self, timeout: float = 60) -> Ended:
        _, stderr = self.popen.communicate(timeout=timeout)
        message, peak, outputs = (self.directory / name for name in ("message", "peak", "outputs"))
        return Ended(
            code=self.popen.returncode,
            sentence=message.read_text() if message.exists() else "",
            stderr=stderr,
            outputs={p.name: p.read_text() for p in outputs.iterdir()} if outputs.exists() else {},
            peak_mib=int(peak.read_text()) / 1024 if peak.exists() else 0.0,
        )


def start(
    step: Step[Any, Any],
    inputs: Fields,
    environ: Mapping[str, str],
    directory: Path,
    *,
    under: Sequence[str] = (),
    **popen: Any,
) -> StepProcess:
    """``directory`` is the attempt's own; nothing of our environment gets through but the PATH.

    ``under`` is a program that runs it, such as one that makes it another user's.
    """
    directory.mkdir(parents=True)
    told = {
        "PATH": os.environ["PATH"],
        PREFIX + "OUTPUT_DIR": str(directory / "outputs"),
        PREFIX + "TERMINATION_LOG": str(directory / "message"),
        **environ,
    }
    flags = [f"{flag(name)}={encode(getattr(inputs, name))}" for name in inputs.__dataclass_fields__]
    command = [sys.executable, "-m", step.module, *flags]
    launcher = [sys.executable, "-I", "-S", "-c", MEASURE, str(directory / "peak")]
    pipe = subprocess.PIPE
    return StepProcess(
        subprocess.Popen([*under, *launcher, *command], cwd=ROOT, env=told, stderr=pipe, text=True, **popen), directory
    )


def run(
    step: Step[Any, Any], inputs: Fields, environ: Mapping[str, str], directory: Path, *, timeout: float = 60
) -> Ended:
    return start(step, inputs, environ, directory).end(timeout)
