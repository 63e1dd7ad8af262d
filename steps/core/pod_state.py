"""What a model server's pod waits for, or why it will not be ready: from the pod, the events about it, its Deployment.

``failure`` is final, ``waiting`` may pass: Kubernetes tries for ever, so each rule says where it draws the line. Free
text of Kubernetes is shown, never decided by.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from steps.core.workload import CONTAINER

Json = dict[str, Any]

LASTED_SECONDS = 60.0
"""Three pulls, as a node puts them off by 10 and 20 s: a registry that is away for a moment refuses no candidate."""
LAST_RESTART = 1
"""From this one on a crash is final: a first start may meet a stale look-up of a network volume."""
SHOWN = 300
"""Characters of Kubernetes' own text."""
_FINAL: dict[str, str] = {
    "InvalidImageName": "{image} is no name of an image",
    "ErrImageNeverPull": "its image {image} is not on the node, and may not be pulled",
}
"""By a container's reason to wait."""
_LASTING: dict[str, str] = {
    "ErrImagePull": "its image {image} cannot be pulled",
    "ImagePullBackOff": "its image {image} cannot be pulled",
    "CreateContainerConfigError": "its container cannot be made, as something that it names is not there",
}
"""Final once they have lasted: what a registry or an API server could not give is asked for again within seconds."""
_PASSING: dict[str, str] = {
    "CrashLoopBackOff": "its model server ended and is about to be started again",
    "CreateContainerError": "its container could not be made, which is tried again",
    "RunContainerError": "its container could not be run, which is tried again",
}
_SHORT = re.compile(r"Insufficient ([a-z0-9./-]*[a-z0-9])")


@dataclass(frozen=True, kw_only=True, slots=True)
class State:
    """Of a pod that is neither gone nor about to be."""

    ready: bool
    failure: str | None = None
    waiting: str | None = None


def state(pod: Json, events: Sequence[Json] = (), neighbours: Iterable[Json] = (), now: float = 0.0) -> State:
    """``events`` are about this pod, oldest first; ``neighbours`` all pods that may hold what it wants.

    ``now`` is in seconds since the epoch.
    """
    if is_ready(pod):
        return State(ready=True)
    if failure := _failure(pod) or _lasting(pod, events, now):
        return State(ready=False, failure=failure)
    return State(ready=False, waiting=_waiting(pod, events, tuple(neighbours)))


def moment(event: Json) -> float | None:
    """When it was told last, in seconds since the epoch; which field has it depends on who wrote the event."""
    said = event.get("lastTimestamp") or event.get("eventTime") or event.get("metadata", {}).get("creationTimestamp")
    return seconds(said)


def seconds(said: Any) -> float | None:
    """Of an RFC 3339 time, since the epoch; None for what is none."""
    try:
        return datetime.fromisoformat(said).astimezone(UTC).timestamp()
    except (ValueError, TypeError):
        return None


def is_ending(pod: Json) -> bool:
    """It is on its way out, and no part of what serves."""
    return "deletionTimestamp" in pod["metadata"]


def has_ended(pod: Json) -> bool:
    """For good, as a pod that was evicted; Kubernetes puts another in its place."""
    return pod.get("status", {}).get("phase") in ("Failed", "Succeeded")


def is_unscheduled(pod: Json) -> bool:
    """No node has taken it: what its neighbours hold may be why."""
    return _condition(pod, "PodScheduled").get("status") == "False"


def is_prepared(pod: Json) -> bool:
    """Its node makes it ready to start: events may tell what keeps it."""
    return not is_ready(pod) and not is_unscheduled(pod) and "running" not in _server(pod).get("state", {})


def is_ready(pod: Json) -> bool:
    return not is_ending(pod) and not has_ended(pod) and _condition(pod, "Ready").get("status") == "True"


def ended(pod: Json) -> str:
    """Why a pod has ended for good, in words."""
    status = pod.get("status", {})
    terminated = _server(pod).get("state", {}).get("terminated")
    why = " ".join(filter(None, (status.get("reason"), status.get("message"))))
    return _cut(why) if why or not terminated else _exit(pod, terminated)


def restarts(pod: Json) -> int:
    count: int = _server(pod).get("restartCount", 0)
    return count


def refusal(deployment: Json) -> str | None:
    """Why the cluster makes no pods for it at all: a quota, a policy, a webhook. None where it does."""
    condition = _condition(deployment, "ReplicaFailure")
    if condition.get("status") != "True" or not deployment["spec"].get("replicas"):
        return None
    return f"the cluster refuses to make its pod: {_cut(condition.get('message', ''))}"


def refused_since(deployment: Json) -> float | None:
    """When that began, in seconds since the epoch; None where nobody tells."""
    return seconds(_condition(deployment, "ReplicaFailure").get("lastTransitionTime"))


def holders(pods: Iterable[Json], resource: str) -> tuple[str, ...]:
    """Which pods hold some of a resource on their nodes, and how much, like ``chat-0123-x (1)``."""
    held = ((pod["metadata"]["name"], _amount(pod, resource)) for pod in pods if _has_room(pod))
    return tuple(f"{name} ({amount})" for name, amount in sorted(held) if amount)


def _failure(pod: Json) -> str | None:
    server, image = _server(pod), _spec(pod).get("image", "")
    wait = server.get("state", {}).get("waiting", {})
    if reason := _FINAL.get(wait.get("reason", "")):
        return _with(reason.format(image=image), wait.get("message"))
    if restarts(pod) < LAST_RESTART or "running" in server.get("state", {}):  # it loads, or will be ready again
        return None
    return f"its model server ended {restarts(pod) + 1} times, {_exit(pod, _last_end(server))}"


def _lasting(pod: Json, events: Sequence[Json], now: float) -> str | None:
    """A container tells no time, its events do: since the first trouble, unless it is being pulled once more."""
    wait = _server(pod).get("state", {}).get("waiting", {})
    reason = _LASTING.get(wait.get("reason", ""))
    troubles = [e for e in events if e.get("reason") == "Failed"]
    since = min(filter(None, (seconds(e.get("firstTimestamp")) or moment(e) for e in troubles)), default=None)
    if reason is None or since is None or now - since < LASTED_SECONDS or _is_pulling(events, troubles):
        return None
    return _with(reason.format(image=_spec(pod).get("image", "")), wait.get("message"))


def _is_pulling(events: Sequence[Json], troubles: Sequence[Json]) -> bool:
    """It may take long, and the container keeps its reason of the time before."""
    pulled = max((moment(e) or 0.0 for e in events if e.get("reason") == "Pulling"), default=0.0)
    return pulled > max(moment(e) or 0.0 for e in troubles)


def _waiting(pod: Json, events: Sequence[Json], neighbours: Sequence[Json]) -> str:
    if is_unscheduled(pod):
        return _unscheduled(_condition(pod, "PodScheduled").get("message", ""), neighbours)
    server = _server(pod)
    wait = server.get("state", {}).get("waiting", {})
    if reason := _lasting_so_far(wait) or _PASSING.get(wait.get("reason", "")):
        said = reason.format(image=_spec(pod).get("image", ""))
        return _with(said, _exit(pod, end) if (end := _last_end(server)) else wait.get("message"))
    if "running" in server.get("state", {}):
        return _loading(pod)
    trouble = next((e for e in reversed(events) if e.get("type") == "Warning"), None)
    if trouble:
        return f"{trouble.get('reason')}: {_cut(trouble.get('message', ''))}"
    return f"its node {pod['spec'].get('nodeName', '')} prepares it ({wait.get('reason') or 'no word of it yet'})"


def _lasting_so_far(wait: Json) -> str | None:
    reason = _LASTING.get(wait.get("reason", ""))
    return f"{reason}, which is tried again" if reason else None


def _loading(pod: Json) -> str:
    ready = _condition(pod, "Ready")
    if ready.get("reason") not in (None, "ContainersNotReady"):
        return f"it runs and is not ready: {_with(ready['reason'], ready.get('message'))}"
    if end := _last_end(_server(pod)):
        return f"it loads, for the {restarts(pod) + 1}. time: {_exit(pod, end)}"
    return "it loads"


def _unscheduled(message: str, neighbours: Sequence[Json]) -> str:
    """Which resource is short, and who has it: as far as we may see, which is our own namespace."""
    short = dict.fromkeys(_SHORT.findall(message))
    held = {resource: ", ".join(holders(neighbours, resource)) for resource in short}
    who = (f"{resource} is held by {names or 'nobody in this namespace'}" for resource, names in held.items())
    return "; ".join((_with("no node takes it", message), *who))


def _exit(pod: Json, end: Json) -> str:
    """How its container ended."""
    if not end:
        return "how is not known"
    if end.get("reason") == "OOMKilled":
        limit = _spec(pod).get("resources", {}).get("limits", {}).get("memory")
        return f"last for want of memory (OOMKilled; its limit is {limit or 'what its node has'})"
    reason = end.get("reason")
    return f"last with exit code {end.get('exitCode')}" + (f" ({reason})" if reason not in (None, "Error") else "")


def _last_end(server: Json) -> Json:
    """Of the container's start before this one; empty where there was none."""
    end: Json = server.get("state", {}).get("terminated") or server.get("lastState", {}).get("terminated") or {}
    return end


def _server(pod: Json) -> Json:
    """The model server's container as its node tells of it."""
    statuses: list[Json] = pod.get("status", {}).get("containerStatuses", [])
    return next((s for s in statuses if s["name"] == CONTAINER), {})


def _spec(pod: Json) -> Json:
    """The model server's container as it was asked for."""
    containers: list[Json] = pod["spec"]["containers"]
    return next((c for c in containers if c.get("name") == CONTAINER), containers[0])


def _condition(thing: Json, kind: str) -> Json:
    found: list[Json] = thing.get("status", {}).get("conditions") or []
    return next((c for c in found if c["type"] == kind), {})


def _has_room(pod: Json) -> bool:
    return bool(pod["spec"].get("nodeName")) and not has_ended(pod)


def _amount(pod: Json, resource: str) -> str:
    """Of one container of it: those that hold a device have one."""
    wanted = (c.get("resources", {}).get("requests", {}).get(resource) for c in pod["spec"]["containers"])
    return next((str(amount) for amount in wanted if amount), "")


def _with(said: str, message: str | None) -> str:
    return f"{said}: {_cut(message)}" if message else said


def _cut(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= SHOWN else line[:SHOWN] + "…"
