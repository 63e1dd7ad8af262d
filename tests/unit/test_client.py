import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from steps.errors import Failed
from workflows.local.demo import client


class Endpoint(BaseHTTPRequestHandler):
    def do_GET(self):
        self.answer({"data": [{"id": "small", "root": "/volume/org--small/" + "c" * 40}]})

    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.answer({"choices": [{"message": {"content": f"{asked['model']}: {asked['messages'][0]['content']}"}}]})

    def answer(self, value):
        body = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


@pytest.fixture
def url():
    server = HTTPServer(("127.0.0.1", 0), Endpoint)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_it_asks_the_model_that_is_served(url):
    assert client.ask(url, "Who?") == "small: Who?"


def test_the_commit_is_the_directory_of_the_weights(url):
    assert client.commit(url) == "c" * 40


def test_a_proxy_is_not_asked_for_an_endpoint_of_this_machine(url, monkeypatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    assert client.commit(url) == "c" * 40


def test_nobody_there_is_a_failure_that_says_where_to_look():
    with pytest.raises(Failed, match=r"^http://127.0.0.1:9/v1/models does not answer .*status --local` shows what"):
        client.commit("http://127.0.0.1:9")
