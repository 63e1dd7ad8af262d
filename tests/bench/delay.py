"""Servers that are as far away as you say: each is reached through a line of its own, see ``delay_line``.

The line is a process, so that it takes nothing from an interpreter that is measured; what CPU it takes is not counted,
as the servers' is not, and slows all alike. It needs no root, and no netem, which not every kernel has.
"""

import argparse
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from steps.clients.local.addresses import HOST

LINE = str(Path(__file__).with_name("delay_line.py"))


@dataclass(frozen=True, slots=True)
class Delay:
    """``milliseconds`` are there and back, as ping tells them."""

    milliseconds: float

    def __str__(self) -> str:
        return f"{self.milliseconds:g} ms"

    @property
    def one_way(self) -> float:
        """Seconds."""
        return self.milliseconds / 2000


def delay(text: str) -> Delay:
    """Raises ArgumentTypeError for what is none."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)ms", text)
    if not found or not float(found[1]):
        raise argparse.ArgumentTypeError(f"{text!r} is no delay; say milliseconds there and back, as 20ms")
    return Delay(float(found[1]))


@contextmanager
def delayed(endpoint: str, by: Delay, host: str = HOST) -> Iterator[str]:
    """The endpoint at whose address a client finds the same server, far away. The line listens on ``host``."""
    server = urlsplit(endpoint)
    argv = [sys.executable, "-I", "-S", LINE, host, str(server.hostname), str(server.port), str(by.one_way)]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as line:
        assert line.stdin
        assert line.stdout
        try:
            yield f"http://{host}:{int(line.stdout.readline())}"
        finally:
            line.stdin.close()
