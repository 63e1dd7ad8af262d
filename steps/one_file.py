"""One file on its way: what mirror and populate each do for it, and when its bytes are given up."""

import logging
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Protocol

from steps.core.manifest import File
from steps.core.parts import Part
from steps.errors import Conflict, Corrupt

log = logging.getLogger(__name__)


class Copy(Protocol):
    """One file on its way. Leaving its context without ``keep`` leaves nothing of it."""

    def part(self, part: Part, body: memoryview) -> None:
        """Fetch it into ``body``, and pass it on; from several threads."""
        ...

    def keep(self) -> None:
        """Every part was passed on, and the whole is what it should be."""
        ...

    def overtaken(self, err: Conflict) -> None:
        """Raises, unless another run has brought this very file meanwhile."""
        ...


Start = Callable[[File], AbstractContextManager[Copy]]


class Fetches:
    """How often files have come wrong. ``source`` says where the bytes come from and what to do about them."""

    def __init__(self, source: Callable[[File], str], limit: int) -> None:
        self._source = source
        self._limit = limit
        self._wrong: Counter[File] = Counter()

    def came_wrong(self, file: File, actual: str) -> None:
        """Raises Corrupt when it has been fetched often enough."""
        self._wrong[file] += 1
        count = self._wrong[file]
        log.warning("%s has sha256 %s, expected %s (attempt %d)", file.path, actual, file.sha256, count)
        if count == self._limit:
            raise Corrupt(
                f"{file.path} has sha256 {actual}, expected {file.sha256}, {count} times over: {self._source(file)}"
            )
