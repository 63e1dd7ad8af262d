"""What the API server's refusals mean to us: by status, and in words that name verb, resource and namespace."""

import json
from dataclasses import dataclass
from typing import Any

from steps.clients.kube.api import Kind
from steps.errors import BadInput, Conflict, Denied, Missing, StepError, Transient

SHOWN = 400


class Unknown(Denied):
    """The cluster does not know who asks."""


class Forbidden(Denied):
    """The cluster does not let the account do it: by its rights, by a quota or by a policy."""


class UnknownKind(Missing):
    """The cluster knows no such objects: what defines them is not installed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Call:
    """One request, as its failure is told."""

    verb: str
    """As a Role would name it: get, list, watch, create, update, patch, delete."""
    kind: Kind
    namespace: str
    name: str
    subresource: str = ""

    def __str__(self) -> str:
        resource = "/".join(filter(None, (self.kind.plural, self.subresource)))
        named = f"{resource} {self.name}" if self.name else resource
        return f"{self.verb} {named} in namespace {self.namespace}" if self.kind.namespaced else f"{self.verb} {named}"


def failure(call: Call, status: int, body: str) -> StepError:
    """Of an answer that is no success; ``body`` is a Status object, or what a proxy said."""
    said = _message(body)
    match status:
        case 401:
            return Unknown(f"cannot {call}: the cluster does not know who asks ({said}); renew the kubeconfig's login")
        case 403:
            return Forbidden(
                f"no right to {call}: {said}; see whether it is the account's rights, which an install gives, "
                "or a quota or a policy of the namespace"
            )
        case 404:
            return _not_there(call, said, body)
        case 409 | 410 if call.verb not in {"watch", "list"}:
            return Conflict(f"cannot {call}: {said}; somebody else changed it, look again")
        case 400 | 405 | 413 | 415 | 422:
            return BadInput(f"cannot {call}: {said}")
    return Transient(f"cannot {call}: the API server answered {status} ({said})")


def not_ready(call: Call, body: str) -> Transient:
    """Of a refusal by a server that does not call itself ready: until it has read the Roles, it refuses nearly all."""
    return Transient(
        f"no right to {call}: {_message(body)}; the API server does not say that it is ready: it may have just "
        "started, and if that lasts, see its /readyz"
    )


def no_api_server(call: Call) -> BadInput:
    """Of a success that is not JSON: the login page of a proxy, another server."""
    return BadInput(f"cannot {call}: what answers is no API server of Kubernetes; see the server in the kubeconfig")


def damaged(call: Call, event: str) -> Transient:
    """Of an event of a watch that was cut off, or spoilt on its way."""
    return Transient(f"cannot {call}: an event came damaged ({_message(event)})")


def unreachable(call: Call, err: Exception, server: str) -> Transient:
    """Of a request without an answer."""
    return Transient(f"cannot {call}: {server} does not answer ({_innermost(err)})")


def _not_there(call: Call, said: str, body: str) -> StepError:
    if call.verb in {"update", "patch"} and _named(body) == call.name:
        return Conflict(f"cannot {call}: it is gone; somebody else removed it, look again")
    unknown = UnknownKind if call.verb == "list" else Missing  # a list of none is an empty one
    return unknown(f"cannot {call}: {said}; see that the namespace is there, and what defines {call.kind.plural}")


def _named(body: str) -> str | None:
    """Which object a refusal is about."""
    try:
        return str(json.loads(body)["details"]["name"])
    except (ValueError, KeyError, TypeError):
        return None


def _message(body: str) -> str:
    try:
        status: Any = json.loads(body)
        said = str(status["message"])
    except (ValueError, KeyError, TypeError):
        said = body
    return " ".join(said.split())[:SHOWN] or "it gave no reason"


def _innermost(err: BaseException) -> str:
    """urllib3 wraps what happened, once or twice."""
    while inner := getattr(err, "reason", None) or err.__cause__:
        if not isinstance(inner, BaseException):
            break
        err = inner
    return type(err).__name__
