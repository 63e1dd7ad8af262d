"""One attempt of one step: here a process of its own, with what the step's contract promises it.

    outputs/STEP.N/                its output files
    outputs/STEP.N.termination     its sentence, when it failed
    outputs/STEP.N.progress        N/M in bytes, while it runs
    STEP.N.log                     its stdout and stderr

The process leads a session, as the first process of a container would: signals go to all that it started, and nothing
of that is left when it ends. What is to live on (a model server) leaves the session by itself.
"""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from steps.core.run import Phase
from steps.entry import LIFELINE, one_line
from steps.redaction import redact
from steps.settings import PREFIX
from workflows.local.spec import Output

CANNOT_START = 127
"""A shell's exit code for a command that is not there."""
TAIL_BYTES = 4096
STOPPED = (128 + signal.SIGTERM, 128 + signal.SIGKILL)
"""Exit codes of one that was told to end, and did so, or had to be made to."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Launch:
    """Everything about an attempt before it is made. ``keep_open`` are locks that live as long as the process does.

    ``template`` with its ``inputs`` is what it carries out; ``argv`` and ``environ`` say the same for a process.
    """

    name: str
    template: str
    inputs: Mapping[str, str]
    argv: tuple[str, ...]
    environ: Mapping[str, str]
    outputs: tuple[Output, ...]
    directory: Path
    """The run's."""
    cwd: Path
    deadline_seconds: float | None
    grace_seconds: float
    """Between SIGTERM and SIGKILL."""
    keep_open: tuple[int, ...] = ()

    @property
    def log(self) -> Path:
        return self.directory / f"{self.name}.log"

    @property
    def output_dir(self) -> Path:
        return self.directory / "outputs" / self.name

    @property
    def termination_log(self) -> Path:
        return self.output_dir.with_name(f"{self.name}.termination")

    @property
    def progress_file(self) -> Path:
        return self.output_dir.with_name(f"{self.name}.progress")


@dataclass(frozen=True, kw_only=True, slots=True)
class Ending:
    """How an attempt ended. ``message`` is the step's own sentence where it left one; no secret of its is in it."""

    phase: Phase
    exit_code: int | None
    message: str
    outputs: Mapping[str, str]


class Execution(Protocol):
    """An attempt that runs. Whoever holds it asks from time to time; nothing here waits."""

    def poll(self) -> Ending | None:
        """How it ended, None while it runs; enforces its deadline and its grace."""
        ...

    def stop(self) -> None:
        """Have it end politely, once; by force when the grace is over."""
        ...

    def progress(self) -> str:
        """What the step last said, ``N/M``; empty before it said anything."""
        ...


class Process:
    """Implements ``Execution``."""

    def __init__(self, launch: Launch) -> None:
        """Raises OSError when there is no such program, no room, or it cannot be given so long an argument."""
        self._launch = launch
        self._popen = _start(launch)
        self._deadline = _later(launch.deadline_seconds)
        self._kill_at: float | None = None
        self._overdue = False

    def poll(self) -> Ending | None:
        if os.waitid(os.P_PID, self._popen.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT):
            return self._end()
        now = time.monotonic()
        if self._deadline is not None and now >= self._deadline and not self._overdue:
            self._overdue = True
            self.stop()
        if self._kill_at is not None and now >= self._kill_at:
            self._signal(signal.SIGKILL)
        return None

    def stop(self) -> None:
        """Send SIGTERM, once; SIGKILL follows when the grace is over."""
        if self._kill_at is None:
            self._kill_at = time.monotonic() + self._launch.grace_seconds
            self._signal(signal.SIGTERM)

    def progress(self) -> str:
        return _text(self._launch.progress_file).strip()

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._popen.pid, number)

    def _end(self) -> Ending:
        self._signal(signal.SIGKILL)  # what it left behind; before it is reaped, so that the number is still its own
        code = self._popen.wait()
        if self._popen.stdin:
            self._popen.stdin.close()
        return gathered(
            self._launch, 128 - code if code < 0 else code, overdue=self._overdue, stopped=self._kill_at is not None
        )


def never_started(launch: Launch, err: OSError) -> Ending:
    """The ending of an attempt for which there is no process."""
    message = f"{launch.name} cannot be started: {err.strerror}: {err.filename}; see that it is there"
    return Ending(phase="Failed", exit_code=CANNOT_START, message=message, outputs={})


def _start(launch: Launch) -> subprocess.Popen[bytes]:
    launch.output_dir.mkdir(parents=True)
    given = {
        PREFIX + "OUTPUT_DIR": str(launch.output_dir),
        PREFIX + "TERMINATION_LOG": str(launch.termination_log),
        "ARGO_PROGRESS_FILE": str(launch.progress_file),
        LIFELINE: "1",
    }
    with launch.log.open("xb") as log:  # an earlier attempt's log is never written over
        return subprocess.Popen(
            launch.argv,
            env={**launch.environ, **given},
            cwd=launch.cwd,
            stdin=subprocess.PIPE,  # the lifeline: it breaks when the engine dies
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            pass_fds=launch.keep_open,
        )


def gathered(launch: Launch, code: int, *, overdue: bool = False, stopped: bool = False) -> Ending:
    """What it left in its files. ``code`` as a shell would have it; ``overdue``: it was ended at its deadline.

    ``stopped``: it was told to end. Of one that had no time to say so its last line is not the reason.
    """
    if code:
        message = _message(launch, code, overdue=overdue, stopped=stopped)
        return Ending(phase="Failed", exit_code=code, message=message, outputs={})
    files = {o.name: launch.output_dir / o.file for o in launch.outputs}
    outputs = {o.name: _text(files[o.name]) if files[o.name].exists() else o.default for o in launch.outputs}
    if missing := [name for name, value in outputs.items() if value is None]:
        message = f"{launch.name} succeeded, but did not write its output {missing[0]}"
        return Ending(phase="Error", exit_code=code, message=message, outputs={})
    return Ending(
        phase="Succeeded", exit_code=code, message="", outputs={k: v for k, v in outputs.items() if v is not None}
    )


def _message(launch: Launch, code: int, *, overdue: bool, stopped: bool) -> str:
    if overdue:
        return f"{launch.name} was still at work at its deadline of {launch.deadline_seconds:g} s and was ended"
    said = _text(launch.termination_log)
    if not said and stopped and code in STOPPED:
        said = f"Stopped: {launch.template} was ended before it could say anything; run it again to go on"
    said = said or f"exit code {code}: {_last_line(launch.log)}"
    return one_line(redact(said, launch.environ))


def _last_line(log: Path) -> str:
    with log.open("rb") as stream:
        stream.seek(max(0, stream.seek(0, os.SEEK_END) - TAIL_BYTES))
        lines = stream.read().decode(errors="replace").splitlines()
    return next((line for line in reversed(lines) if line.strip()), "it said nothing")


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return ""


def _later(seconds: float | None) -> float | None:
    return None if seconds is None else time.monotonic() + seconds
