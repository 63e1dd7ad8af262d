"""Serving on one machine: the record is a file, pods are daemons, the pointer is a small TCP forwarder.

DIRECTORY/serving/DEPLOYMENT.json   see ``record``
DIRECTORY/serving/DEPLOYMENT/       see ``process``, ``addresses``; processes.lock keeps two changers apart
DIRECTORY/runs/OWNER/alive.lock     held by the engine, and by its steps, while the run lives
"""

import fcntl
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from steps.clients import page_cache
from steps.clients.local import daemon
from steps.clients.local.command import Command
from steps.clients.local.files import translated
from steps.clients.local.forwarder import Endpoint
from steps.clients.local.journal import LocalJournal
from steps.clients.local.process import Servers, Wanted
from steps.clients.local.record import RecordFile
from steps.clients.local.replica import listening
from steps.clients.whole import require_whole
from steps.core import guards
from steps.core.measured import Measured
from steps.core.names import check_deployment, check_run
from steps.core.record import Record
from steps.core.release import Release
from steps.errors import BadInput, Conflict, Corrupt, StepError
from steps.ports.serving import Held, Place, Pod
from steps.settings import Settings

LOOK_SECONDS = 0.3
STOP_GRACE_SECONDS = 10.0
"""When everything of a machine is stopped by hand."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class LocalServing:
    """One deployment."""

    journal: LocalJournal
    record: RecordFile
    servers: Servers

    @property
    @translated()
    def url(self) -> str:
        return self.endpoint.url

    @property
    def endpoint(self) -> Endpoint:
        return Endpoint(self.record)

    @property
    def poll_seconds(self) -> float:
        return LOOK_SECONDS

    @translated()
    def read(self) -> Held:
        held = self.record.read()
        self._bring_back_endpoint(held)
        return held

    @translated()
    def swap(self, held: Held, record: Record) -> Held:
        return self.record.swap(held, record, held.target)

    @translated()
    def point(self, held: Held, record: Record, target: str | None) -> Held:
        if target is not None:
            self.endpoint.keep_up()
        return self.record.swap(held, record, target)

    @translated()
    def release(self, release_id: str) -> Release | None:
        wanted = self.servers.wanted(release_id)
        return wanted.release if wanted else None

    @translated()
    def ensure(self, release: Release, replicas: int, owner: str) -> None:
        wanted = Wanted(release, replicas)
        with self._alone():
            # The record stays locked until the servers run: whoever takes it over afterwards finds them.
            with self._owned_by(owner) as held:
                guards.check_change(held.record, held.target, release.release_id, replicas)
                self.servers.want(wanted)
                self.servers.start_missing(wanted)
            self.servers.end(release.release_id, beyond=replicas)
        self._bring_back_endpoint(held)

    @translated()
    def prepare(  # what it does is done at once, whoever asks
        self,
        release: Release,
        beside: str,  # noqa: ARG002
        seconds: float,  # noqa: ARG002
        owner: str,  # noqa: ARG002
    ) -> tuple[Place, ...]:
        directory = self.servers.command.directory(release)
        try:
            require_whole(directory)
        except Corrupt as err:
            return (Place(name="this machine", done=True, problem=str(err)),)
        read = page_cache.read_ahead(directory, page_cache.room())
        return (Place(name="this machine", done=True, said=str(read)),)

    def unprepare(self, owner: str | None) -> None:
        """Nothing goes on here."""

    @translated()
    def stop(self, release_id: str, owner: str, *, anew: bool = False) -> None:
        with self._alone():
            self._stop(release_id, owner, anew=anew)

    @translated()
    def remove(self, release_id: str, owner: str) -> None:
        with self._alone():
            self._stop(release_id, owner)
            self.servers.forget(release_id)

    @translated()
    def remember(self, release_id: str, measured: Measured, owner: str) -> None:
        with self._owned_by(owner):
            if self.servers.wanted(release_id):
                self.servers.remember(release_id, measured)

    @translated()
    def measured(self, release_id: str) -> Measured | None:
        return self.servers.measured(release_id)

    def meddled(self, release_id: str | None) -> tuple[str, ...]:  # noqa: ARG002  # nobody keeps who writes files
        return ()

    @translated()
    def replicas(self, release_id: str) -> int:
        wanted = self.servers.wanted(release_id)
        return wanted.replicas if wanted else 0

    @translated()
    def pods(self, release_id: str) -> tuple[Pod, ...]:
        return self.servers.pods(release_id)

    @translated()
    def releases(self) -> tuple[str, ...]:
        return self.servers.releases()

    @translated()
    def log_tail(self, release_id: str, lines: int) -> str:
        return self.servers.log_tail(release_id, lines)

    @translated()
    def device_seen(self, uid: str) -> str | None:
        return self.servers.device_seen(uid)

    @translated()
    def owner_alive(self, owner: str) -> bool:
        try:
            return self.journal.alive(check_run(owner))
        except BadInput:  # a name that no run can have is nobody's
            return False

    def run_of(self, owner: str) -> str | None:
        return owner if self.owner_alive(owner) else None

    def check_room(self, release: Release) -> None:
        self.servers.command.check(release)

    def elsewhere(self, release_id: str) -> str | None:  # noqa: ARG002  # this machine has one volume
        return None

    def _bring_back_endpoint(self, held: Held) -> None:
        """Where servers of the target run, clients must reach them: its forwarder may have been killed."""
        if held.target and listening(self.record.directory, held.target):
            try:
                self.endpoint.keep_up()
            except StepError as err:  # no reason to keep anybody from reading the record, or from rolling back
                log.warning("%s", err)

    def _stop(self, release_id: str, owner: str, *, anew: bool = False) -> None:
        with self._owned_by(owner) as held:
            guards.check_change(held.record, held.target, release_id, 0, anew=anew)
            if wanted := self.servers.wanted(release_id):
                self.servers.want(Wanted(wanted.release, 0))
        # The record is free while requests drain; a new owner's ``ensure`` waits for us, so it starts what we end here.
        self.servers.end(release_id)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Nobody else starts or ends servers of this deployment. The lock ends with this process at the latest."""
        self.record.directory.mkdir(parents=True, exist_ok=True)
        with (self.record.directory / "processes.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    @contextmanager
    def _owned_by(self, owner: str) -> Iterator[Held]:
        """The fence: nobody takes the record over meanwhile. Raises Conflict when somebody has."""
        with self.record.locked() as held:
            if held.record.owner != owner:
                who = held.record.owner or "nobody"
                raise Conflict(
                    f"{who} owns the record of {self.record.path.stem} now, not {owner}; this run leaves it alone"
                )
            yield held


def connect(settings: Settings, deployment: str, environ: Mapping[str, str]) -> LocalServing:
    """``environ`` is this process's; a model server gets the harmless part of it. Raises BadInput."""
    if (home := settings.local_dir) is None:
        raise BadInput(f"{settings.serving} is not on this machine; set VLLM_PROMOTE_SERVING=local://DIRECTORY")
    record = RecordFile(home.absolute() / "serving" / f"{check_deployment(deployment)}.json")
    command = Command(replaced=settings.serve_command, volume=settings.volume, environ=environ)
    return LocalServing(LocalJournal(home.absolute()), record, Servers(record.directory, command))


def deployments(home: Path) -> tuple[str, ...]:
    """Names of all that have a record below this directory, or servers though somebody has removed that; in order."""
    recorded = {path.stem for path in (home / "serving").glob("[a-z]*.json")}
    directories = (path for path in (home / "serving").glob("[a-z]*/") if path.name not in recorded)
    return tuple(sorted(recorded | {d.name for d in directories if any(map(daemon.running, daemon.found(d)))}))


def stop_everything(home: Path) -> tuple[str, ...]:
    """End all model servers and forwarders below this directory, asking no owner; returns what ran.

    The records stay: the next run finds that nothing serves, and repairs it.
    """
    found = [d for directory in sorted((home / "serving").glob("*/")) for d in daemon.found(directory)]
    running = [d for d in found if daemon.running(d)]
    for each in found:  # those that were killed may have left children
        daemon.stop(each, STOP_GRACE_SECONDS)
    return tuple(f"{d.directory.name}/{d.name}" for d in running)
