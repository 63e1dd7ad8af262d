"""Rows 44 to 48 for mirror with the volume at hand: a kill or an error at every call that it makes to the file system.

After each: what is published is whole, what serves is untouched, debris lies in .staging alone. After an error the
store is complete all the same, and one line says why the volume is left to populate; then populate, or after a kill
mirror and populate, make it whole.
"""

import shutil
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from steps import entry
from steps.clients.volume import Directory
from steps.contracts import MIRROR, MirrorInputs, MirrorOutputs
from steps.mirror import mirror
from steps.settings import PREFIX, Settings
from tests.faults import attempt, strace, volume_state
from tests.faults.attempt import MODEL
from tests.faults.strace import Call, Traced, said, traced
from tests.faults.test_populate_calls import CHANGES, READS_OR_CHANGES, TAKES_ROOM
from tests.stubs.hub import FakeHub
from tests.stubs.store import FakeStore

pytestmark = [pytest.mark.exhaustive, pytest.mark.timeout(300)]

NOT_MIRRORED = 99
LEFT = "the volume is left to populate: "


@dataclass
class Bench:
    """A volume that is as new for each run, a store that has the release and what serves, a Hub that has it all."""

    directory: Path
    hub: FakeHub = field(default_factory=FakeHub)

    def __post_init__(self) -> None:
        self.hub._files[MODEL.model, MODEL.commit] = dict(MODEL.content)
        self.pristine = attempt.volume(self.directory / "pristine", attempt.store())
        self.volume = self.directory / "volume"

    def run(self, inject: str = "") -> Traced:
        for used in (self.volume, self.directory / "outputs"):
            shutil.rmtree(used, ignore_errors=True)
        shutil.copytree(self.pristine, self.volume)
        return traced(self.step, self.directory / "calls", inject=inject)

    def step(self) -> int:
        """As the step's process does it, on one thread; the store dies with it, so it is looked at here."""
        store = FakeStore()
        MODEL.resolve_into(store)

        def body(inputs: MirrorInputs, _settings: Settings) -> MirrorOutputs:
            return self.mirror(inputs, store)

        argv = [f"--deployment={MODEL.deployment}", f"--release-id={MODEL.release_id}"]
        places = {"TERMINATION_LOG": self.directory / "message", "OUTPUT_DIR": self.directory / "outputs"}
        with attempt.one_thread():
            code = entry.run_step(MIRROR, body, argv, {PREFIX + name: str(path) for name, path in places.items()})
        whole = all(store.objects.get(MODEL.key(path)) == content for path, content in MODEL.content.items())
        return code if whole and store.get(MODEL.manifest_key) == MODEL.manifest.dump() else NOT_MIRRORED

    def mirror(self, inputs: MirrorInputs, store: FakeStore) -> MirrorOutputs:
        return mirror(inputs, self.hub, store, MODEL.layout, volume=Directory(self.volume))

    def calls(self, names: set[str] | None = None) -> tuple[Call, ...]:
        """Of a run to which nothing happens; it publishes. Which name of a directory comes first is left to chance."""
        first, second = self.run(), self.run()
        calls = first.touching(self.volume)
        assert (first.code, self.is_published()) == (0, True), self.explain()
        assert Counter(c.name for c in calls) == Counter(c.name for c in second.touching(self.volume))
        assert len(calls) > 50
        return tuple(c for c in calls if names is None or c.name in names)

    def failing(self, error: str, calls: Iterable[Call]) -> Iterator[tuple[Call, Traced]]:
        return strace.failing(self.run, error, calls, self.volume)

    def is_published(self) -> bool:
        return volume_state.published(self.volume, MODEL).exists()

    def check(self) -> None:
        volume_state.check(self.volume)
        attempt.check_old(self.volume)

    def check_and_finish(self, *, mirrored: bool) -> None:
        """After a kill what was in the store is gone with it."""
        self.check()
        if not mirrored:
            store = FakeStore()
            MODEL.resolve_into(store)
            self.mirror(MirrorInputs(deployment=MODEL.deployment, release_id=MODEL.release_id), store)
            self.check()
        attempt.run(attempt.store(), self.volume)
        self.check()
        assert volume_state.content(volume_state.published(self.volume, MODEL)) == MODEL.content
        assert volume_state.debris(self.volume) == ["model.safetensors"]

    def told(self) -> list[str]:
        return [line for line in said(self.directory / "calls").splitlines() if LEFT in line]

    def explain(self, call: Call | None = None) -> str:
        return f"{call}\n{said(self.directory / 'calls')}"


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_mirror_that_is_killed_before_any_call_leaves_whole_directories_and_is_done_by_the_next(bench: Bench):
    for _ in strace.killed(bench.run, bench.calls(CHANGES)):
        bench.check_and_finish(mirrored=False)


@pytest.mark.parametrize(
    ("error", "names"),
    [("EIO", READS_OR_CHANGES), ("ESTALE", None), ("ENOSPC", TAKES_ROOM), ("EDQUOT", TAKES_ROOM), ("EROFS", CHANGES)],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_volume_that_fails_at_any_call_costs_the_store_nothing(bench: Bench, error: str, names: set[str] | None):
    """Once a call for a published directory has failed nobody knows whether it is there: it is looked at again."""
    given_up = 0
    for call, seen in bench.failing(error, bench.calls(names)):
        assert seen.code == 0, bench.explain(call)
        assert len(bench.told()) <= 1, bench.explain(call)
        assert bench.told() or bench.is_published() or call.name == "linkat", bench.explain(call)
        given_up += bool(bench.told())
        bench.check_and_finish(mirrored=True)
    assert given_up > 10
