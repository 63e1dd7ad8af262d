"""What a candidate's servers said, filed in the store before their pods take it with them.

It is filed beside the work: a store that is away costs clients no second more without an answer, and fails nothing.
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
        thread = Thread(target=self._put, args=(key, body), name="filing", daemon=True)
        thread.start()
        return Filing(thread, key)

    def _put(self, key: str, body: bytes) -> None:
        try:
            self.store().put(key, body)
        except StepError as err:
            log.warning("what the model server said is not kept at %s: %s", key, err)
        except Exception:  # no rollback ends because of what it says about itself
            log.exception("what the model server said is not kept at %s, for a bug", key)
        else:
            log.info("what the model server said is kept at %s", key)


@dataclass(frozen=True, slots=True)
class Filing:
    """One that goes on beside other work."""

    thread: Thread
    key: str

    def end(self) -> None:
        """Wait for it, but not for long."""
        self.thread.join(PATIENCE_SECONDS)
        if self.thread.is_alive():
            log.warning("what the model server said is not kept at %s: the store does not answer", self.key)
