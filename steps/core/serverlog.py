"""What a model server's log tells of it."""

import re

_DEVICE = re.compile(r"\bdevice_config=([a-z]+)|Automatically detected platform ([a-z]+)\.")
"""vLLM's words: the engine's configuration, and what it found at the very start."""
_EXCEPTION = re.compile(r"\b[\w.]*(?:Error|Exception)\b.*")
SHOWN = 200
"""Characters of a line that messages repeat."""


def log_name(release_id: str) -> str:
    """Among the reports of the run that ended it."""
    return f"server-{release_id}.log"


def device(log: str) -> str | None:
    """``cuda`` or ``cpu``: the last one that the log names, as the engine's own word comes after the guess."""
    named = [a or b for a, b in _DEVICE.findall(log)]
    return next((name for name in reversed(named) if name in ("cuda", "cpu")), None)


def last_words(log: str) -> str:
    """The line of a log that says most about why a server ended: its last exception, else its last line."""
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    exceptions = [m[0] for line in lines if (m := _EXCEPTION.search(line))]
    return (exceptions or lines or ["it said nothing"])[-1][:SHOWN]
