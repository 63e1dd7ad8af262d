"""A deployment in memory with everything the serving steps touch: releases, pods that answer, a clock, a store."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from steps.core.budget import Patience
from steps.core.manifest import File, Manifest, build
from steps.core.names import Layout
from steps.core.record import Record
from steps.core.release import Document, Release, Serving
from steps.errors import StepError
from steps.filing import Files
from steps.ports.serving import Held
from steps.stage import Stage
from tests.stubs.acts import Acts
from tests.stubs.chat import FakeChat, Model
from tests.stubs.serving import FakeServing
from tests.stubs.store import FakeStore

DEPLOYMENT = "chat"


def make_manifest(mark: str) -> Manifest:
    """``mark`` is a hex digit: other marks, other commits."""
    return build("org/tiny", mark * 40, (File("model.safetensors", 1000, mark * 64),))


def make_release(mark: str, **fields: Any) -> Release:
    manifest = make_manifest(mark)
    serving = Serving(served_name="tiny", image="vllm", device="cpu", gpus=0, args=(), pod="{}")
    return Release(
        deployment=DEPLOYMENT,
        model=manifest.model,
        commit=manifest.commit,
        manifest_sha256=manifest.sha256,
        total_bytes=manifest.total_bytes,
        serving=serving,
        **fields,
    )


class Killed(BaseException):
    """The process is gone: nothing catches it."""


@dataclass
class FakeClock:
    time: float = 10_000.0
    slept: list[float] = field(default_factory=list)

    def now(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.time += seconds


@dataclass
class FakeVolume:
    """``broken`` are commits whose files have another size than their manifest says."""

    manifests: dict[str, Manifest] = field(default_factory=dict)
    broken: set[str] = field(default_factory=set)
    free: int = 10**9
    half: dict[str, dict[str, int]] = field(default_factory=dict)
    """By commit, the sizes of what an attempt has finished."""
    left: dict[str, int] = field(default_factory=dict)
    """By directory, the sizes of what attempts at other commits left."""

    def manifest(self, model: str, commit: str) -> Manifest | None:
        return self.manifests.get(commit)

    def commits(self, model: str) -> list[Manifest]:
        return [m for m in self.manifests.values() if m.model == model]

    def sizes(self, model: str, commit: str) -> dict[str, int]:
        manifest = self.manifests.get(commit)
        return {f.path: f.size - (commit in self.broken) for f in manifest.files} if manifest else {}

    def staged(self, model: str, commit: str) -> dict[str, int]:
        return self.half.get(commit, {})

    def leftovers(self, model: str, commit: str) -> dict[str, int]:
        return self.left

    def free_bytes(self) -> int:
        return self.free


@dataclass
class Scene(Acts):
    """``faults`` of the stub model server by release id."""

    serving: FakeServing = field(default_factory=FakeServing)
    clock: FakeClock = field(default_factory=FakeClock)
    store: FakeStore = field(default_factory=FakeStore)
    volume: FakeVolume = field(default_factory=FakeVolume)
    faults: dict[str, str] = field(default_factory=dict)
    layout: Layout = field(default_factory=lambda: Layout("p"))
    shifts: dict[str, float] = field(default_factory=dict)
    """Nats by which a release's tokens have become less likely, by release id."""
    late: list[str] = field(default_factory=list)
    """Addresses to which the endpoint leads whoever asks next, before it follows the pointer."""
    no_store: StepError | None = None
    """Why the store cannot even be asked."""

    def __post_init__(self) -> None:
        self.chat = FakeChat(self._at)
        self.stage = Stage(
            deployment=DEPLOYMENT,
            serving=self.serving,
            chat=self.chat,
            clock=self.clock,
            patience=Patience(request=10.0, startup=None, retry_base=1.0),
            volume=Path("/models"),
            files=Files(
                store=self._documents,
                layout=self.layout,
                run="run",
                redact=lambda text: text.replace("hush", "[secret]"),
            ),
        )

    def _at(self, url: str) -> Model | None:
        if url == self.serving.url:
            url = self.late.pop(0) if self.late else self.serving.entry
        release_id = url.removeprefix("http://").partition("-")[0]
        release = self.serving.release(release_id)
        if release is None or not any(p.url == url and p.failure is None for p in self.serving._pods[release_id]):
            return None
        fault = self.faults.get(release_id, "")
        if fault == "crash-on-request" and self.chat.asked[-1:] == [url]:
            self.serving.crash(release_id, "ended with exit code 139")
        return Model(
            served_name=release.serving.served_name,
            root=self.stage.root(release),
            fault=fault,
            shift=self.shifts.get(release_id, 0.0),
        )

    @property
    def record(self) -> Record:
        return self.serving.held.record

    def publish(self, *releases: Release) -> None:
        """As resolve and populate would have done."""
        for release in releases:
            document = Document(release=release, manifest=make_manifest(release.commit[0]))
            key = self.layout.release(DEPLOYMENT, release.release_id)
            self.store.objects[key] = document.dump()
            self.volume.manifests[release.commit] = document.manifest

    def live(self, release: Release, **record: Any) -> None:
        """As an earlier run left it."""
        self.publish(release)
        self.serving.held = Held(Record(owner="earlier"), "0", release.release_id)
        self.serving.ensure(release, release.replicas, "earlier")
        self.serving.pods(release.release_id)
        self.serving.held = Held(Record(live=release.release_id, **record), "1", release.release_id)
        self.serving.calls.clear()

    def with_record(self, **fields: Any) -> None:
        """Somebody else writes the record."""
        held = self.serving.held
        self.serving.held = Held(replace(held.record, **fields), str(int(held.version) + 1), held.target)

    @contextmanager
    def _at_work(self, owner: str) -> Iterator[None]:
        self.serving.acting = owner
        try:
            yield
        finally:
            self.serving.acting = ""

    def serves(self, release: Release) -> bool:
        """Whether clients find it: the pointer is there, every pod runs and answers, and nothing else runs."""
        pods = self.serving._pods.get(release.release_id, [])
        others = [p for r, ps in self.serving._pods.items() if r != release.release_id for p in ps]
        answers = all(p.url and self.chat.models(p.url) for p in pods)
        return (
            self.serving.held.target == release.release_id and len(pods) == release.replicas and answers and not others
        )

    def _documents(self) -> FakeStore:
        if self.no_store is not None:
            raise self.no_store
        return self.store
