"""Work that goes on call by call: a process that is frozen ahead of each call, until it is let go on or killed."""

import threading
from collections.abc import Callable

from steps.errors import StepError
from tests.stubs.scene import Killed

STUCK_SECONDS = 60.0


class Actor:
    """It has a thread of its own, which runs while ``advance`` waits for it and never otherwise.

    ``call`` is what it is about to call, ``error`` what ended it.
    """

    def __init__(self, name: str, work: Callable[[Callable[[str], None]], object]) -> None:
        self.name, self.call, self.over = name, "its start", False
        self.error: StepError | None = None
        self.value: object = None
        self._bug: BaseException | None = None
        self._work, self._dies = work, False
        self._goes, self._stands = threading.Semaphore(0), threading.Semaphore(0)
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def advance(self, calls: int = 1) -> None:
        """Make so many calls, or as many as there are."""
        for _ in range(calls):
            if self.over:
                return
            if not self._thread.is_alive():
                self._thread.start()
            else:
                self._goes.release()
            assert self._stands.acquire(timeout=STUCK_SECONDS), f"{self.name} is stuck after {self.call}"
            if self._bug is not None:
                raise self._bug

    def until(self, ahead_of: Callable[[str], bool]) -> bool:
        """Whether it stands ahead of such a call; else it has ended."""
        while not self.over and not ahead_of(self.call):
            self.advance()
        return not self.over

    def finish(self) -> None:
        while not self.over:
            self.advance()

    def kill(self) -> None:
        """It makes no call any more."""
        if not self._thread.is_alive():
            self.over = True
        while not self.over:
            self._dies = True
            self.advance()

    def _run(self) -> None:
        try:
            self.value = self._work(self._moment)
        except StepError as err:
            self.error = err
        except Killed:
            pass
        except BaseException as err:  # noqa: BLE001  # it is raised again by who let it go on
            self._bug = err
        self.over = True
        self._stands.release()

    def _moment(self, call: str) -> None:
        self.call = call
        self._stands.release()
        self._goes.acquire()
        if self._dies:
            raise Killed
