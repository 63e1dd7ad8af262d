"""One model server of a release, as its files in the deployment's directory show it; nothing here changes any.

RELEASE_ID.INDEX.json   {"port"}
RELEASE_ID.INDEX.log    what it says since its last start; .log.1 is the start before, and so on
RELEASE_ID.INDEX.pid    and .lock: see ``daemon``
"""

import http.client
import json
import re
from dataclasses import dataclass
from pathlib import Path

from steps.clients.local import daemon, launch
from steps.clients.local.addresses import HOST
from steps.clients.local.daemon import Daemon
from steps.ports.serving import Pod

HEALTH_SECONDS = 2.0
WAITING_LINE = 160
"""Characters."""
_PID = re.compile(r"[0-9a-f]{12}\.(\d+)\.pid")


@dataclass(frozen=True, slots=True)
class Replica:
    """Counts from 0. Running or not, or never started."""

    directory: Path
    release_id: str
    index: int

    @property
    def daemon(self) -> Daemon:
        return Daemon(self.directory, f"{self.release_id}.{self.index}")

    @property
    def running(self) -> bool:
        return daemon.running(self.daemon) is not None

    @property
    def port(self) -> int | None:
        """Where it listens, or will once it has loaded; None when that was never written."""
        try:
            return int(json.loads(self.daemon.file("json").read_text())["port"])
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return None

    def pod(self, *, wanted: bool) -> Pod | None:
        """None for one that does not run and need not. A start of its own makes a uid of its own."""
        identity = launch.read(self.daemon.file("pid"))
        if identity is None or not (identity.alive or wanted):
            return None
        uid = f"{self.daemon.name}-{identity.pid}-{identity.ticks}"
        if not identity.alive:
            why = f"its model server ended; its log is {self.daemon.file('log')}"
            return Pod(uid=uid, release_id=self.release_id, url=None, ready=False, failure=why)
        url = f"http://{HOST}:{self.port}" if self.port else None
        if _healthy(self.port):
            return Pod(uid=uid, release_id=self.release_id, url=url, ready=True)
        waiting = f"it loads, and said last: {daemon.tail(self.daemon, 1)[:WAITING_LINE]}"
        return Pod(uid=uid, release_id=self.release_id, url=url, ready=False, waiting=waiting)


def replicas(directory: Path, release_id: str) -> tuple[Replica, ...]:
    """Every one that was ever started, by index."""
    found = (_PID.fullmatch(path.name) for path in directory.glob(f"{release_id}.*.pid"))
    return tuple(Replica(directory, release_id, index) for index in sorted(int(m[1]) for m in found if m))


def listening(directory: Path, release_id: str) -> tuple[int, ...]:
    """Ports of those that run: a stopped one's port may be another release's by now."""
    return tuple(r.port for r in replicas(directory, release_id) if r.running and r.port is not None)


def _healthy(port: int | None) -> bool:
    """Straight to the loopback: no proxy of the environment is asked."""
    connection = http.client.HTTPConnection(HOST, port or 0, timeout=HEALTH_SECONDS)
    try:
        connection.request("GET", "/health")
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
