"""Where the local engine keeps its runs, and how to read one.

runs/RUN/run.json        steps.core.run.Run, replaced at each change
runs/RUN/alive.lock      locked while the engine or a step of the run lives
runs/.locks/NAME         a mutex; its text is the run that holds it
"""

import fcntl
from dataclasses import dataclass
from pathlib import Path

from steps.core import run as runs
from steps.core.run import Run


@dataclass(frozen=True, slots=True)
class LocalJournal:
    """``home`` is the directory of everything local."""

    home: Path

    @property
    def locks(self) -> Path:
        return self.home / "runs" / ".locks"

    def directory(self, name: str) -> Path:
        return self.home / "runs" / name

    def file(self, name: str) -> Path:
        return self.directory(name) / "run.json"

    def alive_lock(self, name: str) -> Path:
        return self.directory(name) / "alive.lock"

    def run(self, name: str) -> Run | None:
        """Raises Corrupt."""
        path = self.file(name)
        try:
            return runs.parse(path.read_bytes(), str(path))
        except FileNotFoundError:
            return None

    def alive(self, name: str) -> bool:
        """Whether the engine of this run, or one of its steps, still lives."""
        try:
            with self.alive_lock(name).open("rb") as lock:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except FileNotFoundError:
            return False
        except BlockingIOError:
            return True
        return False
