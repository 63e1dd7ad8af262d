"""Hubs for tests: our own server for the real client, with faults on demand, and a Hub in memory for unit tests."""

import hashlib
import itertools
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from steps.clients.local.addresses import HOST
from steps.core.manifest import File
from steps.errors import Corrupt, Missing, Transient
from steps.ports.hub import HubFile, Ranges, Tree
from steps.settings import PREFIX, Settings, from_environment
from workflows.local.hub import HubServer, configure, publish
from workflows.local.services.hub_answers import Request, Response, failure
from workflows.local.services.hub_disk import LFS_SUFFIXES

Change = Callable[[Response], Response]


@dataclass
class Fault:
    """Befalls the next ``times`` requests of its kind (see ``Request.kind``) and path; ``hit`` counts them."""

    kind: str
    change: Change
    times: int = 1
    path: str = ""
    hit: int = 0

    def befalls(self, request: Request) -> bool:
        return self.kind == request.kind and self.path in ("", request.path) and self.hit < self.times


@dataclass
class LocalHub:
    """The real thing for a test: a server, what is behind it, and every request it saw."""

    root: Path
    seen: list[Request] = field(default_factory=list)
    endpoint: str = ""
    downloads: str = ""
    over: threading.Event = field(default_factory=threading.Event)
    _faults: list[Fault] = field(default_factory=list)
    _numbers: Iterator[int] = field(default_factory=itertools.count)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __call__(self, request: Request, answer: Response) -> Response:
        with self._lock:
            self.seen.append(request)
            befalling = [f for f in self._faults if f.befalls(request)][:1]
            for fault in befalling:
                fault.hit += 1
        for fault in befalling:
            answer = fault.change(answer)
        return answer

    def inject(self, kind: str, change: Change, *, times: int = 1, path: str = "") -> Fault:
        """Keep what it returns: a test proves with ``hit`` that its fault befell somebody."""
        self._faults.append(Fault(kind, change, times, path))
        return self._faults[-1]

    def count(self, kind: str) -> int:
        return sum(r.kind == kind for r in self.seen)

    def publish(self, model: str, files: Mapping[str, bytes], branch: str = "main") -> str:
        directory = self.root.with_name(f"upload-{next(self._numbers)}")
        for name, body in files.items():
            path = directory / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(body)
        return publish(self.root, model, directory, branch=branch)

    def configure(self, model: str, **keys: object) -> None:
        configure(self.root, model, **keys)

    def environ(self) -> dict[str, str]:
        """What a step's process needs to find it."""
        return {"HF_ENDPOINT": self.endpoint}

    def settings(self, **more: str) -> Settings:
        """``more`` are settings by their names in the environment, without the prefix."""
        return from_environment({**self.environ(), **{PREFIX + name: value for name, value in more.items()}})

    def stalled(self, after: int) -> Change:
        """So many bytes, then none until the test is over."""
        return _with_body(lambda body: itertools.chain(_first(body, after), _nothing(self.over)))


@contextmanager
def local_hub(directory: Path, host: str = HOST, **options: Any) -> Iterator[LocalHub]:
    hub = LocalHub(directory / "root")
    hub.root.mkdir(parents=True)
    with HubServer(hub.root, host=host, faults=hub, **options) as server:
        hub.endpoint, hub.downloads = server.endpoint, server.downloads
        try:
            yield hub
        finally:
            hub.over.set()


def flipped(answer: Response) -> Response:
    """One bit of the first byte."""
    return _with_body(lambda body: (bytes([p[0] ^ 1]) + p[1:] if n == 0 else p for n, p in enumerate(body)))(answer)


def short(length: int) -> Change:
    """The body ends after so many bytes, and with it the connection."""
    return _with_body(lambda body: _first(body, length))


def reset(after: int) -> Change:
    return _with_body(lambda body: itertools.chain(_first(body, after), _broken()))


def whole(answer: Response) -> Response:
    """As from a server that knows no ranges: 200 where 206 was due."""
    return replace(answer, status=200, headers={k: v for k, v in answer.headers.items() if k != "Content-Range"})


def endless(answer: Response) -> Response:
    """More than was asked for, and no word of how much."""
    pieces = itertools.chain(answer.body, itertools.repeat(b"x" * 2**16))
    headers = {k: v for k, v in answer.headers.items() if k != "Content-Length"}
    return replace(answer, headers=headers, body=pieces)


def failing(status: int, code: str = "", message: str = "", **headers: str) -> Change:
    return lambda _answer: failure(status, code, message, **headers)


def too_many(seconds: int) -> Change:
    """As the Hub limits: 429, and when to come back."""
    return failing(429, message="Too Many Requests", RateLimit=f'"api";r=0;t={seconds}')


def _with_body(change: Callable[[Iterable[bytes]], Iterable[bytes]]) -> Change:
    return lambda answer: replace(answer, body=change(answer.body))


def _first(body: Iterable[bytes], length: int) -> Iterator[bytes]:
    for piece in body:
        yield piece[:length]
        length -= len(piece)
        if length <= 0:
            return


def _broken() -> Iterator[bytes]:
    yield from ()
    raise ConnectionResetError


def _nothing(over: threading.Event) -> Iterator[bytes]:
    yield from ()
    over.wait(60)


class FakeHub:
    """``steps.ports.Hub`` in memory. ``down`` makes every call fail as an unreachable Hub does."""

    def __init__(self) -> None:
        self.down = False
        self.lfs_suffixes: tuple[str, ...] = LFS_SUFFIXES
        self.calls: Counter[str] = Counter()
        self._branches: dict[tuple[str, str], str] = {}
        self._files: dict[tuple[str, str], dict[str, bytes]] = {}
        self._closed: dict[str, str] = {}
        self._renamed: dict[str, str] = {}
        self._listed: dict[str, list[HubFile]] = {}
        self._made: dict[str, float] = {}

    def publish(self, model: str, files: Mapping[str, bytes], branch: str = "main") -> str:
        digests = sorted((path, hashlib.sha1(body).hexdigest()) for path, body in files.items())
        commit = hashlib.sha1(repr(digests).encode()).hexdigest()
        self._branches[model, branch] = commit
        self._files[model, commit] = dict(files)
        self._made.setdefault(commit, 1_700_000_000.0 + len(self._made))
        return commit

    def configure(
        self, model: str, *, gated: bool = False, private: bool = False, renamed_to: str | None = None
    ) -> None:
        if gated or private:
            self._closed[model] = "gated" if gated else "private"
        if renamed_to:
            self._renamed[model] = renamed_to

    def list_also(self, model: str, *paths: str) -> None:
        """Names in the tree that no directory could hold."""
        self._listed[model] = [HubFile(path=p, size=1, blob_id="0" * 40, sha256="0" * 64) for p in paths]

    def damage(self, model: str, commit: str, path: str, body: bytes) -> None:
        """The tree goes on to say what it said."""
        self._listed[model] = [f for f in self.tree(model, commit).files if f.path == path]
        self._files[model, commit][path] = body

    def commit(self, model: str, revision: str) -> str:
        self._answer("commit", model)
        commit = revision if (model, revision) in self._files else self._branches.get((model, revision))
        if commit is None:
            known = any(m == model for m, _ in self._files)
            raise Missing(f"{model} has no {revision}" if known else f"{model} does not exist, or is private")
        return commit

    def committed(self, model: str, commit: str) -> float | None:
        self.calls["committed"] += 1
        known = commit in self._made and not self.down and self._closed.get(model) != "private"
        return self._made[commit] if known else None

    def tree(self, model: str, commit: str) -> Tree:
        self._answer("tree", model)
        listed = {f.path: f for f in self._listed.get(model, ())}
        files = [
            self._hub_file(path, body) for path, body in self._content(model, commit).items() if path not in listed
        ]
        return Tree(model=model, commit=commit, files=tuple(sorted([*files, *listed.values()], key=lambda f: f.path)))

    def small_file(self, model: str, commit: str, file: HubFile) -> bytes:
        body = self._read("small_file", model, commit, file.path)
        if _blob_id(body) != file.blob_id:
            raise Corrupt(f"{file.path} of {model} is not what the tree says")
        return body

    def open(self, model: str, commit: str, file: File) -> Ranges:
        return _Bytes(lambda: self._read("open", model, commit, file.path))

    def _answer(self, call: str, model: str) -> None:
        self.calls[call] += 1
        if self.down:
            raise Transient("the Hub cannot be reached")
        if model in self._renamed:
            raise Missing(f"{model} is called {self._renamed[model]} on the Hub")
        if self._closed.get(model) == "private":
            raise Missing(f"{model} does not exist, or is private")

    def _read(self, call: str, model: str, commit: str, path: str) -> bytes:
        self._answer(call, model)
        if model in self._closed:
            raise Missing(f"{model} is gated; accept its terms")
        content = self._content(model, commit)
        if path not in content:
            raise Missing(f"{path} of {model} does not exist")
        return content[path]

    def _hub_file(self, path: str, body: bytes) -> HubFile:
        sha256 = hashlib.sha256(body).hexdigest() if path.endswith(self.lfs_suffixes) else None
        return HubFile(path=path, size=len(body), blob_id=_blob_id(body), sha256=sha256)

    def _content(self, model: str, commit: str) -> dict[str, bytes]:
        if (model, commit) not in self._files:
            raise Missing(f"{model} has no {commit}")
        return self._files[model, commit]


@dataclass
class _Bytes:
    body: Callable[[], bytes]

    def read(self, start: int, end: int) -> bytes:
        return self.body()[start:end]


def _blob_id(body: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(body) + body).hexdigest()
