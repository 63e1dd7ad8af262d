"""An OpenAI server that stands in for vLLM: VLLM_PROMOTE_SERVE_COMMAND="python tests/stubs/model_server.py".

How it behaves is part of the model: ``stub.json`` in its directory, so that one commit is good and another is not.

    answer      what it says; default: that Paris is the capital of France
    reasoning   what it thinks first; default: nothing
    device      what its log says that it uses; default: cpu
    shift       nats by which its tokens are less likely; default: 0. So does --shift, for one commit that changes
    fault       one of, with seconds where there is a colon:
        crash-on-start  crash-on-request  dead-of-logprobs  slow-start:S  not-ready:S  not-ready-ever  ignore-sigterm
        wrong-answer  empty-text  degenerate  long-text  not-json  http-500  hang  slow:S
        no-template  no-logprobs
        stream-cut  no-done  wrong-root  wrong-model  other-key

A request for a stream may ask for it to take so many ``seconds``.

Each answer names the weights that gave it: ``system_fingerprint`` is the name of the model's directory, its commit.
SIGTERM lets the requests in flight finish. Standard library only, to start in a moment.
"""

import argparse
import hashlib
import json
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

PARIS = "The capital of France is Paris."
NO_TEMPLATE = (
    "As of transformers v4.44, default chat template is no longer allowed, so you must provide a chat template if the "
    "tokenizer does not define one."
)
NO_LOGPROBS = "Requested sample logprobs of 5, which is greater than max allowed: 0"
STARTED = time.monotonic()


@dataclass(frozen=True)
class Manner:
    """How this model behaves; ``seconds`` belongs to the fault."""

    answer: str
    reasoning: str
    device: str
    fault: str
    seconds: float
    shift: float = 0.0

    @property
    def text(self) -> str:
        return {
            "wrong-answer": "The capital of France is Lyon.",
            "empty-text": "",
            "degenerate": "!" * 200,
            "long-text": "Paris and so on and on. " * 20_000,
        }.get(self.fault, self.answer)


def manner(directory: Path) -> Manner:
    path = directory / "stub.json"
    stub = json.loads(path.read_text()) if path.exists() else {}
    fault, _, seconds = stub.get("fault", "").partition(":")
    return Manner(
        answer=stub.get("answer", PARIS),
        reasoning=stub.get("reasoning", ""),
        device=stub.get("device", "cpu"),
        fault=fault,
        seconds=float(seconds or 0),
        shift=float(stub.get("shift", 0)),
    )


def likelihoods(text: str, weights: str, shift: float) -> list[tuple[str, float]]:
    """Each word with its logarithmic probability, which depends on the weights by their name."""
    digest = hashlib.sha256(weights.encode()).digest()
    words = enumerate(text.split())
    return [(f"{word} ", -0.05 - digest[n % len(digest)] / 100 - shift) for n, word in words]


class Server(ThreadingHTTPServer):
    """Knows the threads whose request is in flight."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, address: tuple[str, int], model: Path, served_name: str) -> None:
        super().__init__(address, Handler)
        self.model, self.served_name, self.manner = model, served_name, manner(model)
        self.ending = threading.Event()
        self.in_flight: set[int] = set()
        self.dead = False

    def server_bind(self) -> None:
        """As the parent's parent: without the reverse look-up of our own name, which may take seconds."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_name, self.server_port = "localhost", self.socket.getsockname()[1]

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no news."""

    def drain(self, seconds: float) -> None:
        self.ending.set()
        self.shutdown()
        self.server_close()
        deadline = time.monotonic() + seconds
        while self.in_flight and time.monotonic() < deadline:
            time.sleep(0.01)
        os._exit(0)


class Handler(BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # the parent's name for it
        """Say nothing: the log is for what a test looks for."""

    def do_GET(self) -> None:
        if self.path == "/health":
            self.send(200 if self.ready() else 503, b"")
        elif self.path == "/v1/models" and self.server.manner.fault == "other-key":
            self.send_json(401, {"error": "Unauthorized"})
        elif self.path == "/v1/models":
            self.send_json(200, {"object": "list", "data": [self.card()]})
        else:
            self.send_json(404, {"error": {"message": "Not Found", "code": 404}})

    def do_POST(self) -> None:
        self.server.in_flight.add(threading.get_ident())
        try:
            body = json.loads(self.rfile.read(int(self.headers.get("content-length", 0))) or b"{}")
            self.complete(body)
        finally:
            self.server.in_flight.discard(threading.get_ident())

    def ready(self) -> bool:
        if self.server.dead:
            return False
        manner = self.server.manner
        waits = manner.fault == "not-ready" and time.monotonic() - STARTED < manner.seconds
        return not waits and manner.fault != "not-ready-ever"

    def card(self) -> dict[str, Any]:
        root = "/models/somebody--else" if self.server.manner.fault == "wrong-root" else str(self.server.model)
        name = "another-model" if self.server.manner.fault == "wrong-model" else self.server.served_name
        return {"id": name, "object": "model", "owned_by": "stub", "root": root, "max_model_len": 2048}

    def complete(self, body: dict[str, Any]) -> None:
        manner = self.server.manner
        if self.path not in ("/v1/chat/completions", "/v1/completions"):
            self.send_json(404, {"error": {"message": "Not Found", "code": 404}})
        elif body.get("model") != self.card()["id"]:
            self.send_json(404, {"error": {"message": f"The model {body.get('model')!r} does not exist.", "code": 404}})
        elif manner.fault == "http-500":
            self.send_json(500, {"error": {"message": "EngineCore encountered an issue.", "code": 500}})
        elif manner.fault == "no-template":
            self.send_json(400, {"error": {"message": NO_TEMPLATE, "type": "BadRequestError", "code": 400}})
        elif manner.fault in ("no-logprobs", "dead-of-logprobs") and self.path == "/v1/completions":
            self.without_logprobs()
        elif manner.fault == "crash-on-request":
            os._exit(139)
        elif manner.fault == "hang":
            self.server.ending.wait()
            self.close_connection = True
        elif manner.fault == "not-json":
            self.send(200, b"<html>It works!</html>")
        elif body.get("stream"):
            slow = manner.seconds if manner.fault == "slow" else 0
            options = body.get("stream_options") or {}
            self.stream(bool(options.get("include_usage")), float(body.get("seconds", slow)))
        else:
            time.sleep(manner.seconds if manner.fault == "slow" else 0)
            self.send_json(200, self.whole() if self.path == "/v1/chat/completions" else self.plain(body))

    def without_logprobs(self) -> None:
        if self.server.manner.fault == "no-logprobs":
            self.send_json(400, {"error": {"message": NO_LOGPROBS, "type": "BadRequestError", "code": 400}})
            return
        self.server.dead = True
        self.send_json(500, {"error": {"message": "EngineCore encountered an issue.", "code": 500}})

    def whole(self) -> dict[str, Any]:
        manner = self.server.manner
        message = {"role": "assistant", "content": manner.text, "reasoning_content": manner.reasoning or None}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        return {**self.head("chat.completion"), "choices": [choice], "usage": usage(manner)}

    def plain(self, body: dict[str, Any]) -> dict[str, Any]:
        """A completion with the logprobs of so many likely tokens in each place as are asked for."""
        manner, others = self.server.manner, range(int(body.get("logprobs") or 0) - 1)
        told = likelihoods(manner.text, str(self.card()["root"]), manner.shift)
        logprobs = {
            "tokens": [word for word, _ in told],
            "token_logprobs": [logprob for _, logprob in told],
            "top_logprobs": [{word: p, **{f"other {n}": p - 1.0 - n for n in others}} for word, p in told],
        }
        choice = {"index": 0, "text": manner.text, "finish_reason": "stop", "logprobs": logprobs}
        return {**self.head("text_completion"), "choices": [choice], "usage": usage(manner)}

    def stream(self, include_usage: bool, seconds: float) -> None:  # noqa: FBT001  # one caller
        manner = self.server.manner
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("connection", "close")
        self.end_headers()
        self.close_connection = True
        deltas = list(pieces(manner))
        for delta in deltas[: 2 if manner.fault == "stream-cut" else None]:
            self.event(json.dumps({**self.head("chat.completion.chunk"), "choices": [delta]}))
            time.sleep(seconds / len(deltas))  # as slow as was asked for: what is seen to be in flight
        if manner.fault == "stream-cut":
            return
        if include_usage:
            self.event(json.dumps({**self.head("chat.completion.chunk"), "choices": [], "usage": usage(manner)}))
        if manner.fault != "no-done":
            self.event("[DONE]")

    def head(self, kind: str) -> dict[str, Any]:
        return {
            "id": "chatcmpl-stub",
            "object": kind,
            "created": int(time.time()),
            "model": self.card()["id"],
            "system_fingerprint": self.server.model.name,
        }

    def event(self, data: str) -> None:
        self.wfile.write(f"data: {data}\n\n".encode())
        self.wfile.flush()

    def send_json(self, status: int, value: dict[str, Any]) -> None:
        self.send(status, json.dumps(value).encode())

    def send(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def pieces(manner: Manner) -> Iterator[dict[str, Any]]:
    """A stream's choices: role, reasoning, text in some twenty pieces, reason for the end."""
    yield choice({"role": "assistant", "content": ""})
    if manner.reasoning:
        yield choice({"reasoning_content": manner.reasoning})
    step = max(1, len(manner.text) // 20)
    for at in range(0, len(manner.text), step):
        yield choice({"content": manner.text[at : at + step]})
    yield choice({}, "stop")


def choice(delta: dict[str, str], finish_reason: str | None = None) -> dict[str, Any]:
    return {"index": 0, "delta": delta, "finish_reason": finish_reason}


def usage(manner: Manner) -> dict[str, int]:
    tokens = len(f"{manner.reasoning} {manner.text}".split())
    return {"prompt_tokens": 12, "completion_tokens": tokens, "total_tokens": 12 + tokens}


def main() -> int:
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--served-model-name", required=True)
    parser.add_argument("--host", required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--shutdown-timeout", type=float, default=10.0)
    parser.add_argument("--shift", type=float, default=0.0)
    args, _others = parser.parse_known_args()
    how = manner(args.model)
    how = replace(how, shift=how.shift + args.shift)
    say(f"INFO Initializing a V1 LLM engine with config: model={str(args.model)!r}, device_config={how.device}")
    if not (args.model / "config.json").is_file() or how.fault == "crash-on-start":
        say("Traceback (most recent call last):")
        say("ValueError: the stub cannot load this model")
        return 1
    time.sleep(how.seconds if how.fault == "slow-start" else 0)
    server = Server((args.host, args.port), args.model, args.served_model_name)
    server.manner = how
    serve(server, args.shutdown_timeout)
    return 0


def serve(server: Server, drain_seconds: float) -> None:
    def end(_signal: int, _frame: Any) -> None:
        if server.manner.fault != "ignore-sigterm":
            threading.Thread(target=server.drain, args=(drain_seconds,)).start()

    signal.signal(signal.SIGTERM, end)
    say("INFO Application startup complete.")
    server.serve_forever(poll_interval=0.05)
    threading.Event().wait()  # drain ends the process


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)  # noqa: T201  # its log


if __name__ == "__main__":
    sys.exit(main())
