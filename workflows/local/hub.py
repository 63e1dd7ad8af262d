"""A small Hub over a directory, for the demo and the tests: what huggingface_hub needs of one, on loopback only.

``python -m workflows.local.hub --root DIR`` serves the repositories below DIR as ``services.hub_disk`` draws them.
Below a home directory, ``start`` keeps one running:

    services/hub.{lock,pid,log}   the daemon, see ``steps.clients.local.daemon``
    services/hub.json             {"pid", "port", "root"}, written by the daemon once it listens
"""

import argparse
import contextlib
import json
import os
import secrets
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from steps.clients.local import daemon, files
from steps.clients.local.addresses import HOST
from steps.clients.local.daemon import Daemon
from steps.errors import Transient
from workflows.checkout import CHECKOUT
from workflows.local.services.hub_answers import Request, Response, Site, read_request
from workflows.local.services.hub_disk import configure, publish

__all__ = ["HubServer", "configure", "publish", "start", "stop"]

READY_SECONDS = 15.0

Faults = Callable[[Request, Response], Response]
"""What tests hand in: sees every request, and may give another answer than the right one."""


class HubServer:
    """Two listeners, because the Hub's bytes come from another host than its answers. Used with ``with``.

    ``reached`` gives the endpoint at which clients find a listener, where something lies between.
    """

    def __init__(  # noqa: PLR0913  # each is what a test may want other than it is
        self,
        root: Path,
        port: int = 0,
        *,
        host: str = HOST,
        reached: Callable[[str], str] = lambda endpoint: endpoint,
        faults: Faults = lambda _request, answer: answer,
        signed_seconds: float = 3600,
        page_size: int = 1000,
    ) -> None:
        self._api = _Listener((host, port), _Handler)
        self._downloads = _Listener((host, 0), _Handler)
        self.root = root
        self.endpoint = reached(f"http://{host}:{self._api.server_port}")
        self.downloads = reached(f"http://{host}:{self._downloads.server_port}")
        site = Site(
            root=root,
            endpoint=self.endpoint,
            downloads=self.downloads,
            key=secrets.token_bytes(32),
            signed_seconds=signed_seconds,
            page_size=page_size,
        )
        for listener in (self._api, self._downloads):
            listener.respond = lambda request: faults(request, site.answer(request, time.time()))

    def __enter__(self) -> Self:
        for listener in (self._api, self._downloads):
            threading.Thread(target=listener.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, err: BaseException | None, trace: TracebackType | None
    ) -> None:
        for listener in (self._api, self._downloads):
            listener.shutdown()
            listener.server_close()
            listener.hang_up()


class _Listener(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False  # a stalled answer must not hold up the end
    request_queue_size = 128
    respond: Callable[[Request], Response]

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler]) -> None:
        super().__init__(address, handler)
        self.connections: set[socket.socket] = set()

    def hang_up(self) -> None:
        """On clients that would go on asking over the connections they have."""
        for connection in list(self.connections):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is no news; a bug is."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Listener

    def setup(self) -> None:
        super().setup()
        self.server.connections.add(self.connection)

    def finish(self) -> None:
        self.server.connections.discard(self.connection)
        super().finish()

    def _serve(self) -> None:
        length = int(self.headers.get("Content-Length", 0))
        headers = {name.lower(): value for name, value in self.headers.items()}
        answer = self.server.respond(read_request(self.command, self.path, headers, self.rfile.read(length)))
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self._send(answer)

    def _send(self, answer: Response) -> None:
        sent = 0
        try:
            for piece in answer.body:
                self.wfile.write(piece)
                sent += len(piece)
        except ConnectionResetError:  # the client's doing, or a fault's: then the client shall see the same
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            raise
        self.close_connection |= sent != int(answer.headers.get("Content-Length", sent))

    do_GET = do_HEAD = do_POST = _serve  # noqa: N815  # the names that http.server looks for

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # http.server's name for it
        """Errors only; nobody reads a line for each range."""

    def log_error(self, format: str, *args: object) -> None:  # noqa: A002  # http.server's name for it
        super().log_message(format, *args)


def start(home: Path, root: Path) -> str:
    """Have a Hub run over ``root``, and return its endpoint. Raises Transient, Failed."""
    services = home.absolute() / "services"
    hub = Daemon(services, "hub")
    told = _told(hub)
    if told and told["root"] != str(root.absolute()):
        stop(home)
    argv = [
        sys.executable,
        "-m",
        "workflows.local.hub",
        "--root",
        str(root.absolute()),
        "--tell",
        str(hub.file("json")),
    ]
    if not daemon.running(hub):
        daemon.start(hub, argv, {"PATH": os.defpath}, cwd=CHECKOUT)
    deadline = time.monotonic() + READY_SECONDS
    while (told := _told(hub)) is None:
        if not daemon.running(hub) or time.monotonic() > deadline:
            raise Transient(f"the local Hub does not start; see {hub.file('log')}")
        time.sleep(0.02)
    return f"http://{HOST}:{told['port']}"


def stop(home: Path) -> None:
    """It holds nothing that a kill could lose."""
    daemon.stop(Daemon(home.absolute() / "services", "hub"), grace_seconds=0)


def _told(hub: Daemon) -> dict[str, Any] | None:
    """What the process that runs now said of itself; None until it has."""
    value = _read(hub.file("json"))
    return value if value and value["pid"] == daemon.running(hub) else None


def _read(path: Path) -> dict[str, Any] | None:
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (FileNotFoundError, ValueError):
        return None


def _listen(root: Path, tell: Path | None, port: int) -> HubServer:
    """On the port of the last time if it is free, for somebody may have it in a shell's HF_ENDPOINT."""
    before = _read(tell) if tell else None
    if before and not port:
        try:
            return HubServer(root, before["port"])
        except OSError:
            pass
    return HubServer(root, port)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m workflows.local.hub", description=__doc__.partition("\n")[0])
    parser.add_argument("--root", type=Path, required=True, help="the directory with the repositories")
    parser.add_argument("--port", type=int, default=0, help="default: a free one")
    parser.add_argument("--tell", type=Path, help="a file to write pid, port and root to")
    args = parser.parse_args(argv)
    with _listen(args.root, args.tell, args.port) as server:
        port = int(server.endpoint.rpartition(":")[2])
        if args.tell:
            said = {"pid": os.getpid(), "port": port, "root": str(args.root)}
            files.replace(args.tell, args.tell.with_suffix(".aside"), json.dumps(said).encode())
        print(f"HF_ENDPOINT={server.endpoint}", flush=True)  # noqa: T201  # for the person who started it
        threading.Event().wait()
    return 0


if __name__ == "__main__":
    sys.exit(main())
