"""How far a step is, for the people who watch it."""

import logging
import threading
from pathlib import Path

log = logging.getLogger(__name__)


class Progress:
    """Bytes done of bytes in all, written as ``N/M`` to the file that Argo (or the local engine) reads.

    Thread-safe. Argo shows it about once a minute; the local engine at once.
    """

    def __init__(self, path: Path | None, total: int) -> None:
        self._path = path
        self._total = max(total, 1)
        self._done = 0
        self._lock = threading.Lock()

    def add(self, amount: int) -> None:
        """Say that so many more bytes are done."""
        with self._lock:
            self._done = min(self._done + amount, self._total)
            if self._path is not None:
                try:
                    self._path.write_text(f"{self._done}/{self._total}\n")
                except OSError as err:  # progress is a courtesy: it must never end the work
                    log.warning("progress is not shown: %s", err)
                    self._path = None
