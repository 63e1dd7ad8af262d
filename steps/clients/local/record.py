"""The record of a deployment on one machine: a file with the semantics of an annotation.

    serving/DEPLOYMENT.json          the record's fields, "target" (the release that clients reach) and "version"
    serving/DEPLOYMENT/record.lock   held while somebody writes it, or acts on what it says
    serving/DEPLOYMENT/record.aside  the next one, until it is renamed into place

Readers need no lock: a rename shows them the old file or the new one, whenever the writer is killed.
"""

import fcntl
import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from steps.clients.local import files
from steps.core import record as records
from steps.core.record import Record
from steps.errors import Conflict, Corrupt
from steps.ports.serving import Held

ABSENT = "0"
"""The version of a record that was never written."""


@dataclass(frozen=True)
class RecordFile:
    path: Path
    """``serving/DEPLOYMENT.json``."""

    @property
    def directory(self) -> Path:
        """Where all else of the deployment lies."""
        return self.path.with_suffix("")

    def read(self) -> Held:
        """Raises Corrupt for a file that somebody else wrote, or damaged."""
        try:
            body = self.path.read_bytes()
        except FileNotFoundError:
            return Held(Record(), ABSENT, None)
        return _parse(body, str(self.path))

    def swap(self, held: Held, record: Record, target: str | None) -> Held:
        """Write record and target if the file still is what was read. Raises Conflict, NoSpace, BadInput."""
        with self.locked() as now:
            if now.version != held.version:
                raise Conflict(_changed(self.path.stem, now))
            return self._write(record, target, _counter(now.version) + 1)

    @contextmanager
    def locked(self) -> Iterator[Held]:
        """Nobody changes the record meanwhile: be quick. The lock ends with this process at the latest."""
        self.directory.mkdir(parents=True, exist_ok=True)
        with (self.directory / "record.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield self.read()

    def _write(self, record: Record, target: str | None, counter: int) -> Held:
        value = {**record.to_json(), "target": target, "version": counter}
        body = json.dumps(value, indent=1).encode() + b"\n"
        with files.translated(self.path):
            files.replace(self.path, self.directory / "record.aside", body)
        return _parse(body, str(self.path))


def _parse(body: bytes, where: str) -> Held:
    try:
        text = body.decode()
    except UnicodeDecodeError as err:
        raise Corrupt(f"the record at {where} is no text; a person must mend it") from err
    record = records.parse(text, where)
    value: dict[str, Any] = json.loads(text)
    target, counter = value.get("target"), value.get("version")
    if not isinstance(target, str | None) or not isinstance(counter, int):
        raise Corrupt(f"the record at {where} has no proper target and version; a person must mend it")
    # The digest sees what a hand changed without counting on.
    return Held(record, f"{counter}-{hashlib.sha256(body).hexdigest()[:12]}", target)


def _counter(version: str) -> int:
    return int(version.partition("-")[0])


def _changed(deployment: str, now: Held) -> str:
    owner = now.record.owner or "nobody"
    return (
        f"the record of {deployment} was changed since it was read: its phase is {now.record.phase} now and its owner "
        f"{owner}; run it again when they are done"
    )
