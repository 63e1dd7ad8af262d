"""What goes over the wire to an API server, and what comes of a bad one: it is a small server of our own here."""

import json
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import pytest
from kubernetes import client as kubernetes

from steps.clients.kube.api import CONFIG_MAP, NODE, POD
from steps.clients.kube.cluster import Cluster, connect
from steps.clients.kube.errors import Forbidden
from steps.errors import BadInput, Missing, Transient
from tests.stubs.scene import FakeClock

KUBECONFIG = {
    "current-context": "c",
    "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
    "clusters": [{"name": "c", "cluster": {"server": "SERVER"}}],
    "users": [{"name": "u", "user": {"token": "CANARY-token"}}],
}


class Scripted(ThreadingHTTPServer):
    """``answers`` are taken in turn, each a status and the pieces of a body; what was asked is kept."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Answers)
        self.answers, self.asked = [], []


class Answers(BaseHTTPRequestHandler):
    server: Scripted

    def do_GET(self):
        size = int(self.headers.get("Content-Length") or 0)
        self.server.asked.append((self.command, self.path, dict(self.headers), self.rfile.read(size).decode()))
        status, *pieces = self.server.answers.pop(0)
        self.send_response(status)
        self.end_headers()
        for piece in pieces:
            self.wfile.write(piece.encode())
            self.wfile.flush()

    do_POST = do_PUT = do_PATCH = do_DELETE = do_GET  # noqa: N815  # http.server's names

    def log_message(self, *args):
        pass


@pytest.fixture
def server():
    made = Scripted()
    thread = threading.Thread(target=made.serve_forever, args=(0.01,))
    thread.start()
    yield made
    made.shutdown()
    thread.join()
    made.server_close()


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture
def api(server, clock):
    return Cluster(_client(f"http://127.0.0.1:{server.server_port}"), "models", clock)


def _client(host):
    configuration = kubernetes.Configuration()
    configuration.host = host
    return kubernetes.ApiClient(configuration)


def query(asked):
    return {key: value for key, (value,) in parse_qs(urlsplit(asked[1]).query).items()}


def test_a_list_of_many_pages_is_one_list(api, server):
    def page(name, more):
        return 200, json.dumps({"metadata": {"continue": more}, "items": [{"metadata": {"name": name}}]})

    server.answers += [page("a", "next"), page("b", "")]
    assert [found["metadata"]["name"] for found in api.list(CONFIG_MAP, labels="a=b")] == ["a", "b"]
    assert [query(asked).get("continue") for asked in server.asked] == [None, "next"]
    assert {query(asked)["labelSelector"] for asked in server.asked} == {"a=b"}


def test_what_is_written_is_checked_strictly_and_under_our_name(api, server):
    server.answers += [(200, "{}")] * 2
    api.create(CONFIG_MAP, {"metadata": {"name": "x"}})
    api.apply(CONFIG_MAP, {"metadata": {"name": "x"}}, force=True, dry_run=True)
    created, applied = server.asked
    assert query(created) == {"fieldManager": "vllm-promote", "fieldValidation": "Strict"}
    assert query(applied) == {**query(created), "force": "true", "dryRun": "All"}
    assert (applied[0], applied[2]["Content-Type"]) == ("PATCH", "application/apply-patch+yaml")


def test_a_deletion_names_what_it_is_about(api, server):
    server.answers += [(200, "{}"), (404, "{}")]
    api.delete(POD, "x", version="7", uid="u")
    api.delete(POD, "x")
    assert json.loads(server.asked[0][3])["preconditions"] == {"resourceVersion": "7", "uid": "u"}
    assert json.loads(server.asked[1][3])["preconditions"] == {}


def test_a_watch_gives_each_event_however_its_bytes_arrive(api, server):
    first, second = ({"type": "MODIFIED", "object": {"n": n}} for n in (1, 2))
    text = f"{json.dumps(first)}\n{json.dumps(second)}\n"
    server.answers.append((200, text[:10], text[10:50], text[50:]))
    assert [found["n"] for found in api.watch(CONFIG_MAP, "x", "1", 5)] == [1, 2]
    assert query(server.asked[0])["fieldSelector"] == "metadata.name=x"


def test_a_watch_from_too_long_ago_is_to_be_read_again(api, server):
    gone = {"type": "ERROR", "object": {"kind": "Status", "code": 410, "message": "too old resource version"}}
    server.answers.append((200, json.dumps(gone) + "\n"))
    with pytest.raises(Transient, match="too old resource version"):
        next(api.watch(CONFIG_MAP, "x", "1", 5))


@pytest.mark.parametrize("cut", ['{"type": "MODIF', '{"type": "MODIFIED"}', "null", "<html>log in</html>"])
def test_an_event_that_is_not_whole_ends_the_watch_and_not_the_following(api, server, cut):
    server.answers.append((200, '{"type": "MODIFIED", "object": {"n": 1}}\n', f"{cut}\n"))
    events = api.watch(CONFIG_MAP, "x", "1", 5)
    assert next(events)["n"] == 1
    with pytest.raises(Transient, match=r"cannot watch configmaps x in namespace models: an event came damaged \("):
        next(events)


def test_a_log_is_asked_for_by_its_end_its_beginning_or_the_start_before(api, server):
    server.answers += [(200, "last\n"), (200, "first"), (400, "waiting to start"), (404, "gone")]
    assert api.log("x", "vllm", 5, previous=True) == "last\n"
    assert api.log_head("x", "vllm", 100) == "first"
    assert (api.log("x", "vllm", 5), api.log("x", "vllm", 5)) == ("", "")
    asked = [query(one) for one in server.asked[:2]]
    assert asked[0] == {"container": "vllm", "tailLines": "5", "previous": "true"}
    assert asked[1] == {"container": "vllm", "limitBytes": "100"}


def test_what_a_kubelet_says_in_place_of_a_log_is_no_log(api, server):
    server.answers.append((200, "unable to retrieve container logs for containerd://0123"))
    assert api.log("x", "vllm", 5) == ""


def test_a_look_that_a_hiccup_lets_down_is_taken_again(api, server):
    server.answers += [(503, "starting"), (429, "slowly"), (200, "{}")]
    assert api.get(CONFIG_MAP, "x") == {}


def test_a_change_is_asked_for_once_as_it_may_have_been_made(api, server):
    server.answers += [(503, "starting"), (200, "{}")]
    with pytest.raises(Transient, match="503"):
        api.patch(CONFIG_MAP, "x", {})
    assert len(server.asked) == 1


def test_a_look_is_not_taken_for_ever(api, server):
    server.answers += [(500, "no")] * 10
    with pytest.raises(Transient, match="answered 500"):
        api.list(CONFIG_MAP)
    assert len(server.asked) == 4


def test_an_answer_that_is_cut_off_is_a_trouble_of_the_outside(server):
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def cut():
            for _ in range(4):
                connection, _ = listening.accept()
                with connection:
                    connection.recv(4096)
                    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{")

        thread = threading.Thread(target=cut)
        thread.start()
        api = Cluster(_client(f"http://127.0.0.1:{listening.getsockname()[1]}"), "models")
        with pytest.raises(Transient, match="does not answer"):
            api.get(CONFIG_MAP, "x")
        thread.join()


def test_a_server_that_is_not_there_is_a_trouble_of_the_outside():
    with pytest.raises(Transient, match=r"cannot get configmaps x .*: http://127\.0\.0\.1:9 does not answer"):
        Cluster(_client("http://127.0.0.1:9"), "models").get(CONFIG_MAP, "x")


def test_the_kubeconfig_says_where_and_as_whom(server, tmp_path, monkeypatch):
    path = tmp_path / "config"
    path.write_text(json.dumps(KUBECONFIG).replace("SERVER", f"http://127.0.0.1:{server.server_port}"))
    monkeypatch.setattr("kubernetes.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION", str(path))
    server.answers.append((200, "{}"))
    connect("models").get(CONFIG_MAP, "x")
    assert server.asked[0][2]["authorization"] == "Bearer CANARY-token"
    assert urlsplit(server.asked[0][1]).path == "/api/v1/namespaces/models/configmaps/x"


def test_no_kubeconfig_is_missing(tmp_path, monkeypatch):
    monkeypatch.setattr("kubernetes.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION", str(tmp_path / "none"))
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    with pytest.raises(Missing, match=r"no cluster is known here: .*set KUBECONFIG"):
        connect("models")


@pytest.mark.parametrize("page", ["<html>log in</html>", ""])
def test_a_success_that_is_not_json_comes_from_no_api_server(server, api, page):
    server.answers = [(200, page)] * 3
    for ask in (lambda: api.list(POD), lambda: api.get(CONFIG_MAP, "x"), lambda: api.patch(POD, "x", {})):
        with pytest.raises(BadInput, match="what answers is no API server of Kubernetes; see the server in the kubec"):
            ask()


def test_a_refusal_by_a_server_that_is_ready_is_one(api, server):
    refusal = 403, json.dumps({"message": "pods is forbidden"})
    server.answers = [refusal, (200, "ok"), refusal]

    with pytest.raises(Forbidden, match="no right to list pods in namespace models: pods is forbidden"):
        api.list(POD)
    assert [asked[1].partition("?")[0] for asked in server.asked][1] == "/readyz"


def test_a_refusal_by_a_server_that_starts_is_taken_back_when_it_has_started(api, server):
    refusal = 403, json.dumps({"message": "pods is forbidden"})
    server.answers = [refusal, (500, "not yet"), refusal, (200, "ok"), (200, json.dumps({"items": []}))]

    assert api.list(POD) == []


@pytest.mark.parametrize("closed", [401, 403])
def test_a_refusal_is_believed_soon_where_the_account_may_not_ask_whether_the_server_is_ready(
    api, server, clock, closed
):
    refusal = 403, json.dumps({"message": "nodes is forbidden"})
    server.answers = [refusal, *[(closed, "")] * 5, refusal]

    with pytest.raises(Forbidden, match="no right to list nodes"):
        api.list(NODE)
    assert 5 <= sum(clock.slept) <= 8  # of the ten seconds within which each refusal is told
    assert server.answers == []


@pytest.mark.parametrize("then", [[(200, "ok")], [(403, ""), (500, ""), (403, ""), (200, "ok")]])
def test_a_server_that_starts_may_refuse_even_to_say_so(api, server, then):
    """While it reads the Roles it refuses everything; then it is not ready, then it is."""
    refusal = 403, json.dumps({"message": "pods is forbidden"})
    again = [refusal] if len(then) > 1 else []  # the look that found it unready is taken anew
    server.answers = [refusal, (403, ""), *then[:2], *again, *then[2:], (200, json.dumps({"items": []}))]

    assert api.list(POD) == []
    assert server.answers == []


def test_where_that_question_is_closed_a_watch_is_refused_as_well(api, server):
    server.answers = [(403, json.dumps({"message": "forbidden"})), *[(403, "")] * 5]

    with pytest.raises(Forbidden, match="no right to watch pods p"):
        next(api.watch(POD, "p", "1", 1))


def test_a_write_that_a_starting_server_refuses_is_worth_another_try(api, server):
    server.answers = [(403, json.dumps({"message": "forbidden"})), (403, ""), (500, "")]

    with pytest.raises(Transient, match="may have just started"):
        api.patch(CONFIG_MAP, "settings", {})


def test_a_watch_that_a_starting_server_refuses_is_worth_another_try(api, server):
    server.answers = [(403, json.dumps({"message": "forbidden"})), (500, "")]

    with pytest.raises(Transient, match="may have just started"):
        next(api.watch(POD, "p", "1", 1))
