"""Whoever reads what a command prints. They may leave before the end, and the work goes on without them."""

import contextlib
import os
from typing import IO


class Audience:
    """A stream of text that never fails: once nobody takes it any more, what is written goes nowhere."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream

    @property
    def encoding(self) -> str:
        """Asked for by rich, which draws with what it can hold."""
        return getattr(self._stream, "encoding", None) or "utf-8"

    def isatty(self) -> bool:
        return self._stream.isatty()

    def write(self, text: str) -> int:
        try:
            self._stream.write(text)
        except OSError:
            self._leave()
        return len(text)

    def flush(self) -> None:
        try:
            self._stream.flush()
        except OSError:
            self._leave()

    def _leave(self) -> None:
        """What is buffered still goes somewhere: else the interpreter would fail on it when it ends."""
        with contextlib.suppress(OSError):  # no descriptor of its own
            nowhere = os.open(os.devnull, os.O_WRONLY)
            try:
                os.dup2(nowhere, self._stream.fileno())
            finally:
                os.close(nowhere)
