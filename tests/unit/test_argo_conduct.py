"""The commands against an argo-server on loopback, whose runs end as they did on a real controller."""

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from typing import Any

import httpx2
import pytest

from steps.clients.kube.api import WORKFLOW, Kind
from tests.stubs.argo_server import LOGIN, ArgoServer
from tests.stubs.kube import FakeApi
from tests.stubs.recorded import workflow as recorded
from workflows import command
from workflows.argo import conduct
from workflows.argo.patience import OutOfSight
from workflows.promote import promote
from workflows.stop import stop
from workflows.watch import watch

VERBS: dict[str, Callable[..., int]] = {"promote": promote, "watch": watch, "stop": stop}
TEMPLATE = "vllm-promote"
ASKED = ("--model", "org/chat", "--deployment", "chat")


@dataclass
class House:
    """A namespace with a controller. ``becomes`` is the recording of what a run comes to, ``stopped`` once stopped."""

    api: FakeApi = field(default_factory=lambda: FakeApi(namespace="models"))
    becomes: str = "promoted"
    stopped: str = "stop"
    answer: Callable[[httpx2.Request], httpx2.Response | None] = field(init=False)
    """None leaves whoever asks without one."""

    def __post_init__(self) -> None:
        self.api.after = self._control
        self.answer = ArgoServer(self.api)

    def _control(self, kind: Kind) -> None:
        for run in self.api.list(kind) if kind is WORKFLOW else ():
            name = self.stopped if "shutdown" in run["spec"] else self.becomes
            status = _status(name, run["metadata"]["name"])
            if status != run.get("status"):
                self.api.tell(WORKFLOW, run["metadata"]["name"], status)

    @property
    def run(self) -> dict[str, Any]:
        [found] = self.api.list(WORKFLOW)
        return found


def _status(name: str, run: str) -> dict[str, Any]:
    """As recorded, of a run of this name."""
    whole = recorded(name)
    status: dict[str, Any] = whole["status"]
    for node in status.get("nodes", {}).values():
        node["name"] = node["name"].replace(whole["metadata"]["name"], run)
    return status


@pytest.fixture
def house(monkeypatch, tmp_path) -> Iterator[House]:
    made = House()

    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            asked = httpx2.Request(self.command, f"http://argo{self.path}", headers=dict(self.headers), content=body)
            given = made.answer(asked)
            if given is None:
                return
            self.send_response(given.status_code)
            self.send_header("Content-Length", str(len(given.content)))
            self.end_headers()
            self.wfile.write(given.content)

        do_GET = do_POST = do_PUT = _answer  # noqa: N815  # as http.server calls them

        def log_message(self, format: str, *args: Any) -> None: ...  # noqa: A002  # its name

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        for name, value in {
            "ARGO_SERVER": f"127.0.0.1:{server.server_port}",
            "ARGO_SECURE": "false",
            "ARGO_TOKEN": LOGIN,
            "ARGO_UI_URL": "https://argo.example/",
            "VLLM_PROMOTE_NAMESPACE": "models",
            "KUBECONFIG": str(tmp_path / "none"),
            "VLLM_PROMOTE_CATALOG": str(tmp_path / "catalog.yaml"),
        }.items():
            monkeypatch.setenv(name, value)
        monkeypatch.delenv("VLLM_PROMOTE_CONFIG", raising=False)
        (tmp_path / "catalog.yaml").write_text("deployments: {}")
        yield made
        server.shutdown()


def call(capsys, verb: str, *argv: str) -> tuple[int, str]:
    code = command.run(verb, VERBS[verb], argv)
    return code, "".join(capsys.readouterr())


@pytest.mark.parametrize(
    ("becomes", "code", "said"),
    [
        ("promoted", 0, "promoted\n"),
        ("live", 0, "already live\n"),
        ("refused", 1, "refused (resolve)\n  why      Refused: org/chat has no safetensors"),
        ("bad", 1, "rolled back (smoke)\n  why      Failed: pod-1 answered 'banana banana'"),
        ("term", 1, "failed (mirror)\n  why      Stopped with strategy 'Terminate'"),
        ("stuck", 4, "rollback failed: a person is needed (rollback)\n  why      RollbackFailed: the claim is gone"),
    ],
)
def test_a_promotion_is_followed_to_its_end_and_the_exit_code_tells_it(house, capsys, becomes, code, said):
    house.becomes = becomes
    ended, text = call(capsys, "promote", *ASKED)
    assert (ended, said in text) == (code, True), text
    name = house.run["metadata"]["name"]
    assert f"{name}: org/chat main to chat\n" in text
    assert f"look at  https://argo.example/workflows/models/{name}\n" in text
    assert "Error (exit code" not in text
    assert "No more retries" not in text


def test_a_run_is_submitted_with_its_parameters_and_labels_alone(house, capsys):
    call(capsys, "promote", *ASKED)
    asked = house.run
    assert asked["metadata"]["name"].startswith("promote-")
    assert asked["metadata"]["labels"] == {
        "app.kubernetes.io/part-of": "vllm-promote",
        "vllm-promote/deployment": "chat",
    }
    assert asked["spec"]["workflowTemplateRef"] == {"name": "vllm-promote"}
    given = {p["name"]: p["value"] for p in asked["spec"]["arguments"]["parameters"]}
    assert given == {"model": "org/chat", "revision": "main", "deployment": "chat"}


def test_without_waiting_the_run_is_named_and_can_be_picked_up(house, capsys):
    code, text = call(capsys, "promote", *ASKED, "--no-wait")
    name = house.run["metadata"]["name"]
    assert (code, f"submitted {name}; follow it with" in text, f"workflows.watch {name}" in text) == (0, True, True)
    assert f"\nhttps://argo.example/workflows/models/{name}\n" in text
    code, text = call(capsys, "watch", name)
    assert (code, "promoted\n" in text) == (0, True)


def test_a_run_whose_time_is_over_is_stopped_and_followed_to_the_end_of_its_rollback(house, capsys):
    house.becomes = "stop-stopping"
    code, text = call(capsys, "promote", *ASKED, "--timeout", "1")
    assert code == 124
    assert house.run["spec"]["shutdown"] == "Stop"
    assert "its time is over: stopping it" in text
    assert text.index("its time is over") < text.index("report: succeeded") < text.index("timed out: failed (mirror)")


@pytest.mark.parametrize("becomes", ["bad-pull", "unschedulable"])
def test_a_step_that_cannot_start_is_told_with_its_remedy_while_the_run_is_followed(house, capsys, becomes):
    house.becomes, began = becomes, time.monotonic()
    code, text = call(capsys, "promote", *ASKED, "--timeout", "3")
    name, (waits, remedy) = house.run["metadata"]["name"], (text.index(f"preflight{w}") for w in (": waits", " cannot"))
    assert (code, time.monotonic() - began < 10) == (124, True)
    assert waits < remedy < text.index("its time is over")
    assert f"workflows.stop --run {name} --now`" in text[remedy:]


def test_nobody_can_stop_in_time_what_nobody_follows(house, capsys):
    assert call(capsys, "promote", *ASKED, "--no-wait", "--timeout", "9")[0] == 2
    assert house.api.list(WORKFLOW) == []


def test_a_failed_run_is_gone_on_with_and_tells_only_what_is_new(house, capsys):
    house.becomes = "refused"
    call(capsys, "promote", *ASKED)
    name = house.run["metadata"]["name"]
    house.becomes = "promoted"
    code, text = call(capsys, "promote", "--retry", name)
    assert (code, "promoted\n" in text, f"{name}: org/chat" in text) == (0, True, False)


@pytest.mark.parametrize(
    ("becomes", "words"), [("promoted", "succeeded, so there is nothing to go on with"), ("stop-stopping", "not over")]
)
def test_what_has_not_failed_is_not_gone_on_with(house, capsys, becomes, words):
    house.becomes = becomes
    call(capsys, "promote", *ASKED, "--no-wait")
    code, text = call(capsys, "promote", "--retry", house.run["metadata"]["name"])
    assert (code, words in text) == (2, True)


def test_a_run_that_was_submitted_by_other_means_and_without_a_deployment_is_followed_too(house, capsys):
    house.api.after = lambda _kind: None  # the controller has looked at it already
    house.api.create(WORKFLOW, {"metadata": {"name": "by-hand"}, "spec": {"workflowTemplateRef": {"name": TEMPLATE}}})
    then, said = (
        "2026-11-22T03:04:05Z",
        "spec.arguments.deployment.value or spec.arguments.deployment.valueFrom is required",
    )
    house.api.tell(WORKFLOW, "by-hand", {"phase": "Error", "startedAt": then, "finishedAt": then, "message": said})
    code, text = call(capsys, "watch", "by-hand")
    assert (code, "the record of its deployment could not be read" in text, said in text) == (1, True, True), text


@pytest.mark.parametrize(("flags", "strategy"), [((), "Stop"), (("--now",), "Terminate")])
def test_a_run_is_stopped_by_name(house, capsys, flags, strategy):
    house.becomes = "stop-stopping"
    call(capsys, "promote", *ASKED, "--no-wait")
    name = house.run["metadata"]["name"]
    code, text = call(capsys, "stop", "--run", name, *flags)
    assert (code, house.run["spec"]["shutdown"], name in text) == (0, strategy, True)
    code, text = call(capsys, "stop", "--run", name)
    assert (code, "there is nothing to stop" in text) == (2, True)


@pytest.mark.parametrize("argv", [("watch", "nope"), ("stop", "--run", "nope"), ("promote", "--retry", "nope")])
def test_a_run_that_is_not_there_is_wrong_usage(house, capsys, argv):
    code, text = call(capsys, *argv)
    assert (code, "there is no run nope in namespace models" in text) == (2, True)


def test_a_run_of_somebody_elses_template_is_left_alone(house, capsys):
    house.api.create(WORKFLOW, {"metadata": {"name": "other"}, "spec": {"workflowTemplateRef": {"name": "etl"}}})
    code, text = call(capsys, "stop", "--run", "other")
    assert (code, "is of template etl" in text, "shutdown" in house.run["spec"]) == (2, True, False)


@pytest.mark.parametrize(
    ("ends", "code"), [(KeyboardInterrupt(), "130 no longer followed"), (OutOfSight("away"), "3 lost sight of")]
)
def test_a_run_that_is_no_longer_followed_goes_on_and_can_be_picked_up(house, capsys, monkeypatch, ends, code):
    def left(*_args: object) -> None:
        raise ends

    monkeypatch.setattr(conduct, "_to_its_end", left)  # a signal, or minutes without an answer, in the middle of it
    ended, text = call(capsys, "promote", *ASKED)
    name = house.run["metadata"]["name"]
    assert f"{ended} {text}".startswith(code)
    assert "shutdown" not in house.run["spec"]
    assert f"workflows.watch {name}" in text
    assert f"workflows.stop --run {name}" in text


def test_a_login_that_ends_while_a_run_is_followed_does_not_pass_for_its_failure(house, capsys):
    house.becomes = "stop-stopping"
    taken, looks = house.answer, count()

    def ends(asked: httpx2.Request) -> httpx2.Response | None:
        known = asked.method == "POST" or next(looks) == 0
        return taken(asked) if known else httpx2.Response(401, json={"message": "token expired"})

    house.answer = ends
    code, text = call(capsys, "promote", *ASKED)
    name = house.run["metadata"]["name"]
    assert code == 3
    assert f"lost sight of run {name}, which may well go on: " in text
    assert "set ARGO_TOKEN to a new login; follow it with" in text


def test_a_run_whose_beginning_was_not_answered_is_followed(house, capsys):
    taken = house.answer

    def silent(asked: httpx2.Request) -> httpx2.Response | None:
        given = taken(asked)
        return None if asked.method == "POST" else given

    house.answer = silent
    code, text = call(capsys, "promote", *ASKED)
    assert (code, "promoted\n" in text) == (0, True), text
    assert house.run["metadata"]["name"].startswith("promote-2")


def test_whether_a_run_was_begun_is_left_open_where_nobody_can_tell(house, capsys):
    house.answer = lambda _asked: None
    code, text = call(capsys, "promote", *ASKED)
    assert (code, text.startswith("Error: could not submit: cannot create a workflow: argo-server at")) == (3, True)
    assert "have begun all the same, `" in text


def test_a_server_that_is_away_keeps_a_run_from_being_submitted(house, capsys, monkeypatch):
    monkeypatch.setenv("ARGO_SERVER", "127.0.0.1:9")
    code, text = call(capsys, "promote", *ASKED)
    assert (code, text.startswith("Error: could not submit: cannot create a workflow: argo-server at")) == (3, True)


def test_the_log_of_a_candidate_is_named_where_the_report_has_seen_it(house, capsys):
    house.becomes = "bad"
    assert "/server-" not in call(capsys, "promote", *ASKED)[1]
    name, seen = house.run["metadata"]["name"], house.run["status"]
    [release] = {n for node in seen["nodes"].values() for n in _outputs(node, "release_id")}
    key = f"reports/{name}/server-{release}.log"
    for node in seen["nodes"].values():
        if node["name"].startswith(f"{name}.onExit.report"):
            node["outputs"] = {"parameters": [{"name": "summary", "value": f"what it said is kept at {key}"}]}
    house.api.after = lambda _kind: None
    house.api.tell(WORKFLOW, name, seen)
    assert f"look at  s3://models/{key}\n" in call(capsys, "watch", name)[1]


def _outputs(node: dict[str, Any], name: str) -> list[str]:
    return [p["value"] for p in (node.get("outputs") or {}).get("parameters", ()) if p["name"] == name and "value" in p]
