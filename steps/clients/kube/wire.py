"""What goes over the wire to an API server, and what comes back: requests, answers, events of a watch."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

import urllib3

from steps.clients.kube import errors
from steps.clients.kube.api import Json
from steps.clients.kube.errors import Call
from steps.errors import Missing

READ_SECONDS = 9.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """What goes over the wire; ``patience`` is in seconds, between two pieces of the answer."""

    call: Call
    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    body: Json | None = None
    content_type: str = "application/json"
    patience: float = READ_SECONDS

    @property
    def target(self) -> str:
        asked = urlencode({key: value for key, value in self.query.items() if value})
        return f"{self.path}?{asked}" if asked else self.path

    @property
    def headers(self) -> dict[str, str]:
        return {"Accept": "application/json", "Content-Type": self.content_type}

    @property
    def sent(self) -> str | None:
        return None if self.body is None else json.dumps(self.body)


def good(status: int) -> bool:
    return 200 <= status < 300


def parsed(call: Call, status: int, body: str) -> Json:
    if not good(status):
        raise errors.failure(call, status, body)
    try:
        found: Json = json.loads(body)
    except ValueError as err:
        raise errors.no_api_server(call) from err
    return found


def changed(call: Call, line: str) -> Json:
    """Of an event of a watch. Raises Missing where the object was deleted, Transient for what is no whole event."""
    try:
        event = json.loads(line)
        kind, changed = str(event["type"]), dict[str, Any](event["object"])
    except (ValueError, KeyError, TypeError) as err:
        raise errors.damaged(call, line) from err
    if kind == "ERROR":
        raise errors.failure(call, changed.get("code", 0), json.dumps(changed))
    if kind == "DELETED":
        raise Missing(f"{call.kind.name} {call.name} in namespace {call.namespace} was deleted")
    return changed


def lines(answer: urllib3.BaseHTTPResponse) -> Iterator[bytes]:
    """Each as soon as it is there: a line is an event."""
    rest = b""
    for piece in answer.stream(2**16, decode_content=True):
        *whole, rest = (rest + piece).split(b"\n")
        yield from (line for line in whole if line.strip())
