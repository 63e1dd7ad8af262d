"""The API server of a real cluster, by the kubernetes client: its configuration, its certificates, its logins."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

import stamina
import urllib3
import yaml
from kubernetes import client as kubernetes
from kubernetes import config as kubeconfig

from steps.clients.clock import SystemClock
from steps.clients.kube import errors, wire
from steps.clients.kube.api import FIELD_MANAGER, POD, Json, Kind
from steps.clients.kube.errors import Call
from steps.clients.kube.wire import Request
from steps.errors import Missing, Transient
from steps.ports.clock import Clock

CONNECT_SECONDS = 5.0
BAD_REQUEST, FORBIDDEN, NOT_FOUND, TOO_MANY_REQUESTS, SERVER_ERROR = 400, 403, 404, 429, 500
REFUSED = (401, FORBIDDEN)
APPLY = "application/apply-patch+yaml"
MERGE = "application/merge-patch+json"
PAGE = 500
READY = "/readyz"
"""Everybody may ask it, unless somebody has taken that right away."""
CLOSED_PAUSES = (0.0, 1.0, 2.0, 2.0, 2.0)
"""Seconds before each look at it while it is refused: a server that starts refuses that as well at first, and soon
answers something else."""
NO_LOG = "unable to retrieve container logs for "
"""What a kubelet says, as a success and in place of the log, of a container that it has removed meanwhile."""
OURS = {"fieldManager": FIELD_MANAGER, "fieldValidation": "Strict"}

_LOOK = stamina.RetryingCaller(attempts=4, timeout=4.0, wait_initial=0.3, wait_max=1.5, wait_jitter=0.1)
_LOOK_AGAIN = _LOOK.on(Transient)
"""Within seconds, so that a server that is not there is soon known. What changes something is asked for once: it may
have been done though nobody was told."""


@dataclass(frozen=True)
class Cluster:
    """Implements ``Api``."""

    client: kubernetes.ApiClient
    namespace: str
    clock: Clock = field(default_factory=SystemClock)

    @property
    def server(self) -> str:
        """Address of the API server."""
        return str(self.client.configuration.host)

    def get(self, kind: Kind, name: str) -> Json | None:
        request = Request(call=self._call("get", kind, name), method="GET", path=kind.path(self.namespace, name))
        status, body = self._ask(request)
        return None if status == NOT_FOUND else wire.parsed(request.call, status, body)

    def list(self, kind: Kind, *, labels: str = "", fields: str = "") -> list[Json]:
        call, items, more = self._call("list", kind), list[Json](), ""
        while True:
            query = {"labelSelector": labels, "fieldSelector": fields, "limit": str(PAGE), "continue": more}
            page = self._done(Request(call=call, method="GET", path=kind.path(self.namespace), query=query))
            items += page["items"]
            if not (more := page.get("metadata", {}).get("continue", "")):
                return items

    def create(self, kind: Kind, body: Json) -> Json:
        name = body["metadata"].get("name") or body["metadata"].get("generateName", "")
        call, path = self._call("create", kind, name), kind.path(self.namespace)
        return self._done(Request(call=call, method="POST", path=path, query=OURS, body=body))

    def replace(self, kind: Kind, body: Json) -> Json:
        call, path = self._call("update", kind, name := body["metadata"]["name"]), kind.path(self.namespace, name)
        return self._done(Request(call=call, method="PUT", path=path, query=OURS, body=body))

    def patch(self, kind: Kind, name: str, change: Json) -> Json:
        call, path = self._call("patch", kind, name), kind.path(self.namespace, name)
        return self._done(Request(call=call, method="PATCH", path=path, query=OURS, body=change, content_type=MERGE))

    def apply(self, kind: Kind, body: Json, *, force: bool = False, dry_run: bool = False) -> Json:
        call, path = self._call("patch", kind, name := body["metadata"]["name"]), kind.path(self.namespace, name)
        query = {**OURS, "force": "true" if force else "", "dryRun": "All" if dry_run else ""}
        return self._done(Request(call=call, method="PATCH", path=path, query=query, body=body, content_type=APPLY))

    def delete(self, kind: Kind, name: str, *, version: str = "", uid: str = "") -> None:
        call, path = self._call("delete", kind, name), kind.path(self.namespace, name)
        known = {"resourceVersion": version, "uid": uid}
        options = {"propagationPolicy": "Background", "preconditions": {k: v for k, v in known.items() if v}}
        status, body = self._ask(Request(call=call, method="DELETE", path=path, body=options))
        if status != NOT_FOUND:
            wire.parsed(call, status, body)

    def log(self, pod: str, container: str, lines: int, *, previous: bool = False) -> str:
        query = {"tailLines": str(lines), "previous": "true" if previous else ""}
        return self._log(pod, {"container": container, **query})

    def log_head(self, pod: str, container: str, size: int) -> str:
        return self._log(pod, {"container": container, "limitBytes": str(size)})

    def watch(self, kind: Kind, name: str, version: str, seconds: float) -> Iterator[Json]:
        call, query = self._call("watch", kind, name), {"watch": "true", "fieldSelector": f"metadata.name={name}"}
        query |= {"resourceVersion": version, "timeoutSeconds": str(max(int(seconds), 1))}
        path, patience = kind.path(self.namespace), seconds + wire.READ_SECONDS
        with self._opened(Request(call=call, method="GET", path=path, query=query, patience=patience)) as answer:
            if not wire.good(answer.status):
                said = answer.data.decode(errors="replace")
                if answer.status == FORBIDDEN:
                    self._require_ready(call, said)
                raise errors.failure(call, answer.status, said)
            for line in wire.lines(answer):
                yield wire.changed(call, line.decode(errors="replace"))

    def _log(self, pod: str, query: Mapping[str, str]) -> str:
        call = Call(verb="get", kind=POD, namespace=self.namespace, name=pod, subresource="log")
        path = POD.path(self.namespace, pod, "log")
        status, body = self._ask(Request(call=call, method="GET", path=path, query=query))
        if status in (BAD_REQUEST, NOT_FOUND):  # its container waits to start, or the pod is gone
            return ""
        if not wire.good(status):
            raise errors.failure(call, status, body)
        return "" if body.startswith(NO_LOG) else body

    def schema(self, kind: Kind) -> Json:
        """What the cluster's OpenAPI v3 says of such objects; empty where it says nothing. Megabytes come over."""
        path = f"/openapi/v3/apis/{kind.api_version}" if kind.group else f"/openapi/v3/api/{kind.version}"
        status, body = self._ask(request := Request(call=self._call("get", kind), method="GET", path=path))
        if status == NOT_FOUND:
            return {}
        described = wire.parsed(request.call, status, body)["components"]["schemas"]
        return next((s for s in described.values() if _names(kind) in s.get("x-kubernetes-group-version-kind", ())), {})

    def _call(self, verb: str, kind: Kind, name: str = "") -> Call:
        return Call(verb=verb, kind=kind, namespace=self.namespace, name=name)

    def _ask(self, request: Request) -> tuple[int, str]:
        return _LOOK_AGAIN(self._look, request) if request.method == "GET" else self._ask_once(request)

    def _look(self, request: Request) -> tuple[int, str]:
        """Raises Transient for an answer that another moment may change."""
        status, body = self._ask_once(request)
        if status == TOO_MANY_REQUESTS or status >= SERVER_ERROR:
            raise errors.failure(request.call, status, body)
        return status, body

    def _ask_once(self, request: Request) -> tuple[int, str]:
        """A refusal is believed of a server that is ready: one that has just started refuses all but administrators."""
        status, body = self._sent(request)
        if status != FORBIDDEN:
            return status, body
        self._require_ready(request.call, body)
        return self._sent(request)  # it may have become so just now

    def _require_ready(self, call: Call, refusal: str) -> None:
        """One that does not say whether it is, to us and for so long, is taken for ready. Raises Transient."""
        for pause in CLOSED_PAUSES:
            self.clock.sleep(pause)
            status, _ = self._sent(Request(call=call, method="GET", path=READY))
            if wire.good(status):
                return
            if status not in REFUSED:
                raise errors.not_ready(call, refusal)

    def _sent(self, request: Request) -> tuple[int, str]:
        with self._opened(request) as answer:
            return answer.status, answer.data.decode(errors="replace")

    def _done(self, request: Request) -> Json:
        return wire.parsed(request.call, *self._ask(request))

    @contextmanager
    def _opened(self, request: Request) -> Iterator[urllib3.BaseHTTPResponse]:
        """Translates what happens while it is read, too."""
        method, url, headers, *_ = self.client.param_serialize(
            request.method, request.target, header_params=request.headers, auth_settings=["BearerToken"]
        )
        timeout = urllib3.Timeout(connect=CONNECT_SECONDS, read=request.patience)
        pool = self.client.rest_client.pool_manager
        try:
            answer = pool.request(
                method,
                url,
                body=request.sent,
                headers=headers,
                timeout=timeout,
                retries=False,  # whether to try again is decided by the caller, who knows what it was about
                preload_content=False,
            )
            try:
                yield answer
            finally:
                answer.close()  # what was read to its end has given its connection back by now
        except urllib3.exceptions.HTTPError as err:
            raise errors.unreachable(request.call, err, self.client.configuration.host) from err


def connect(namespace: str) -> Cluster:
    """From within a pod by its service account, elsewhere by the kubeconfig. Raises Missing where there is neither."""
    stamina.instrumentation.set_on_retry_hooks([])  # its line says neither what nor why
    configuration = kubernetes.Configuration()
    try:
        if os.environ.get("KUBERNETES_SERVICE_HOST") and not os.environ.get("KUBECONFIG"):
            kubeconfig.load_incluster_config(configuration)  # type: ignore[no-untyped-call]  # as the library ships it
        else:
            kubeconfig.load_kube_config(client_configuration=configuration)  # type: ignore[no-untyped-call]  # as above
    except (kubeconfig.ConfigException, OSError, ValueError, yaml.YAMLError) as err:
        why = " ".join(str(err).split()).rstrip(".")
        raise Missing(f"no cluster is known here: {why}; set KUBECONFIG to a kubeconfig that is valid") from err
    return Cluster(kubernetes.ApiClient(configuration), namespace)


def _names(kind: Kind) -> dict[str, str]:
    return {"group": kind.group, "version": kind.version, "kind": kind.name}
