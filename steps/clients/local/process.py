"""The model servers of one deployment, as daemons of this machine. Who may change them is decided elsewhere.

serving/DEPLOYMENT/RELEASE_ID.json   the release, and how many servers of it are wanted: a rollback needs no store
serving/DEPLOYMENT/RELEASE_ID.measured  what smoke tests have measured of it
serving/DEPLOYMENT/RELEASE_ID.N.*    its server number N, see ``replica``
"""

import itertools
import json
import logging
import re
from dataclasses import dataclass
from pathlib import Path

from steps.clients.local import daemon, files
from steps.clients.local.addresses import server_port
from steps.clients.local.command import DRAIN_SECONDS, Command
from steps.clients.local.daemon import Daemon
from steps.clients.local.replica import Replica, listening, replicas
from steps.core import measured as measurements
from steps.core import release as releases
from steps.core import serverlog
from steps.core.measured import Measured
from steps.core.release import Release
from steps.errors import BadInput, Corrupt
from steps.ports.serving import Pod

LOGS_KEPT = 4
"""Of each server: this start's, and those of the ones before."""
ORPHAN_LOGS_KEPT = 20
"""Of all releases that are forgotten: somebody may still ask why they failed."""
HEAD_BYTES = 256 * 1024
"""A server says what it is within its first lines."""
_LOG = re.compile(r"([0-9a-f]{12})\.\d+\.log.*")
_SPEC = re.compile(r"([0-9a-f]{12})\.json")

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Wanted:
    release: Release
    replicas: int


@dataclass(frozen=True)
class Servers:
    """``directory`` is the deployment's. Two callers that change something must be kept apart by them."""

    directory: Path
    command: Command
    grace_seconds: float = DRAIN_SECONDS + 10.0
    """From SIGTERM to SIGKILL: longer than any server drains."""

    def wanted(self, release_id: str) -> Wanted | None:
        """None as well for a file that is damaged, which promoting the release writes again."""
        path = self._spec(release_id)
        try:
            value = json.loads(path.read_text(encoding="utf-8"))
            return Wanted(releases.from_json(value["release"]), int(value["replicas"]))
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError, BadInput) as err:
            log.warning("%s is not what was written there (%s); promoting that release again mends it", path, err)
            return None

    def want(self, wanted: Wanted) -> None:
        """Remember it, before anything is started or ended."""
        self.directory.mkdir(parents=True, exist_ok=True)
        path = self._spec(wanted.release.release_id)
        value = {"release": wanted.release.to_json(), "replicas": wanted.replicas}
        files.replace(path, path.with_suffix(".aside"), json.dumps(value).encode())

    def remember(self, release_id: str, measured: Measured) -> None:
        path = self._measured(release_id)
        files.replace(path, path.with_suffix(".measured-aside"), measured.dump().encode())

    def measured(self, release_id: str) -> Measured | None:
        """None as well for a file that is damaged."""
        path = self._measured(release_id)
        try:
            return measurements.parse(path.read_text(encoding="utf-8"), str(path))
        except FileNotFoundError:
            return None
        except (Corrupt, UnicodeDecodeError) as err:
            log.warning("%s", err)
            return None

    def start_missing(self, wanted: Wanted) -> None:
        """Start what does not run. Raises Failed when the program cannot be run."""
        for index in range(wanted.replicas):
            replica = Replica(self.directory, wanted.release.release_id, index)
            if not replica.running:
                self._start(replica, wanted.release)

    def end(self, release_id: str, beyond: int = 0) -> None:
        """End the servers from index ``beyond`` on, and wait until they are gone."""
        for replica in replicas(self.directory, release_id):
            if replica.index >= beyond:
                daemon.stop(replica.daemon, self.grace_seconds)

    def forget(self, release_id: str) -> None:
        """Leave nothing of an ended release but what it logged, and that not for ever."""
        for path in self.directory.glob(f"{release_id}.*"):
            if not _LOG.fullmatch(path.name):
                path.unlink()
        kept = self.releases()
        logs = [p for p in self.directory.iterdir() if (m := _LOG.fullmatch(p.name)) and m[1] not in kept]
        for path in sorted(logs, key=lambda p: p.stat().st_mtime)[:-ORPHAN_LOGS_KEPT]:
            path.unlink()

    def pods(self, release_id: str) -> tuple[Pod, ...]:
        """Those that run, wanted or not, and the wanted ones that have ended."""
        wanted = self.wanted(release_id)
        count = wanted.replicas if wanted else 0
        seen = (replica.pod(wanted=replica.index < count) for replica in replicas(self.directory, release_id))
        return tuple(pod for pod in seen if pod)

    def releases(self) -> tuple[str, ...]:
        """Ids, in order."""
        return tuple(sorted(m[1] for path in self.directory.glob("*.json") if (m := _SPEC.fullmatch(path.name))))

    def log_tail(self, release_id: str, lines: int) -> str:
        """Of several servers, those that have ended come last."""
        found = sorted(replicas(self.directory, release_id), key=lambda r: not r.running)
        text = "\n".join(daemon.tail(r.daemon, lines) for r in found)
        return "\n".join(text.splitlines()[-lines:])

    def device_seen(self, uid: str) -> str | None:
        """``uid`` as a pod of ``replica`` has it: the daemon's name comes first."""
        return serverlog.device(daemon.head(Daemon(self.directory, uid.partition("-")[0]), HEAD_BYTES))

    def _start(self, replica: Replica, release: Release) -> None:
        place = replica.daemon
        daemon.stop(place, self.grace_seconds)  # children of a killed one, found by the log that they write to
        _turn_over(place.file("log"))
        port = server_port(self.directory, self._busy_ports())
        place.file("json").write_text(json.dumps({"port": port}))
        daemon.start(place, self.command.argv(release, port), self.command.environment(release.serving.device))

    def _busy_ports(self) -> set[int]:
        """Of all that run here, those that do not listen yet among them."""
        return {port for release_id in self.releases() for port in listening(self.directory, release_id)}

    def _measured(self, release_id: str) -> Path:
        return self.directory / f"{release_id}.measured"

    def _spec(self, release_id: str) -> Path:
        return self.directory / f"{release_id}.json"


def _turn_over(log: Path) -> None:
    """Begin a new log; the one before becomes .log.1, and so on."""
    kept = [log, *(log.with_suffix(f".log.{number}") for number in range(1, LOGS_KEPT))]
    for newer, older in reversed(list(itertools.pairwise(kept))):
        if newer.exists():
            newer.rename(older)
