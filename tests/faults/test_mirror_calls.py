"""Row 30: mirror with a kill or an error at every call by which it speaks to the Hub and to the store.

After each: the manifest is there only with all that it names, and no object is anything but its file; then a run
succeeds, no unfinished upload is left, and nothing is stored twice.
"""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import huggingface_hub
import pytest

from steps import mirror
from steps.clients import hub as hubs
from steps.clients import store as stores
from steps.contracts import MIRROR, MirrorInputs, MirrorOutputs
from steps.core import parts
from steps.entry import run_step
from steps.settings import PREFIX, Settings
from tests.faults import attempt
from tests.faults.strace import Call, Traced, said, traced
from tests.stubs.hub import LocalHub
from tests.stubs.released import Released
from tests.stubs.s3 import S3, clear, unfinished
from tests.stubs.weights import safetensors

pytestmark = [pytest.mark.exhaustive, pytest.mark.timeout(300)]

PART = 5 * parts.MiB
"""No store takes less."""
CONTENT = {"config.json": b"{}", "model.safetensors": safetensors({"w": bytes(PART)})}
"""A small object, and one of two parts."""
ZEROS = r'"\0\0\0\0'
"""Which strace shows of the middle of its body."""
SPEAKS = ("connect", "sendto", "sendmsg")
LISTENS = ("recvfrom", "recvmsg")
WRITES = ("openat", "write", "rename")


@dataclass
class Bench:
    """A bucket that is empty for each run, apart from the release."""

    directory: Path
    hub: LocalHub
    s3: S3

    def __post_init__(self) -> None:
        self.model = Released(CONTENT, commit=self.hub.publish("org/stub", CONTENT))
        self.store = stores.connect(self.s3.settings())
        huggingface_hub.close_session()
        stall = {"STALL_SECONDS": "2"}  # what waits for an answer to what was never sent waits so long
        self.clients = hubs.connect(self.hub.settings(**stall)), stores.connect(self.s3.settings(**stall))
        """Never used here, so that no run inherits a connection."""
        self.message = self.directory / "message"
        self.outputs = self.directory / "outputs"
        self.progress = self.directory / "progress"

    def run(self, calls: tuple[str, ...] = SPEAKS, inject: str = "", *, afresh: bool = True) -> Traced:
        self.message.unlink(missing_ok=True)
        if afresh:
            clear(self.s3)
            shutil.rmtree(self.outputs, ignore_errors=True)
            self.model.resolve_into(self.store)
        return traced(self.step, self.directory / "calls", ",".join(calls), inject)

    def step(self) -> int:
        """As the step's process does it, on one thread."""

        def body(inputs: MirrorInputs, settings: Settings) -> MirrorOutputs:
            return mirror.mirror(inputs, *self.clients, self.model.layout, settings.progress_file)

        argv = [f"--deployment={self.model.deployment}", f"--release-id={self.model.release_id}"]
        environ = {
            PREFIX + "TERMINATION_LOG": str(self.message),
            PREFIX + "OUTPUT_DIR": str(self.outputs),
            "ARGO_PROGRESS_FILE": str(self.progress),
        }
        with attempt.one_thread(), mock.patch.object(parts, "PREFERRED", PART):
            return run_step(MIRROR, body, argv, environ)

    def calls(self, names: tuple[str, ...]) -> tuple[Call, ...]:
        """Of a run to which nothing happens, and of those that move the middle of a large body a few."""
        undisturbed = self.run(names)
        assert undisturbed.code == 0, said(self.directory / "calls")
        return tuple(c for c in undisturbed.calls if ZEROS not in c.text or c.number % 10 == 0)

    def is_mirrored(self) -> bool:
        """Whether the store calls it a model. Whatever it calls it, no object is anything but its file."""
        manifest = self.store.get(self.model.manifest_key)
        assert manifest in (None, self.model.manifest.dump())
        for path, body in CONTENT.items():
            there = self.store.stat(self.model.key(path)) is not None
            assert there or manifest is None
            assert not there or b"".join(self.store.read(self.model.key(path), 0, len(body))) == body
        return manifest is not None

    def check_and_finish(self) -> None:
        self.is_mirrored()
        assert self.run(afresh=False).code == 0, said(self.directory / "calls")
        assert self.is_mirrored()
        assert unfinished(self.s3) == []
        release = self.model.layout.release(self.model.deployment, self.model.release_id)
        assert set(self.store.list("")) == {*map(self.model.key, CONTENT), self.model.manifest_key, release}


@pytest.fixture
def bench(tmp_path: Path, hub: LocalHub, s3: S3) -> Bench:
    return Bench(tmp_path, hub, s3)


def test_mirror_that_is_killed_before_it_says_anything_at_all_is_finished_by_the_next(bench: Bench):
    calls = bench.calls(SPEAKS)
    reached, left_an_upload = 0, 0
    for call in calls:
        seen = bench.run(SPEAKS, call.deadly())
        assert seen.killed or seen.code == 0
        reached += seen.killed
        left_an_upload += unfinished(bench.s3) != []
        bench.check_and_finish()
    assert reached >= len(calls) - 2 > 15, "clients do not connect as often each time"
    assert left_an_upload >= 3


@pytest.mark.parametrize(
    ("error", "names"),
    [("ECONNRESET", SPEAKS), ("ECONNRESET", LISTENS), ("EIO", LISTENS)],
    ids=["reset when it speaks", "reset when it listens", "EIO when it listens"],
)
def test_a_network_that_fails_at_any_call_costs_at_most_the_attempt(bench: Bench, error: str, names: tuple[str, ...]):
    for call, seen in failing(bench, error, names):
        assert seen.code in (0, 75), f"{call}\n{said(bench.directory / 'calls')}"
        assert bench.is_mirrored() or seen.code == 75
        if seen.code:
            assert bench.message.read_text().startswith("Transient: ")
    bench.check_and_finish()


def failing(bench: Bench, error: str, names: tuple[str, ...]) -> Iterator[tuple[Call, Traced]]:
    """A run for each call: this one fails, and no other. Of an answer the first one: how many follow is by chance.

    So some calls of a run are not made in the next one; three quarters and more are.
    """
    calls = [c for c in bench.calls(names) if names is SPEAKS or '"HTTP/1.1' in c.text]
    hits = 0
    for call in calls:
        seen = bench.run(names, call.failing(error))
        hits += [c.name for c in seen.injected] == [call.name]
        yield call, seen
    assert len(calls) > 17
    assert hits >= len(calls) * 3 // 4


@pytest.mark.parametrize("error", ["ENOSPC", "EDQUOT", "EIO"])
@pytest.mark.parametrize(("what", "code"), [("progress", 0), ("outputs", 75)])
def test_a_disk_that_takes_no_word_of_it_undoes_nothing(bench: Bench, error: str, what: str, code: int):
    """Progress is a courtesy; outputs are not, and the next attempt's pod has another disk."""
    place = getattr(bench, what)
    calls = [c for c in bench.run(WRITES).touching(place) if "O_RDONLY" not in c.text]
    assert calls
    for call in calls:
        seen = bench.run(WRITES, call.failing(error))
        assert [c.name for c in seen.injected] == [call.name]
        assert str(place) in seen.injected[0].text
        assert seen.code == code, said(bench.directory / "calls")
        assert bench.is_mirrored()
        assert not code or "what it has to tell cannot be written to" in bench.message.read_text()
    bench.check_and_finish()
