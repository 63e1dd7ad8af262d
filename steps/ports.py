"""What the steps see of the outside. Adapters are in ``steps.clients``; fakes pass the same contract tests as they do.

Every method may raise Transient. What else it raises is said with it.
"""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from io import FileIO
from typing import Protocol

from steps.core.manifest import File, Manifest
from steps.core.record import Record
from steps.core.release import Release, Smoke
from steps.core.run import Run


class Clock(Protocol):
    """Time, so that tests need not wait."""

    def now(self) -> float:
        """Seconds since the epoch: deadlines are compared between processes."""
        ...

    def sleep(self, seconds: float) -> None: ...


@dataclass(frozen=True, kw_only=True, slots=True)
class HubFile:
    """A file in the Hub's tree. ``sha256`` is known for LFS and Xet files, ``blob_id`` (git's sha1) for the others."""

    path: str
    size: int
    blob_id: str
    sha256: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Tree:
    """A model at one commit, as the Hub lists it."""

    model: str
    commit: str
    files: tuple[HubFile, ...]


class Ranges(Protocol):
    """A file that is read by ranges, from several threads."""

    def read(self, start: int, end: int) -> bytes:
        """Bytes ``start`` to ``end``, ``end`` excluded; never fewer."""
        ...


class Hub(Protocol):
    """Where models come from."""

    def commit(self, model: str, revision: str) -> str:
        """The commit that a branch or tag is at now. Raises Missing: gated, unknown, private, renamed, no revision."""
        ...

    def tree(self, model: str, commit: str) -> Tree:
        """Raises Missing."""
        ...

    def small_file(self, model: str, commit: str, file: HubFile) -> bytes:
        """A whole file that is not in LFS, checked against its blob id. Raises Missing, Corrupt."""
        ...

    def open(self, model: str, commit: str, file: File) -> Ranges:
        """Raises Missing."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Object:
    """``sha256`` is what the writer said of the content, None where it said nothing."""

    size: int
    sha256: str | None


class Upload(Protocol):
    """An object in the making. Leaving the context without ``complete`` leaves nothing in the store."""

    def part(self, number: int, body: bytes) -> None:
        """Parts count from 1 and may be sent in any order, from several threads."""
        ...

    def complete(self) -> None:
        """From here on the object is there, whole."""
        ...


class Store(Protocol):
    """Documents and bulk bytes under keys. Raises Missing without rights or bucket, NoSpace when it is full."""

    def check_writable(self) -> None:
        """Leaves nothing behind. Raises Missing: no such bucket, or a key that may only read."""
        ...

    def get(self, key: str) -> bytes | None:
        """A small document, None where there is none."""
        ...

    def put(self, key: str, body: bytes) -> None:
        """Replaces what is there."""
        ...

    def create(self, key: str, body: bytes) -> bool:
        """Write where nothing is yet; False, and no change, where something is."""
        ...

    def list(self, prefix: str) -> Mapping[str, int]:
        """Size by key, in the order of the keys."""
        ...

    def stat(self, key: str) -> Object | None: ...

    def upload(self, key: str, size: int, sha256: str) -> AbstractContextManager[Upload]:
        """``complete`` ends every other unfinished upload to this key; whose upload was ended so meets Conflict."""
        ...

    def read(self, key: str, start: int, end: int) -> Iterable[bytes]:
        """Bytes ``start`` to ``end``, ``end`` excluded, in pieces. Raises Corrupt when the object is gone or short."""
        ...

    def delete(self, key: str) -> None: ...


class Volume(Protocol):
    """Published model directories, each written once and never again."""

    def manifest(self, model: str, commit: str) -> Manifest | None:
        """Of a published directory; None where it is not published. Raises Corrupt."""
        ...

    def sizes(self, model: str, commit: str) -> Mapping[str, int]:
        """Of the files in a published directory, by path, nothing read; empty where it is not published."""
        ...

    def staged(self, model: str, commit: str) -> Mapping[str, int]:
        """Sizes by path of the files that attempts at it have finished, not proved; what populate will take over."""
        ...

    def leftovers(self, model: str, commit: str) -> Mapping[str, int]:
        """Bytes by directory of what attempts at other commits have left; each is swept when its own is published."""
        ...

    def free_bytes(self) -> int: ...


class ReadableVolume(Volume, Protocol):
    """As ``checksum`` sees it."""

    def entries(self, model: str, commit: str) -> Mapping[str, int | None]:
        """As ``sizes``, with None for what is no regular file: links, which are never followed, among them."""
        ...

    def open(self, model: str, commit: str, path: str) -> AbstractContextManager[FileIO]:
        """A published file, read from the disk or its server and not from a cache. Raises Missing without rights."""
        ...


class Draft(Protocol):
    """A file in the making. Leaving the context without ``keep`` leaves nothing of it."""

    def write(self, offset: int, pieces: Sequence[bytes]) -> None:
        """The pieces, one after the other, from there on; in any order, from several threads. Raises NoSpace."""
        ...

    def keep(self) -> None:
        """From here on the file is finished, and on the disk. Raises NoSpace."""
        ...


class Staging(Protocol):
    """A directory in the making. Any method may raise Conflict: somebody else has published the same by now."""

    def adopt(self, file: File) -> bool:
        """Take over a finished file of an earlier attempt, its content proved; False where there is none."""
        ...

    def write(self, file: File) -> AbstractContextManager[Draft]: ...

    def publish(self) -> None:
        """From here on the directory is there, whole."""
        ...


class WritableVolume(Volume, Protocol):
    """As ``populate`` sees it."""

    def stage(self, manifest: Manifest) -> AbstractContextManager[Staging]:
        """Raises Missing when the volume is not there or not writable, before a byte is written."""
        ...

    def sweep(self, model: str, commit: str) -> None:
        """Remove what attempts at a published commit have left; one that still runs meets Conflict."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Pod:
    """One replica of a release. ``failure`` is why it never will be ready and what it said last; None while it may."""

    uid: str
    release_id: str
    url: str | None
    """``http://HOST:PORT``; None until it has an address."""
    ready: bool
    failure: str | None = None
    waiting: str | None = None
    """What it waits for, in words, while that is known."""


@dataclass(frozen=True, slots=True)
class Held:
    """A record as it was read: ``version`` makes the next write conditional, ``target`` is where clients go."""

    record: Record
    version: str
    target: str | None


class Serving(Protocol):
    """One deployment: its releases, its record, and the pointer that clients follow."""

    @property
    def url(self) -> str:
        """Where clients find it."""
        ...

    def read(self) -> Held:
        """A deployment that was never promoted has an empty record. Raises Conflict when the name is not ours.

        Changes no record; the local endpoint, where it was killed, is brought back by whoever looks.
        """
        ...

    def swap(self, held: Held, record: Record) -> Held:
        """Write the record if it still is what was read. Raises Conflict otherwise."""
        ...

    def point(self, held: Held, record: Record, target: str | None) -> Held:
        """As ``swap``, and move the pointer to release ``target`` in the same write."""
        ...

    def release(self, release_id: str) -> Release | None:
        """As it was given to ``ensure``; kept while the record names it, so that a rollback needs no store."""
        ...

    def ensure(self, release: Release, replicas: int, owner: str) -> None:
        """Have so many replicas of it run; returns at once. Raises Conflict unless the record shows this owner.

        What runs already is left alone; a replica that has ended is started again.
        """
        ...

    def stop(self, release_id: str, owner: str) -> None:
        """Scale to zero and wait until its pods are gone; what it logged is kept. Raises Conflict like ``ensure``."""
        ...

    def remove(self, release_id: str, owner: str) -> None:
        """``stop``, then forget it."""
        ...

    def replicas(self, release_id: str) -> int:
        """Wanted replicas now, 0 for a release that is stopped or unknown."""
        ...

    def pods(self, release_id: str) -> tuple[Pod, ...]: ...

    def releases(self) -> tuple[str, ...]:
        """Ids of all that exist here, running or not."""
        ...

    def log_tail(self, release_id: str, lines: int) -> str: ...

    def device_seen(self, uid: str) -> str | None:
        """``cuda`` or ``cpu`` as this pod's own log tells; None where it does not, or where there is no such pod."""
        ...

    def owner_alive(self, owner: str) -> bool:
        """Whether the run that owns the work in flight, or a pod of it, still exists."""
        ...

    def check_room(self, release: Release) -> None:
        """Raises BadInput, Missing, NoSpace: what would keep a pod of this release from ever starting."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """What a pod answered to a chat completion. ``text`` includes reasoning content."""

    status: int
    text: str
    finish_reason: str | None
    tokens: int
    first_token_seconds: float | None
    seconds: float
    done: bool
    """The stream ended in ``[DONE]``; for a plain answer, the body was whole."""
    problem: str | None = None
    """In words, when there was no proper answer: timeout, cut, too long, not JSON."""
    answered: bool = True
    """False when nothing can be concluded: the connection was refused, or the server said that it is not ready."""
    pieces: int = 0
    """In which the text came, one for a plain answer: of a text that came all at once no speed can be told."""


class Chat(Protocol):
    """One pod's OpenAI API. Never raises for what the pod does: that is the finding."""

    def healthy(self, url: str) -> bool: ...

    def models(self, url: str) -> Mapping[str, str | None]:
        """``root`` by served name; empty when there is no proper answer."""
        ...

    def complete(self, url: str, served_name: str, smoke: Smoke) -> Answer: ...

    def stream(self, url: str, served_name: str, smoke: Smoke) -> Answer: ...


class Journal(Protocol):
    """What the engine knows of a run: for the report, which is a step of that run."""

    def run(self, name: str) -> Run | None:
        """None where the engine no longer has it."""
        ...
