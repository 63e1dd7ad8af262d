"""What Argo says of nodes and runs, as sentences: the step's own where it left one, without what Argo puts around it.

The patterns are those of Argo v4.1.2, observed. What is not known here is passed on as it is.
"""

import re
from typing import Any

_ENDED = re.compile(r"main: (\w+) \(exit code (\d+)\)(?:: (.*))?")
_SHUTDOWN = re.compile(r"workflow shutdown with strategy: +(\w+)")
_WAITING = re.compile(r"\w+: .+")
"""``Unschedulable: 0/1 nodes are available``; a reason alone, ``PodInitializing``, is nothing to worry about."""
_REFUSED = re.compile(r'pods "[^"]+" is forbidden: .+')
"""The API server's own words: a pod for which there is no quota is asked for again, and its node waits meanwhile."""


def of_attempt(message: str) -> str:
    """Of one that has ended."""
    text = " ".join(message.split())
    if ended := _ENDED.fullmatch(text):
        reason, code, said = ended.groups()
        return said or _silent(reason, code)
    return of_node(text)


def of_node(message: str) -> str:
    """Of one without a pod."""
    text = " ".join(message.split())
    if shutdown := _SHUTDOWN.fullmatch(text):
        return f"Stopped with strategy '{shutdown[1]}'"
    return text


def is_shutdown(message: str) -> bool:
    """Whether this is all that is known of an end: that it was asked for."""
    return _SHUTDOWN.fullmatch(message) is not None


def of_waiting(message: str) -> str:
    """Of a pod that does not run yet: what keeps it, empty for what passes by itself."""
    text = " ".join(message.split())
    return text if _WAITING.fullmatch(text) or _REFUSED.fullmatch(text) else ""


def of_run(status: dict[str, Any]) -> str:
    """For whom it waits, before it runs; else as Argo says it."""
    waiting = status.get("synchronization", {}).get("mutex", {}).get("waiting", [])
    if status.get("phase", "Pending") == "Pending" and waiting and waiting[0].get("holder"):
        holder, mutex = (waiting[0][key].rpartition("/")[2] for key in ("holder", "mutex"))
        return f"waits for {holder}, which holds {mutex}"
    return " ".join(status.get("message", "").split())


def _silent(reason: str, code: str) -> str:
    """The container ended without a word of the step."""
    if reason == "OOMKilled":
        return f"it needed more memory than its pod may have and was killed (exit code {code}); see its log"
    return f"it ended with exit code {code} and without a word; see its log"
