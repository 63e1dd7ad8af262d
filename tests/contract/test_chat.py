"""FakeChat, and the real client against a server that misbehaves on purpose, keep one contract."""

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from steps.clients.chat import PodChat, connect
from steps.clients.meter import LIMIT
from steps.core import canonical
from steps.core.evidence import Proof
from steps.core.fingerprint import PROMPT, TOKENS, TOP, Fingerprint, Token
from steps.core.release import Smoke
from steps.core.verdict import Past, Seen, judge
from steps.ports.chat import Answer, Chat
from steps.settings import from_environment
from tests.stubs.chat import FakeChat, Model
from tests.stubs.model_server import Server
from tests.stubs.scene import make_release

NAME = "tiny"
SMOKE = Smoke()
Start = Callable[[str], tuple[Chat, str, str]]
"""From a fault to a chat, the address of a server with that fault, and its root."""


@pytest.fixture(params=["fake", "real"])
def start(request, tmp_path) -> Iterator[Start]:
    if request.param == "fake":
        model = {"http://pod": Model(served_name=NAME, root="/models/a--b/c")}

        def fake(fault: str) -> tuple[Chat, str, str]:
            model["http://pod"] = Model(served_name=NAME, root="/models/a--b/c", fault=fault)
            return FakeChat(model.get), "http://pod", "/models/a--b/c"

        yield fake
        return
    servers: list[Server] = []

    def real(fault: str) -> tuple[Chat, str, str]:
        (tmp_path / "stub.json").write_text(json.dumps({"fault": fault}))
        server = Server(("127.0.0.1", 0), tmp_path, NAME)
        servers.append(server)
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        return PodChat(1.0, "none"), f"http://127.0.0.1:{server.server_port}", str(tmp_path)

    yield real
    for server in servers:
        server.ending.set()
        server.shutdown()
        server.server_close()


def both(chat: Chat, url: str) -> tuple[Answer, Answer]:
    return chat.complete(url, NAME, SMOKE), chat.stream(url, NAME, SMOKE)


def test_a_good_server_is_healthy_names_its_weights_and_answers(start):
    chat, url, root = start("")
    assert chat.healthy(url)
    assert chat.models(url) == {NAME: root}
    for answer in both(chat, url):
        assert (answer.status, answer.done, answer.problem, answer.answered) == (200, True, None, True)
        assert "Paris" in answer.text
        assert answer.finish_reason == "stop"
        assert answer.tokens == 6
        assert answer.first_token_seconds is not None
        assert 0 <= answer.first_token_seconds <= answer.seconds


def test_a_stream_comes_in_pieces_and_a_plain_answer_in_one(start):
    chat, url, _root = start("")
    plain, streamed = both(chat, url)
    assert plain.pieces == 1
    assert streamed.pieces > 1


def test_a_server_that_is_not_ready_is_not_healthy(start):
    chat, url, _root = start("not-ready-ever")
    assert not chat.healthy(url)


@pytest.mark.parametrize(
    ("fault", "status", "text", "problem"),
    [
        ("wrong-answer", 200, "Lyon", None),
        ("empty-text", 200, "", None),
        ("degenerate", 200, "!!!!", None),
        ("http-500", 500, "EngineCore", "HTTP 500"),
        ("no-template", 400, "you must provide a chat template", "HTTP 400"),
        ("hang", 200, "", "did not come within 1 s"),
        ("not-json", 200, "", "not a chat completion"),
        ("long-text", 200, "", "longer than 64 KiB"),
    ],
)
def test_what_is_wrong_with_an_answer_is_said_and_never_raised(start, fault, status, text, problem):
    chat, url, _root = start(fault)
    answer = chat.complete(url, NAME, SMOKE)
    assert answer.answered
    assert answer.status == status
    assert text in answer.text
    assert (problem is None) == (answer.problem is None)
    assert (problem or "") in (answer.problem or "")
    assert answer.done == (problem is None)


def test_the_same_weights_have_the_same_fingerprint(start):
    chat, url, _root = start("")
    first, why = chat.fingerprint(url, NAME)
    again, _why = chat.fingerprint(url, NAME)
    assert (why, first) == ("", again)
    assert first is not None
    assert (len(first.tokens), first.text) == (6, "The capital of France is Paris. ")
    assert all(t.top[0] == (t.text, t.logprob) and t.logprob < 0 for t in first.tokens)
    assert min(p for t in first.tokens for _x, p in t.top) < -4


@pytest.mark.parametrize(
    ("fault", "why"),
    [("no-logprobs", "HTTP 400: 'Requested sample logprobs"), ("hang", "did not"), ("not-json", "not a")],
)
def test_where_there_is_no_fingerprint_it_is_said_why(start, fault, why):
    chat, url, _root = start(fault)
    found, said = chat.fingerprint(url, NAME)
    assert found is None
    assert why in said


def test_a_server_that_the_question_for_its_fingerprint_ends_is_not_healthy_afterwards(start):
    chat, url, _root = start("dead-of-logprobs")
    assert chat.healthy(url)
    found, said = chat.fingerprint(url, NAME)
    assert found is None
    assert "HTTP 500" in said
    assert not chat.healthy(url)


@pytest.mark.parametrize("fault", ["stream-cut", "no-done"])
def test_a_stream_without_its_end_is_not_done(start, fault):
    chat, url, _root = start(fault)
    plain, streamed = both(chat, url)
    assert plain.done
    assert not streamed.done
    assert "cut off" in (streamed.problem or "")
    assert streamed.text


def test_other_weights_and_other_names_are_seen(start):
    chat, url, root = start("wrong-root")
    assert chat.models(url)[NAME] != root
    chat, url, _root = start("wrong-model")
    assert NAME not in chat.models(url)


def test_a_server_that_wants_another_key_is_told_from_one_that_is_silent(start):
    chat, url, _root = start("other-key")
    assert chat.models(url) == {}
    assert chat.denies(url)
    chat, url, _root = start("")
    assert not chat.denies(url)
    assert not chat.denies("http://127.0.0.1:9")


def test_nothing_can_be_concluded_where_nobody_listens(start):
    chat, _url, _root = start("")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
    assert not chat.healthy(url)
    assert chat.models(url) == {}
    for answer in both(chat, url):
        assert not answer.answered
        assert not answer.done
        assert answer.problem


# What only the real client can meet.


bodies: list[dict[str, Any]] = []
"""What was asked of the last one by POST."""


@contextmanager
def serving(body: bytes, status: int = 200, kind: str = "application/json", pace: float = 0.0) -> Iterator[str]:
    """A server that gives every request this, byte by byte where there is a pace."""
    ended = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.end_headers()
            for at in range(0, len(body), 1 if pace else len(body)):
                self.wfile.write(body[at:] if not pace else body[at : at + 1])
                if ended.wait(pace):
                    return

        def do_POST(self) -> None:
            bodies.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.do_GET()

        def log_message(self, *args: object) -> None:
            pass

    bodies.clear()
    server = HTTPServer(("127.0.0.1", 0), Handler)
    server.handle_error = lambda *_: None  # type: ignore[method-assign]  # a client that leaves early is no news here
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        ended.set()
        server.shutdown()
        server.server_close()


GARBAGE = [
    b"",
    b"null",
    b"[]",
    b"42",
    b"{}",
    b'{"choices":null}',
    b'{"choices":[null]}',
    b'{"choices":[{}]}',
    b'{"choices":[{"message":{"content":42},"finish_reason":"stop"}]}',
    b'{"error":"no"}',
    b"\xff{",
    b"x" * 70_000,
    b"[" * 60_000,
    b'{"data":' * 8_000,
]


@pytest.mark.parametrize("body", GARBAGE)
def test_garbage_never_gets_through_nor_out(body):
    chat = PodChat(1.0, "none")
    with serving(body) as url:
        assert chat.models(url) == {}
        answers = [*both(chat, url)]
    with serving(b"data: " + body + b"\n\ndata: [DONE]\n\n", kind="text/event-stream") as url:
        answers += both(chat, url)
    for answer in answers:
        assert answer.problem or not answer.text
        assert answer.answered


@pytest.mark.parametrize("status", [429, 503])
def test_a_server_that_says_not_now_is_asked_again_by_others(status):
    with serving(b'{"error":{"message":"loading"}}', status) as url:
        answers = both(PodChat(1.0, "none"), url)
    assert [a.answered for a in answers] == [False, False]
    assert [a.status for a in answers] == [status, status]


def test_a_server_that_drips_for_ever_is_left_after_the_time_of_one_request():
    with serving(b" " * 1000, pace=0.05) as url:
        answer = PodChat(0.4, "none").complete(url, NAME, SMOKE)
    assert "did not come within 0.4 s" in (answer.problem or "")
    assert answer.seconds < 2


def test_an_error_in_the_middle_of_a_stream_is_a_problem():
    body = b'data: {"error":{"message":"engine died"}}\n\n'
    with serving(body, kind="text/event-stream") as url:
        answer = PodChat(1.0, "none").stream(url, NAME, SMOKE)
    assert "engine died" in (answer.problem or "")


def test_reasoning_is_part_of_the_answer():
    message = {"role": "assistant", "reasoning": "Hm, Paris.", "content": None}
    body = json.dumps({"choices": [{"index": 0, "message": message, "finish_reason": "length"}]}).encode()
    with serving(body) as url:
        answer = PodChat(1.0, "none").complete(url, NAME, SMOKE)
    assert (answer.text, answer.finish_reason, answer.problem) == ("Hm, Paris.", "length", None)


@pytest.mark.parametrize(
    ("logprobs", "why"),
    [
        (None, "its answer has no logprobs"),
        ({"tokens": []}, "its answer has no logprobs"),
        (
            {"tokens": ["a"], "token_logprobs": [float("nan")], "top_logprobs": [{}]},
            "is not a completion with logprobs",
        ),
        ({"tokens": ["a"], "token_logprobs": [None], "top_logprobs": [{}]}, "is not a completion with logprobs"),
        ({"tokens": ["a"], "token_logprobs": [-1], "top_logprobs": None}, "is not a completion with logprobs"),
        ({"tokens": ["a", "b"], "token_logprobs": [-1], "top_logprobs": [{}]}, "is not a completion with logprobs"),
        ([7], "is not a completion with logprobs"),
    ],
)
def test_logprobs_that_are_none_are_told_and_never_raised(logprobs, why):
    body = json.dumps({"choices": [{"index": 0, "text": "a", "finish_reason": "stop", "logprobs": logprobs}]}).encode()
    with serving(body) as url:
        found, said = PodChat(1.0, "none").fingerprint(url, NAME)
    assert found is None
    assert why in said


def test_a_token_that_no_file_can_hold_is_kept_as_well_as_it_can_be():
    half = "\ud83d"
    logprobs = {"tokens": [half], "token_logprobs": [-1.0], "top_logprobs": [{half: -1.0, "b": -0.5}]}
    body = json.dumps({"choices": [{"index": 0, "text": "a", "logprobs": logprobs}]}).encode()
    with serving(body) as url:
        found, _ = PodChat(1.0, "none").fingerprint(url, NAME)
    assert found == Fingerprint((Token("?", -1.0, (("b", -0.5), ("?", -1.0))),))


HALF = "Paris \ud83d"


@pytest.mark.parametrize(
    ("content", "reason", "tokens"),
    [(HALF, "stop", 3), ("Paris", HALF, 3), ("Paris", ["stop"], 3), ("Paris", 7, 3), ("Paris", "stop", 10**400)]
    + [("Paris", "stop", tokens) for tokens in (-5, True, "many", 1.5)],
)
def test_whatever_a_server_answers_can_be_judged_and_written_down(content, reason, tokens):
    usage = {"prompt_tokens": 1, "completion_tokens": tokens, "total_tokens": 1}
    choice = {"index": 0, "finish_reason": reason}
    whole = {"choices": [{**choice, "message": {"content": content}}], "usage": usage}
    piece = {"choices": [{**choice, "delta": {"content": content}}], "usage": usage}
    chunk = b"data: " + json.dumps(piece).encode() + b"\n\n"
    with serving(json.dumps(whole).encode()) as url:
        plain = PodChat(1.0, "none").complete(url, NAME, SMOKE)
    with serving(chunk * 2 + b"data: [DONE]\n\n", kind="text/event-stream") as url:
        streamed = PodChat(1.0, "none").stream(url, NAME, SMOKE)
    seen = Seen(uid="u", name="p", release_id="r", roots={}, plain=plain, streamed=streamed)
    release = make_release("a")
    assert canonical.dump(Proof(release, (judge(release, "/models/x", seen, Past()),)).to_json())
    assert plain.text.startswith("Paris")
    assert 0 < plain.tokens <= LIMIT


def test_a_letter_that_a_stream_brings_in_two_halves_is_whole():
    pieces = [{"choices": [{"index": 0, "delta": {"content": half}}], "usage": None} for half in "\ud83d\ude00"]
    body = b"".join(b"data: " + json.dumps(piece).encode() + b"\n\n" for piece in pieces)
    with serving(body + b"data: [DONE]\n\n", kind="text/event-stream") as url:
        assert PodChat(1.0, "none").stream(url, NAME, SMOKE).text == "\U0001f600"


@pytest.mark.parametrize("status", [400, 500])
def test_an_error_in_half_letters_is_told_as_well_as_it_can_be(status):
    with serving(json.dumps({"error": {"message": HALF}}).encode(), status) as url:
        answer = PodChat(1.0, "none").complete(url, NAME, SMOKE)
    assert answer.text == "Paris \ufffd"


def test_names_and_directories_that_are_none_are_no_directories():
    cards = [{"id": HALF, "root": HALF}, {"id": 7, "root": {"a": 1}}, {"id": "tiny", "root": 7}]
    with serving(json.dumps({"data": cards}).encode()) as url:
        assert PodChat(1.0, "none").models(url) == {"Paris \ufffd": "Paris \ufffd", "7": None, "tiny": None}


def test_a_fingerprint_reads_no_chat_template_which_may_hold_today_s_date():
    with serving(b"{}") as url:
        PodChat(1.0, "none").fingerprint(url, NAME)
        (asked,) = bodies
    assert asked == {"model": NAME, "prompt": PROMPT, "max_tokens": TOKENS, "temperature": 0, "logprobs": TOP}


def test_a_proxy_of_the_environment_is_not_used(monkeypatch):
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    with serving(b'{"data":[{"id":"tiny","root":"/models/x"}]}') as url:
        assert PodChat(1.0, "none").models(url) == {"tiny": "/models/x"}


def test_the_key_goes_to_the_server_and_nowhere_else():
    settings = from_environment({"VLLM_PROMOTE_SMOKE_TIMEOUT_SECONDS": "7"})
    chat = connect(settings, {"VLLM_API_KEY": "CANARY-key"})
    assert chat.seconds == 7
    assert chat.api_key == "CANARY-key"
    assert "CANARY" not in repr(chat)
