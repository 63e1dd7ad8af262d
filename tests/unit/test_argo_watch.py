from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from steps.errors import BadInput, Missing, Transient
from tests.stubs.recorded import workflow as recorded
from tests.stubs.scene import FakeClock
from workflows.argo.patience import OutOfSight
from workflows.argo.watch import Watch

RUNNING, OVER = recorded("stop-stopping"), recorded("stop")


def at(workflow: dict[str, Any], version: int) -> dict[str, Any]:
    return {**workflow, "metadata": {**workflow["metadata"], "resourceVersion": str(version)}}


@dataclass
class Scripted:
    """An ``Access`` that answers each question with the next of its answers; an error among them is raised."""

    clock: FakeClock
    looks: list[Any]
    watches: list[list[Any]] = field(default_factory=list)
    stops: list[Any] = field(default_factory=list)
    asked: list[tuple[str, float]] = field(default_factory=list)
    """Version and seconds of each watch."""
    stopped: int = 0
    """How often that was asked for."""
    namespace: str = "models"

    def get(self, name: str) -> Any:
        return _next(self.looks)

    def watch(self, name: str, version: str, seconds: float) -> Iterator[Any]:
        self.asked.append((version, seconds))
        if not self.watches:
            self.clock.time += seconds
            return
        for answer in self.watches.pop(0):
            yield _raised(answer)

    def stop(self, name: str) -> None:
        self.stopped += 1
        _next(self.stops)

    def terminate(self, name: str) -> None: ...

    def submit(self, workflow: Any) -> Any: ...

    def retry(self, name: str) -> Any: ...


def _next(answers: list[Any]) -> Any:
    return _raised(answers.pop(0) if len(answers) > 1 else answers[0])


def _raised(answer: Any) -> Any:
    if isinstance(answer, Exception):
        raise answer
    return answer


@pytest.fixture
def watching() -> Callable[..., tuple[Watch, Scripted, list[str]]]:
    def make(*looks, watches=(), stops=(None,)):
        clock, notes = FakeClock(), list[str]()
        access = Scripted(clock, list(looks), list(watches), list(stops))
        return Watch(access, "stop-lgkmq", clock, notes.append), access, notes

    return make


def phases(watch: Watch, deadline: float | None = None) -> list[str]:
    return [run.phase for run in watch.states(deadline)]


def test_a_run_that_is_over_is_told_once(watching):
    watch, access, notes = watching(at(OVER, 1))
    assert (phases(watch), access.asked, notes) == (["Failed"], [], [])


def test_each_change_is_told_until_the_last(watching):
    watch, access, _ = watching(at(RUNNING, 7), watches=[[at(RUNNING, 8), at(OVER, 9)]])
    assert phases(watch) == ["Running", "Running", "Failed"]
    assert access.asked == [("7", 30.0)]


def test_a_watch_that_ends_is_begun_again_from_the_present(watching):
    cut: list[list[Any]] = [[at(RUNNING, 8)], [Transient("cut")], [Missing("no right to watch")]]
    watch, access, notes = watching(at(RUNNING, 7), at(RUNNING, 20), at(RUNNING, 30), at(OVER, 40), watches=cut)
    assert phases(watch) == ["Running", "Running", "Running", "Running", "Failed"]
    assert [version for version, _ in access.asked] == ["7", "20", "30"]
    assert notes == []
    assert watch.clock.slept == [1.0, 1.0, 1.0]


def test_a_server_that_is_away_is_told_of_once_and_waited_for(watching):
    away = Transient("the API server does not answer")
    watch, _, notes = watching(at(RUNNING, 7), away, away, away, at(OVER, 9))
    assert phases(watch) == ["Running", "Failed"]
    assert notes == [
        "out of sight: the API server does not answer; the run itself goes on, looking for it again",
        "in sight again",
    ]


def test_a_server_that_stays_away_for_minutes_is_given_up(watching):
    watch, _, notes = watching(at(RUNNING, 7), Transient("away"))
    with pytest.raises(OutOfSight, match="away"):
        phases(watch)
    assert 600 < sum(watch.clock.slept) < 620
    assert max(watch.clock.slept) == 15.0
    assert len(notes) == 1


def test_at_its_deadline_the_watch_is_over_and_the_run_is_not(watching):
    watch, access, _ = watching(at(RUNNING, 7))
    assert phases(watch, watch.clock.now() + 70) == ["Running"] * 3
    assert [seconds for _, seconds in access.asked] == [30.0, 30.0, 8.0]


def test_a_run_that_is_deleted_meanwhile_ended_without_its_exit_handler(watching):
    watch, _, _ = watching(at(RUNNING, 7), None, watches=[[Missing("deleted")]])
    *_, last = watch.states()
    assert (last.phase, "its exit handler did not run" in last.message) == ("Error", True)
    assert last.finished == watch.clock.now()


def test_a_run_that_was_never_there_is_missing(watching):
    with pytest.raises(Missing, match="no run stop-lgkmq in namespace models"):
        phases(watching(None)[0])


@pytest.mark.parametrize("err", [Missing("renew the login"), BadInput("a login page, renew the login")])
def test_a_login_that_ends_puts_the_run_out_of_sight_at_once(watching, err):
    watch, *_ = watching(at(RUNNING, 7), err)
    seen = watch.states()
    assert next(seen).phase == "Running"
    with pytest.raises(OutOfSight, match="renew the login"):
        list(seen)
    assert watch.clock.slept == [1.0]


@pytest.mark.parametrize("status", [{"offloadNodeStatusVersion": "1"}, {"compressedNodes": "rubbish"}])
def test_a_run_whose_nodes_cannot_be_read_is_out_of_sight(watching, status):
    watch, *_ = watching({**at(RUNNING, 7), "status": {"phase": "Running", **status}})
    with pytest.raises(OutOfSight):
        phases(watch)


def test_stopping_waits_for_a_server_that_is_away(watching):
    watch, _, notes = watching(at(RUNNING, 7), stops=[Transient("away"), None])
    watch.stop()
    assert [note.partition(":")[0] for note in notes] == ["out of sight", "in sight again"]
    refused, *_ = watching(at(RUNNING, 7), stops=[BadInput("no")])
    with pytest.raises(OutOfSight, match="no"):  # it goes on
        refused.stop()


@pytest.mark.parametrize("gone_by", [at(OVER, 9), None])
def test_a_run_that_ends_while_it_is_being_stopped_needs_no_stopping(watching, gone_by):
    completed = Transient("argo-server answered 500 (cannot shutdown a completed workflow)")
    watch, access, _ = watching(at(RUNNING, 7), gone_by, stops=[completed])
    watch.stop()
    assert (access.stopped, watch.clock.slept) == (1, [1.0])


def test_a_run_that_was_seen_and_is_deleted_while_it_is_being_stopped_ended_without_its_exit_handler(watching):
    watch, *_ = watching(at(RUNNING, 7), None)
    [last] = watch.states(last=next(watch.states()))
    assert (last.phase, "was deleted" in last.message) == ("Error", True)
