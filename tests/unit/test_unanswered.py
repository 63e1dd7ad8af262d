"""The commands where the cluster gives no answer that helps: nothing was begun, and the exit code says so."""

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from steps.core import labels
from steps.core.record import Record
from workflows import command
from workflows.allow import allow
from workflows.history import history
from workflows.promote import promote
from workflows.reconcile import reconcile
from workflows.refresh import refresh
from workflows.rollback import rollback
from workflows.status import status
from workflows.stop import stop
from workflows.watch import watch

COMMANDS: dict[str, tuple[Callable[..., int], tuple[str, ...]]] = {
    "promote": (promote, ("--model", "org/chat")),
    "promote --dry-run": (promote, ("--model", "org/chat", "--dry-run")),
    "promote --retry": (promote, ("--retry", "run-1")),
    "rollback": (rollback, ("--deployment", "chat")),
    "refresh": (refresh, ()),
    "status": (status, ()),
    "history": (history, ()),
    "watch": (watch, ("run-1",)),
    "stop": (stop, ("--run", "run-1")),
    "allow": (allow, ("--deployment", "chat", "--release", "ab12ab12ab12")),
    "reconcile": (reconcile, ()),
}
UNSET = ("ARGO_SERVER", "KUBERNETES_SERVICE_HOST", "VLLM_PROMOTE_CONFIG")
LEFT_BEHIND = ("AWS_ENDPOINT_URL", "AWS_REGION", "AWS_DEFAULT_REGION", "HF_ENDPOINT")
"""By a command that asks Hub and store from here."""
SERVICES = "/api/v1/namespaces/models/services"
LOGIN_PAGE = "<html>log in</html>"
ANSWERS = {
    "a login that has ended": (401, '{"message": "Unauthorized"}', "the cluster does not know who asks"),
    "the login page of a proxy": (200, LOGIN_PAGE, "what answers is no API server of Kubernetes"),
    "no right": (403, '{"message": "is forbidden"}', "no right to"),
}


class ApiServer(ThreadingHTTPServer):
    """Answers everything alike, but for ``paths``; and calls itself ready."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answers)
        self.answer: tuple[int, str] = (200, "{}")
        self.paths: dict[str, tuple[int, str]] = {"/readyz": (200, "ok")}


class Answers(BaseHTTPRequestHandler):
    server: ApiServer

    def do_GET(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        status, body = self.server.paths.get(self.path.partition("?")[0], self.server.answer)
        self.send_response(status)
        self.end_headers()
        self.wfile.write(body.encode())

    do_POST = do_PUT = do_PATCH = do_DELETE = do_GET  # noqa: N815  # http.server's names

    def log_message(self, *args: Any) -> None: ...


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ApiServer]:
    """Of the cluster that the kubeconfig of this process names."""
    with ApiServer() as made:
        threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        kubeconfig = {
            "current-context": "c",
            "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
            "clusters": [{"name": "c", "cluster": {"server": f"http://127.0.0.1:{made.server_port}"}}],
            "users": [{"name": "u", "user": {"token": "old"}}],
        }
        (tmp_path / "config").write_text(json.dumps(kubeconfig))
        (tmp_path / "catalog.yaml").write_text("deployments: {}")
        monkeypatch.setattr("kubernetes.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION", str(tmp_path / "config"))
        for name in (*UNSET, *LEFT_BEHIND):
            monkeypatch.setenv(name, "")  # so that it is as before afterwards
            monkeypatch.delenv(name)
        monkeypatch.setenv("VLLM_PROMOTE_NAMESPACE", "models")
        monkeypatch.setenv("VLLM_PROMOTE_CATALOG", str(tmp_path / "catalog.yaml"))
        yield made
        made.shutdown()


def called(capsys: pytest.CaptureFixture[str], name: str, *more: str) -> tuple[int, str]:
    verb, argv = COMMANDS[name]
    code = command.run(name.partition(" ")[0], verb, (*argv, *more))
    return code, capsys.readouterr().err


ASKED = [(n, a) for n in COMMANDS for a in ANSWERS if (n, a) != ("promote --dry-run", "no right")]
"""Who may not read the installed catalog is believed to have it, so a plan goes on to the Hub."""


@pytest.mark.parametrize(("name", "answer"), ASKED)
def test_a_cluster_that_does_not_let_itself_be_asked_is_nobodys_failure(server, capsys, name, answer):
    status, body, said = ANSWERS[answer]
    server.answer = status, body
    code, told = called(capsys, name)
    assert (code, said in told, told.count("\n")) == (3, True, 1), told


def test_a_damaged_record_in_the_cluster_hides_no_other_deployment(server, capsys):
    def service(name: str, record: str) -> dict[str, Any]:
        metadata = {"name": name, "resourceVersion": "1", "annotations": {labels.RECORD: record}}
        return {"metadata": {**metadata, "labels": labels.endpoint(name)}, "spec": {}}

    services = [service("chat", "{"), service("embed", json.dumps(Record().to_json()))]
    server.answer = 200, json.dumps({"items": services})
    server.paths |= {f"{SERVICES}/{s['metadata']['name']}": (200, json.dumps(s)) for s in services}
    code = command.run("status", status, ["-o", "json"])
    lost, other = json.loads(capsys.readouterr().out)
    assert (code, other["deployment"], other["phase"]) == (1, "embed", "idle")
    assert "annotation vllm-promote/record of Service chat" in lost["error"]

    server.paths[f"{SERVICES}/embed"] = 500, "etcd is away"
    code, told = called(capsys, "status")
    assert (code, "could not ask: cannot get services embed" in told) == (3, True)


def test_a_history_whose_store_cannot_be_asked_is_nobodys_failure_either(server, capsys, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.delenv("AWS_ACCESS_KEY_ID", raising=False)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    code, told = called(capsys, "history", "--deployment", "chat")
    assert (code, told.startswith("Error: could not ask: cannot reach bucket")) == (3, True), told


def test_a_damaged_catalog_in_the_cluster_is_not_what_was_asked_for_wrongly(server, capsys):
    server.answer = 200, json.dumps({"data": {"catalog.yaml": "deployments: ["}})
    for name in ("promote", "refresh"):
        code, told = called(capsys, name)
        assert (code, "ConfigMap vllm-promote-catalog in namespace models" in told) == (3, True), told
