"""A network that goes wrong on demand: a TCP proxy in front of a real server."""

import contextlib
import socket
import socketserver
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

from steps.clients.local.addresses import HOST

METHODS = (b"GET ", b"PUT ", b"POST ", b"HEAD ", b"DELETE ")


class Proxy:
    """``up`` and ``down`` see what passes and may change it; None cuts the connection. ``hits`` counts what they did.

    Each of ``answers`` is given in place of the server's to one request, and whatever ``refuse`` has for a request.
    """

    def __init__(self, upstream: str) -> None:
        target = urlsplit(upstream)
        self.upstream = (target.hostname, target.port)
        self.answers: deque[bytes] = deque()
        self.refuse: Callable[[bytes], bytes | None] = lambda _request: None
        self.up: Callable[[bytes], bytes | None] = lambda data: data
        self.down: Callable[[bytes], bytes | None] = lambda data: data
        self.hits = 0
        self.endpoint = ""

    def answer(self, data: bytes) -> bytes | None:
        """What is said in place of the server, where ``data`` begins a request."""
        if not data.startswith(METHODS):
            return None
        return self.answers.popleft() if self.answers else self.refuse(data)

    def flip(self, marker: bytes, times: int = 1) -> Callable[[bytes], bytes]:
        """One bit of the first ``marker`` that passes."""

        def flipped(data: bytes) -> bytes:
            if self.hits < times and marker in data:
                self.hits += 1
                return data.replace(marker, bytes([marker[0] ^ 1]) + marker[1:], 1)
            return data

        return flipped

    def cut_once(self, before: Callable[[bytes], bool]) -> Callable[[bytes], bytes | None]:
        """Hang up at the first data of which this is true."""

        def cut(data: bytes) -> bytes | None:
            if self.hits == 0 and before(data):
                self.hits += 1
                return None
            return data

        return cut


@contextmanager
def proxy(upstream: str, host: str = HOST) -> Iterator[Proxy]:
    """``host`` is the address on which it listens."""
    made = Proxy(upstream)

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with contextlib.suppress(OSError), socket.create_connection(made.upstream) as server:
                threading.Thread(target=self.upwards, args=(server,), daemon=True).start()
                pass_on(server, self.request, lambda data: made.down(data))  # noqa: PLW0108  # as it is by then
                hang_up(self.request)

        def upwards(self, server: socket.socket) -> None:
            pass_on(self.request, server, self.answered)
            hang_up(server)

        def answered(self, data: bytes) -> bytes | None:
            if answer := made.answer(data):
                made.hits += 1  # before whoever is answered can look
                self.request.sendall(answer)
                hang_up(self.request)
                return None
            return made.up(data)

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True
        block_on_close = False
        request_queue_size = 128  # a connection that finds it full stalls for seconds

    with Server((host, 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        made.endpoint = f"http://{host}:{server.server_address[1]}"
        yield made
        server.shutdown()


def s3_error(status: int, code: str) -> bytes:
    body = f"<Error><Code>{code}</Code><Message>as told</Message></Error>".encode()
    return _answer(status, "application/xml", body)


def web_page(body: bytes) -> bytes:
    """As from a proxy that wants a sign-in, or an address that is no store's."""
    return _answer(200, "text/html", body)


def _answer(status: int, kind: str, body: bytes) -> bytes:
    head = f"HTTP/1.1 {status} x\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n"
    return head.encode() + b"Connection: close\r\n\r\n" + body


def pass_on(source: socket.socket, target: socket.socket, change: Callable[[bytes], bytes | None]) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(1 << 16):
            changed = change(data)
            if changed is None:
                return
            target.sendall(changed)


def hang_up(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
