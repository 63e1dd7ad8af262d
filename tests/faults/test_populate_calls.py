"""Rows 44 to 48: populate, and the deletions that it does, with a kill or an error at every call to the file system.

After each: what is published is whole, what serves is untouched, debris lies in .staging alone; then a run succeeds and
all of that is true again.
"""

import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.faults import attempt, strace, volume_state
from tests.faults.attempt import MODEL
from tests.faults.strace import Call, Traced, said, traced
from tests.stubs.store import FakeStore

pytestmark = [pytest.mark.exhaustive, pytest.mark.timeout(300)]

FULL = ("ENOSPC", "EDQUOT")
AWAY = ("EIO", "ESTALE")
IN_USE = ("EBUSY", "ENOTEMPTY")
"""What NFS says of a file, or of its directory, that somebody on the same client has open."""
CHANGES = {"openat", "mkdir", "pwrite64", "write", "fsync", "rename", "linkat", "unlink", "unlinkat", "rmdir"}
"""A kill between two of these leaves what a kill before the second one does."""
READS_OR_CHANGES = CHANGES | {"read", "close", "getdents64"}
TAKES_ROOM = {"openat", "mkdir", "pwrite64", "write", "fsync", "close", "rename", "linkat"}
DELETES = {"rename", "unlink", "unlinkat", "rmdir"}
REACHES_THE_DISK = {"pwrite64", "write", "fsync"}
"""Whose failure is never passed over."""
SAYS = {75: "the volume's server may be away for a while", 15: "make room on the volume or raise its quota"}
OTHERS = {f"{MODEL.commit}.dead", f"{'1' * 40}.other"}
"""Attempts that were there before."""


@dataclass
class Bench:
    """A volume that is as new for each run. ``store`` is what populate reads."""

    directory: Path
    store: FakeStore

    def __post_init__(self) -> None:
        self.pristine = attempt.volume(self.directory / "pristine", attempt.store())
        self.volume = self.directory / "volume"
        self.message = self.directory / "message"

    def run(self, inject: str = "") -> Traced:
        for used in (self.volume, self.directory / "outputs"):
            shutil.rmtree(used, ignore_errors=True)
        self.message.unlink(missing_ok=True)
        shutil.copytree(self.pristine, self.volume)
        work = lambda: attempt.step(self.store, self.volume, self.message)  # noqa: E731  # of this volume
        return traced(work, self.directory / "calls", inject=inject)

    def calls(self, names: set[str] | None = None) -> tuple[Call, ...]:
        """Of a run to which nothing happens; it makes the same ones each time."""
        first, second = self.run(), self.run()
        calls = first.touching(self.volume)
        assert [(c.name, c.number) for c in calls] == [(c.name, c.number) for c in second.touching(self.volume)]
        assert first.injected == ()
        assert len(calls) > 50
        return tuple(c for c in calls if names is None or c.name in names)

    def failing(self, error: str, calls: Iterable[Call]) -> Iterator[tuple[Call, Traced]]:
        return strace.failing(self.run, error, calls, self.volume)

    def killed(self) -> Iterator[Call]:
        """A run for each call that changes something: it ends just before."""
        for call, seen in strace.killed(self.run, self.calls(CHANGES)):
            assert seen.touching(self.volume)[-1].number == call.number
            yield call

    def check(self) -> None:
        volume_state.check(self.volume)
        attempt.check_old(self.volume)

    def check_and_finish(self) -> None:
        """What is, what the next run makes of it, and that no more than another commit's attempt is left then."""
        self.check()
        attempt.run(attempt.store(), self.volume)
        self.check()
        assert volume_state.content(volume_state.published(self.volume, MODEL)) == MODEL.content
        assert volume_state.debris(self.volume) == ["model.safetensors"]

    def explain(self, call: Call) -> str:
        return f"{call}\n{said(self.directory / 'calls')}"

    def attempts(self) -> set[str]:
        return {p.name for p in (self.volume / ".staging" / "org--stub").iterdir()}


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path, attempt.store())


def test_populate_that_is_killed_before_any_call_leaves_whole_directories_and_is_done_by_the_next(bench: Bench):
    for _ in bench.killed():
        bench.check_and_finish()


@pytest.mark.parametrize(("error", "names"), [("EIO", READS_OR_CHANGES), ("ESTALE", None)], ids=AWAY)
def test_a_volume_that_goes_away_at_any_call_is_transient_and_no_half_is_published(bench: Bench, error: str, names):
    for call, seen in bench.failing(error, bench.calls(names)):
        expect(bench, call, seen, {0, 75})
        bench.check_and_finish()


@pytest.mark.parametrize("error", FULL)
def test_a_volume_that_is_full_at_any_call_is_told_and_gets_its_space_back(bench: Bench, error: str):
    for call, seen in bench.failing(error, bench.calls(TAKES_ROOM)):
        expect(bench, call, seen, {0, 15})
        if seen.code == 15:
            assert bench.attempts() <= OTHERS, bench.explain(call)
        bench.check_and_finish()


@pytest.mark.parametrize("error", [*AWAY, *IN_USE])
def test_debris_that_cannot_be_deleted_now_hinders_nobody_and_goes_with_the_next_run(bench: Bench, error: str):
    """The model is published already: all that this run does is to look, and to delete."""
    attempt.run(bench.store, bench.pristine)
    shutil.copytree(
        bench.pristine / "org--stub" / MODEL.commit, bench.pristine / ".staging" / "org--stub" / f"{MODEL.commit}.dead"
    )
    before = volume_state.stamp(bench.pristine / "org--stub" / MODEL.commit)
    for call, seen in bench.failing(error, bench.calls(DELETES if error in IN_USE else None)):
        expect(bench, call, seen, {0} if call.name in DELETES else {0, 75})
        bench.check_and_finish()
    assert volume_state.stamp(bench.pristine / "org--stub" / MODEL.commit) == before


def test_whoever_is_killed_while_it_deletes_is_finished_by_the_next(bench: Bench):
    attempt.run(bench.store, bench.pristine)
    shutil.copytree(
        bench.pristine / "org--stub" / MODEL.commit, bench.pristine / ".staging" / "org--stub" / f"{MODEL.commit}.dead"
    )
    for _ in bench.killed():
        bench.check_and_finish()


@pytest.mark.parametrize("error", AWAY)
def test_an_attempt_that_fails_and_cannot_give_its_space_back_still_says_why_it_failed(bench: Bench, error: str):
    bench.store.objects[MODEL.key("model.safetensors")] = MODEL.content["model.safetensors"][::-1]
    calls = bench.calls()
    begin = next(n for n, call in enumerate(calls) if ".swept-" in call.text)
    for call, seen in bench.failing(error, calls[begin:]):
        assert seen.code == 13, bench.explain(call)
        assert "Corrupt: model.safetensors has sha256" in bench.message.read_text()
        bench.check()
        assert not volume_state.published(bench.volume, MODEL).exists()
        bench.check_and_finish()


def expect(bench: Bench, call: Call, seen: Traced, codes: set[int]) -> None:
    assert seen.code in codes, bench.explain(call)
    if seen.code:
        assert SAYS[seen.code] in bench.message.read_text()
    else:
        is_deleted = "swept" in call.text or f"{MODEL.commit}.dead" in call.text
        assert call.name not in REACHES_THE_DISK or is_deleted, bench.explain(call)
        assert volume_state.published(bench.volume, MODEL).exists()
