"""A namespace's runs by argo-server's HTTP API, for people who have a login there and no rights in the cluster.

It is told where and who by the variables that the argo command reads, as ``argo --help`` describes them: ARGO_SERVER
(``host:port``), ARGO_TOKEN, ARGO_SECURE, ARGO_INSECURE_SKIP_VERIFY and ARGO_BASE_HREF. Proxies and SSL_CERT_FILE are
honoured.
"""

import json
import re
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import httpx2

from steps.clients.clock import SystemClock
from steps.core.argo import Json
from steps.errors import BadInput, Conflict, Missing, StepError, Transient
from steps.ports.clock import Clock

CONNECT_SECONDS = 5.0
READ_SECONDS = 20.0
SETTLING_SECONDS = 15.0
"""Then the pods of a run's last steps have told their end, and go at once when they are deleted."""
SHOWN = 400
NOT_FOUND = 404
EVENT = "data: "
"""What a line of an event stream with a Workflow in it begins with."""

_SERVER = re.compile(r"(?:https?://)?(?P<host>[A-Za-z0-9][A-Za-z0-9.-]*|\[[0-9A-Fa-f:.]+\])(?P<port>:\d{1,5})?/?")


@dataclass(frozen=True)
class Server:
    """Implements ``Access``."""

    client: httpx2.Client
    namespace: str
    clock: Clock = field(default_factory=SystemClock)

    def submit(self, workflow: Json) -> Json:
        return self._done("create a workflow", "POST", "", {"workflow": workflow})

    def get(self, name: str) -> Json | None:
        with self._answered(f"get workflow {name}", "GET", f"/{name}") as answer:
            return None if answer.status_code == NOT_FOUND else _parsed(f"get workflow {name}", answer)

    def watch(self, name: str, version: str, seconds: float) -> Iterator[Json]:
        what = f"watch workflow {name}"
        asked = {
            "listOptions.fieldSelector": f"metadata.name={name}",
            "listOptions.resourceVersion": version,
            "listOptions.timeoutSeconds": str(max(int(seconds), 1)),
        }
        stream = self._streamed(what, f"/api/v1/workflow-events/{self.namespace}", asked, seconds)
        yield from (_changed(what, line.removeprefix(EVENT)) for line in stream if line.startswith(EVENT))

    def stop(self, name: str) -> None:
        self._act("stop", name)

    def terminate(self, name: str) -> None:
        self._act("terminate", name)

    def retry(self, name: str) -> Json:
        """Not in the seconds after its end: argo-server sees no pod gone before it begins anew, as `direct` does."""
        workflow = self.get(name) or {}
        if ended := workflow.get("status", {}).get("finishedAt"):
            settled = datetime.fromisoformat(ended).timestamp() + SETTLING_SECONDS
            self.clock.sleep(max(0.0, settled - self.clock.now()))
        return self._act("retry", name)

    def _act(self, verb: str, name: str) -> Json:
        return self._done(f"{verb} workflow {name}", "PUT", f"/{name}/{verb}", {"name": name})

    def _done(self, what: str, method: str, path: str, body: Json) -> Json:
        with self._answered(what, method, path, {"namespace": self.namespace, **body}) as answer:
            return _parsed(what, answer)

    @contextmanager
    def _answered(self, what: str, method: str, path: str, body: Json | None = None) -> Iterator[httpx2.Response]:
        with _reaching(what, self.client):
            yield self.client.request(method, f"/api/v1/workflows/{self.namespace}{path}", json=body)

    def _streamed(self, what: str, path: str, asked: Mapping[str, str], seconds: float) -> Iterator[str]:
        patience = httpx2.Timeout(READ_SECONDS, connect=CONNECT_SECONDS, read=seconds + READ_SECONDS)
        headers = {"Accept": "text/event-stream"}
        with (
            _reaching(what, self.client),
            self.client.stream("GET", path, params=dict(asked), headers=headers, timeout=patience) as answer,
        ):
            if answer.is_error:
                raise _unwatched(what, answer.status_code, answer.read().decode(errors="replace"))
            yield from answer.iter_lines()


def connect(namespace: str, environ: Mapping[str, str]) -> Server:
    """Raises BadInput for an address that is none. Who asks is found out by the first request."""
    context = ssl.create_default_context()  # which heeds SSL_CERT_FILE
    if environ.get("ARGO_INSECURE_SKIP_VERIFY") == "true":
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    client = httpx2.Client(
        base_url=address(environ),
        headers=_login(environ),
        verify=context,
        timeout=httpx2.Timeout(READ_SECONDS, connect=CONNECT_SECONDS),
    )
    return Server(client, namespace)


def address(environ: Mapping[str, str]) -> str:
    """Raises BadInput."""
    told = environ["ARGO_SERVER"]
    match = _SERVER.fullmatch(told)
    if match is None:
        raise _no_address()
    secure = environ.get("ARGO_SECURE") != "false" and not told.startswith("http://")
    base = environ.get("ARGO_BASE_HREF", "").strip("/")
    url = f"{'https' if secure else 'http'}://{match['host']}{match['port'] or ''}{f'/{base}' if base else ''}"
    try:
        httpx2.URL(url)
    except httpx2.InvalidURL as err:
        raise _no_address() from err
    return url


def _no_address() -> BadInput:
    """What was told may hold a password, so it is not repeated."""
    return BadInput("ARGO_SERVER is no address of an argo-server; set it to HOST:PORT")


def _login(environ: Mapping[str, str]) -> dict[str, str]:
    """``ARGO_TOKEN`` begins with ``Bearer``, or ``Basic``; a bare one is taken for a bearer's."""
    token = environ.get("ARGO_TOKEN", "").strip()
    if not token:
        return {}
    return {"Authorization": token if " " in token else f"Bearer {token}"}


@contextmanager
def _reaching(what: str, client: httpx2.Client) -> Iterator[None]:
    try:
        yield
    except httpx2.TransportError as err:
        raise Transient(
            f"cannot {what}: argo-server at {client.base_url} does not answer ({type(err).__name__})"
        ) from err


def _parsed(what: str, answer: httpx2.Response) -> Json:
    if answer.is_success:
        try:
            parsed: Json = answer.json()
        except ValueError as err:
            raise BadInput(f"cannot {what}: who answers is no argo-server; mend ARGO_SERVER or ARGO_BASE_HREF") from err
        return parsed
    raise _failure(what, answer.status_code, _message(answer.text))


def _failure(what: str, status: int, said: str) -> StepError:
    """By status; argo-server passes the cluster's own refusals on."""
    match status:
        case 401:
            return Missing(f"cannot {what}: argo-server does not know who asks ({said}); set ARGO_TOKEN to a new login")
        case 403:
            return Missing(f"no right to {what}: {said}; give the account that right")
        case 404:
            return Missing(f"cannot {what}: {said}")
        case 409:
            return Conflict(f"cannot {what}: {said}; look again")
        case 400 | 405 | 413 | 415 | 422:
            return BadInput(f"cannot {what}: {said}")
    return Transient(f"cannot {what}: argo-server answered {status} ({said})")


def _unwatched(what: str, status: int, body: str) -> StepError:
    """Whatever is wrong, but for rights, is mended by asking for the present state: the version may be too old."""
    said = _message(body.removeprefix(EVENT))
    return _failure(what, status, said) if status in (401, 403) else Transient(f"cannot {what}: {said}")


def _message(body: str) -> str:
    try:
        answer = json.loads(body)
        said = str(answer.get("error", answer)["message"])
    except (ValueError, KeyError, TypeError, AttributeError):
        said = body
    return " ".join(said.split())[:SHOWN] or "it gave no reason"


def _changed(what: str, event: str) -> Json:
    """Of an event of the stream, which ends with an error when the cluster's own watch ends.

    Raises Transient as well for one that was cut off, or damaged on its way.
    """
    try:
        result = json.loads(event)["result"]
        kind, changed = str(result["type"]), dict[str, Any](result["object"])
    except (ValueError, KeyError, TypeError) as err:
        raise Transient(f"cannot {what}: {_message(event)}") from err
    if kind == "DELETED":
        raise Missing(f"{what.removeprefix('watch ')} was deleted")
    return changed
