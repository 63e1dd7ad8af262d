"""What is filed in the store beside the work: what a candidate's servers said, before their pods take it with them.

A store that is away costs clients no second more without an answer, and fails nothing.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from threading import Thread

from steps.core.names import Layout
from steps.core.serverlog import log_name
from steps.errors import StepError
from steps.ports.store import Store

LINES = 4000
KEPT_BYTES = 256 * 1024
"""The last of them: a server tells at its end why it ended."""
PATIENCE_SECONDS = 20.0
"""For a store that is away, when all else is done."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class Files:
    """Among the reports of one run. ``redact`` takes the secrets out that this process knows."""

    store: Callable[[], Store]
    layout: Layout
    run: str
    redact: Callable[[str], str]

    def begin(self, release_id: str, said: str) -> "Filing":
        """Returns at once."""
        key = self.layout.report(self.run, log_name(release_id))
        body = self.redact(said).encode(errors="replace")[-KEPT_BYTES:]
        return self.beside(f"kept at {key}", "what the model server said", lambda store: store.put(key, body))

    def beside(self, done: str, what: str, work: Callable[[Store], object]) -> "Filing":
        """``work`` with the store, in a thread; afterwards ``what`` is ``done``, or is not: the log says so and why."""
        thread = Thread(target=self._do, args=(done, what, work), name="filing", daemon=True)
        thread.start()
        return Filing(thread, f"{what} is not {done}")

    def _do(self, done: str, what: str, work: Callable[[Store], object]) -> None:
        try:
            work(self.store())
        except (StepError, OSError) as err:
            log.warning("%s is not %s: %s", what, done, err)
        except Exception:  # no rollback ends because of what it says about itself
            log.exception("%s is not %s, for a bug", what, done)
        else:
            log.info("%s is %s", what, done)


@dataclass(frozen=True, slots=True)
class Filing:
    """One that goes on beside other work."""

    thread: Thread
    missed: str
    """What is not as it should be, where this comes to nothing."""

    def end(self) -> None:
        """Wait for it, but not for long."""
        self.thread.join(PATIENCE_SECONDS)
        if self.thread.is_alive():
            log.warning("%s: the store does not answer", self.missed)
