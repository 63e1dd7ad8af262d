"""The stable endpoint of a deployment: ``python -m steps.clients.local.forwarder --record FILE`` on a fixed port.

Each new connection goes to a server of the release that the record's target names at that moment, in turn where there
are several, or is closed at once where none listens. A connection once made stays with its server: a switch cuts
nobody off. It is a daemon like the servers, and may be killed and started again: all it knows is in files.
"""

import argparse
import asyncio
import itertools
import logging
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

from steps.clients.local import daemon
from steps.clients.local.addresses import HOST, endpoint_port
from steps.clients.local.daemon import Daemon
from steps.clients.local.files import translated
from steps.clients.local.record import RecordFile
from steps.clients.local.replica import listening
from steps.errors import StepError, Transient

CHUNK = 64 * 1024
"""Bytes; more are not held for a side that does not read."""
CONNECT_SECONDS = 5.0
START_SECONDS = 15.0
POLL_SECONDS = 0.02
MODULE = "steps.clients.local.forwarder"
ROOT = Path(__file__).parents[3]
"""Of the repository: where ``-m steps...`` is found."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Endpoint:
    """Where clients of a deployment go, seen from those who keep it there."""

    record: RecordFile

    @property
    def url(self) -> str:
        return f"http://{HOST}:{endpoint_port(self.record.directory)}"

    @property
    def daemon(self) -> Daemon:
        return Daemon(self.record.directory, "endpoint")

    @translated()
    def keep_up(self) -> None:
        """Start the forwarder unless it runs; return once it listens. Raises Transient: it is no candidate's fault."""
        if daemon.running(self.daemon):
            return
        port = endpoint_port(self.record.directory)
        argv = [sys.executable, "-m", MODULE, "--record", str(self.record.path.absolute())]
        daemon.start(self.daemon, argv, {}, ROOT)  # no environment: it needs none, and learns no secret
        deadline = time.monotonic() + START_SECONDS
        while not self._listens(port):
            if daemon.running(self.daemon) is None or time.monotonic() > deadline:
                why = daemon.tail(self.daemon, 1) or "it said nothing"
                raise Transient(f"the endpoint {self.url} cannot be opened: {why}; end what holds its port")
            time.sleep(POLL_SECONDS)

    def _listens(self, port: int) -> bool:
        """Itself, and not a stranger who took its port."""
        try:
            connections = psutil.Process(daemon.running(self.daemon) or 0).net_connections("tcp4")
        except psutil.Error:
            return False
        return any(c.status == psutil.CONN_LISTEN and c.laddr.port == port for c in connections)


@dataclass(frozen=True)
class Forwarder:
    record: RecordFile
    turn: Iterator[int]
    """Whose turn it is, counting on and on."""

    async def forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One client's connection, to its end."""
        server = await self._connect()
        try:
            if server is not None:
                await asyncio.gather(_copy(reader, server[1]), _copy(server[0], writer))
        finally:
            for end in (writer, *server[1:]) if server else (writer,):
                end.close()

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | None:
        """To the first server that accepts, beginning with another one each time."""
        ports = self._ports()
        first = next(self.turn) % max(len(ports), 1)
        for port in ports[first:] + ports[:first]:
            try:
                return await asyncio.wait_for(asyncio.open_connection(HOST, port), CONNECT_SECONDS)
            except (OSError, TimeoutError):
                log.info("port %s does not answer", port)
        return None

    def _ports(self) -> tuple[int, ...]:
        try:
            target = self.record.read().target
        except StepError as err:
            log.error("%s", err)  # noqa: TRY400  # its sentence says it all
            return ()
        return listening(self.record.directory, target) if target else ()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Until the one side ends, and then tell the other: it may still have something to say."""
    try:
        while chunk := await reader.read(CHUNK):
            writer.write(chunk)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()
    except OSError:
        writer.close()  # a side is gone; the other copy ends by it


async def serve(forwarder: Forwarder, port: int) -> None:
    """Until the process is ended."""
    server = await asyncio.start_server(forwarder.forward, HOST, port)
    async with server:
        await server.serve_forever()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--record", type=Path, required=True, help="serving/DEPLOYMENT.json")
    record = RecordFile(parser.parse_args().record)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    forwarder = Forwarder(record, itertools.count())
    try:
        asyncio.run(serve(forwarder, endpoint_port(record.directory)))
    except OSError as err:
        log.error("%s", err.strerror)  # noqa: TRY400  # its sentence says it all
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
