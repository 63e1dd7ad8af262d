"""What every adapter of Serving does alike: the fake that the steps are tested with, this machine's, a cluster's.

The cluster here is an API in memory; tests/cluster/suite runs the same tests with a real one.
"""

import fcntl
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import IO, TypeVar

import psutil
import pytest

from steps.clients.kube.api import CLAIM, NODE, WORKFLOW
from steps.clients.kube.serving import KubeServing
from steps.core.fingerprint import Fingerprint, Token
from steps.core.measured import Measured
from steps.core.record import Record
from steps.core.release import Release, Smoke
from steps.core.workload import Where
from steps.errors import BadInput, Conflict, Missing, NoSpace
from steps.ports.serving import Held, Pod, Serving
from tests.stubs.kube import FakeApi
from tests.stubs.kube_cluster import FakeCluster
from tests.stubs.local import Place, a_release, place_at, until
from tests.stubs.scene import FakeClock
from tests.stubs.serving import FakeServing, Manner

T = TypeVar("T")
OWNER, OTHER = "run-1", "run-2"


class Bench(ABC):
    """An adapter, and the hands on the world behind it that its port does not give."""

    serving: Serving

    @abstractmethod
    def release(self, number: int, *, crashes: bool = False) -> Release: ...

    @abstractmethod
    def crash(self, pod: Pod) -> None: ...

    @abstractmethod
    def live(self) -> str:
        """The owner whose run lives."""

    def called(self, owner: str) -> str:
        """The name of that run."""
        return "run-1"

    @abstractmethod
    def leave_no_room(self, release: Release) -> Release: ...

    def until(self, condition: Callable[[], T]) -> T:
        return until(condition)

    def own(self, owner: str | None = OWNER) -> Held:
        held = self.serving.read()
        return self.serving.swap(held, replace(held.record, owner=owner))

    def ready(self, release: Release, count: int = 1) -> tuple[Pod, ...]:
        def look() -> tuple[Pod, ...]:
            pods = self.serving.pods(release.release_id)
            return pods if len(pods) == count and all(p.ready for p in pods) else ()

        return self.until(look)


class FakeBench(Bench):
    def __init__(self) -> None:
        self.fake = FakeServing()
        self.serving = self.fake

    def release(self, number: int, *, crashes: bool = False) -> Release:
        release = a_release(number)
        if crashes:
            self.fake.manners[release.release_id] = Manner(failure="its model server ended", log="ValueError: the stub")
        return release

    def crash(self, pod: Pod) -> None:
        self.fake.crash(pod.release_id)

    def live(self) -> str:
        self.fake.owners.add(OWNER)
        return OWNER

    def leave_no_room(self, release: Release) -> Release:
        self.fake.room = BadInput("the release wants a GPU")
        return release


SHARED = {"accessModes": ["ReadWriteMany"]}


class KubeBench(Bench):
    def __init__(self) -> None:
        self.api = FakeApi(ending=3)
        self.cluster = FakeCluster(self.api)
        self.api.create(CLAIM, {"metadata": {"name": "models"}, "spec": SHARED, "status": {"phase": "Bound"}})
        self.api.create(NODE, {"metadata": {"name": "node-1"}, "spec": {}})
        where = Where(claim="models", volume="/models", image="ours")
        self.serving = KubeServing(self.api, "chat", where, FakeClock())

    def release(self, number: int, *, crashes: bool = False) -> Release:
        release = a_release(number)
        if crashes:
            self.cluster.crashing.add(release.release_id)
        return release

    def crash(self, pod: Pod) -> None:
        self.cluster.crash(pod.uid)

    def live(self) -> str:
        return str(self.api.create(WORKFLOW, {"metadata": {"name": "run-1"}})["metadata"]["uid"])

    def leave_no_room(self, release: Release) -> Release:
        self.api.delete(CLAIM, "models")
        return release


class LocalBench(Bench):
    def __init__(self, place: Place) -> None:
        self.place = place
        self.serving = place.connect()
        self.locks: list[IO[str]] = []

    def release(self, number: int, *, crashes: bool = False) -> Release:
        return self.place.publish(a_release(number), fault="crash-on-start" if crashes else "")

    def crash(self, pod: Pod) -> None:
        pid = int(pod.uid.split("-")[1])
        psutil.Process(pid).kill()
        until(lambda: any(p.failure for p in self.serving.pods(pod.release_id)))

    def live(self) -> str:
        directory = self.place.home / "runs" / OWNER
        directory.mkdir(parents=True)
        lock: IO[str] = (directory / "alive.lock").open("w")
        fcntl.flock(lock, fcntl.LOCK_EX)
        self.locks.append(lock)
        return OWNER

    def leave_no_room(self, release: Release) -> Release:
        self.place.volume.rename(self.place.home / "elsewhere")
        return replace(release, serving=replace(release.serving, device="cuda"))


@pytest.fixture(params=["fake", "kube", "local"])
def bench(request, tmp_path):
    if request.param != "local":
        yield FakeBench() if request.param == "fake" else KubeBench()
        return
    with place_at(tmp_path / "home") as place:
        local = LocalBench(place)
        yield local
        for lock in local.locks:
            lock.close()


@pytest.fixture
def serving(bench):
    return bench.serving


def test_a_new_deployment_has_an_empty_record_and_leads_nowhere(serving):
    held = serving.read()
    assert (held.record, held.target) == (Record(), None)


def test_what_is_swapped_in_is_read_back(serving):
    record = Record(phase="swapping", candidate="a" * 12, owner=OWNER, since=1.5, refused=("b" * 12,))
    assert serving.swap(serving.read(), record) == serving.read()
    assert serving.read().record == record


def test_a_swap_of_what_was_changed_meanwhile_names_phase_and_owner(serving):
    held = serving.read()
    serving.swap(held, Record(phase="testing", owner=OWNER))
    for change in (lambda: serving.swap(held, Record()), lambda: serving.point(held, Record(), "a" * 12)):
        with pytest.raises(Conflict, match=f"testing.*{OWNER}"):
            change()
    assert (serving.read().record.owner, serving.read().target) == (OWNER, None)


def test_of_sixteen_who_take_the_record_one_wins(serving):
    held = serving.read()
    together = threading.Barrier(16)

    def take(number: int) -> bool:
        together.wait()
        try:
            serving.swap(held, Record(owner=f"run-{number}"))
        except Conflict:
            return False
        return True

    with ThreadPoolExecutor(16) as pool:
        won = list(pool.map(take, range(16)))
    assert won.count(True) == 1
    assert serving.read().record.owner == f"run-{won.index(True)}"


def test_record_and_pointer_move_in_one_write_and_a_swap_leaves_the_pointer(bench, serving):
    pointed = serving.point(serving.read(), Record(live="a" * 12), "a" * 12)
    assert (pointed.record.live, pointed.target) == ("a" * 12, "a" * 12)
    swapped = serving.swap(pointed, Record())
    assert swapped.target == "a" * 12
    assert serving.point(swapped, Record(), None).target is None


def test_nothing_is_known_of_an_unknown_release(serving):
    unknown = "a" * 12
    assert serving.release(unknown) is None
    assert serving.replicas(unknown) == 0
    assert serving.pods(unknown) == ()
    assert serving.log_tail(unknown, 5) == ""
    assert serving.device_seen(f"{unknown}.0-1-1") is None
    assert serving.releases() == ()


def test_an_ensured_release_becomes_ready_and_is_remembered_whole(bench, serving):
    bench.own()
    release = bench.release(1)
    serving.ensure(release, 1, OWNER)
    (pod,) = bench.ready(release)
    assert (pod.release_id, pod.failure) == (release.release_id, None)
    assert pod.url is not None
    assert serving.release(release.release_id) == release
    assert serving.replicas(release.release_id) == 1
    assert serving.releases() == (release.release_id,)


def test_what_was_measured_of_a_release_is_kept_with_it_and_goes_with_it(bench, serving):
    bench.own()
    release = bench.release(1)
    serving.ensure(release, 1, OWNER)
    assert serving.measured(release.release_id) is None
    tokens = (Token("Zürich\n", -0.25, (("Zürich\n", -0.25), ("x", -3.5))),)
    first = Measured(at=1.5, tokens_per_second=7.25, fingerprint=Fingerprint(tokens), fingerprinted=1.5)
    serving.remember(release.release_id, first, OWNER)
    assert serving.measured(release.release_id) == first
    second = Measured(at=2.5)
    serving.remember(release.release_id, second, OWNER)
    serving.stop(release.release_id, OWNER)
    serving.ensure(release, 1, OWNER)
    assert serving.measured(release.release_id) == second
    assert serving.release(release.release_id) == release
    serving.remove(release.release_id, OWNER)
    assert serving.measured(release.release_id) is None


def test_nobody_but_the_owner_of_the_record_remembers_and_nothing_is_remembered_of_what_is_not_there(bench, serving):
    bench.own()
    release = bench.release(1)
    serving.ensure(release, 1, OWNER)
    with pytest.raises(Conflict, match=OWNER):
        serving.remember(release.release_id, Measured(at=1.0), OTHER)
    serving.remember("a" * 12, Measured(at=1.0), OWNER)
    assert (serving.measured(release.release_id), serving.measured("a" * 12)) == (None, None)
    assert serving.releases() == (release.release_id,)


def test_where_nobody_else_did_anything_nobody_has_meddled(bench, serving):
    bench.own()
    release = bench.release(1)
    serving.ensure(release, 1, OWNER)
    bench.ready(release)
    serving.remember(release.release_id, Measured(at=1.0), OWNER)
    held = serving.read()
    serving.point(held, replace(held.record, live=release.release_id), release.release_id)
    assert (serving.meddled(release.release_id), serving.meddled(None), serving.meddled("a" * 12)) == ((), (), ())


def test_its_log_tells_the_device_and_how_it_went(bench, serving):
    bench.own()
    release = bench.release(1)
    serving.ensure(release, 1, OWNER)
    (pod,) = bench.ready(release)
    assert serving.device_seen(pod.uid) == "cpu"
    assert serving.log_tail(release.release_id, 1) == "INFO Application startup complete."


def test_ensuring_what_runs_changes_nothing(bench, serving):
    bench.own()
    release = bench.release(1)
    serving.ensure(release, 1, OWNER)
    before = bench.ready(release)
    serving.ensure(release, 1, OWNER)
    assert bench.ready(release) == before


def test_more_and_fewer_replicas_leave_the_others_alone(bench, serving):
    bench.own()
    release = bench.release(1)
    serving.ensure(release, 2, OWNER)
    two = bench.ready(release, 2)
    assert len({p.uid for p in two}) == len({p.url for p in two}) == 2
    serving.ensure(release, 1, OWNER)
    (kept,) = bench.ready(release)
    assert kept in two
    assert serving.replicas(release.release_id) == 1


def test_two_releases_run_side_by_side(bench, serving):
    bench.own()
    one, two = bench.release(1), bench.release(2)
    serving.ensure(one, 1, OWNER)
    serving.ensure(two, 1, OWNER)
    assert bench.ready(one)[0].url != bench.ready(two)[0].url
    assert serving.releases() == tuple(sorted([one.release_id, two.release_id]))


def test_a_release_that_crashes_as_it_starts_says_that_it_ended(bench, serving):
    bench.own()
    release = bench.release(1, crashes=True)
    serving.ensure(release, 1, OWNER)
    (pod,) = bench.until(lambda: [p for p in serving.pods(release.release_id) if p.failure])
    assert not pod.ready
    assert "its model server ended" in pod.failure
    assert serving.log_tail(release.release_id, 1).startswith("ValueError: the stub")


def test_a_replica_that_has_ended_is_started_again_as_another_pod(bench, serving):
    bench.own()
    release = bench.release(1)
    serving.ensure(release, 1, OWNER)
    (before,) = bench.ready(release)
    bench.crash(before)
    (ended,) = serving.pods(release.release_id)
    assert not ended.ready
    assert ended.failure
    serving.ensure(release, 1, OWNER)
    (after,) = bench.ready(release)
    assert after.uid != before.uid


def test_what_a_release_is_brought_in_with_is_remembered_as_it_was_said_last(bench, serving):
    bench.own()
    release = bench.release(1)
    serving.ensure(release, 1, OWNER)
    asked_otherwise = replace(release, smoke=Smoke(expect="Berlin"), replicas=2)
    serving.ensure(asked_otherwise, 1, OWNER)
    assert serving.release(release.release_id) == asked_otherwise


def test_a_stopped_release_has_no_pods_and_is_remembered(bench, serving):
    bench.own()
    release = bench.release(1)
    serving.ensure(release, 1, OWNER)
    bench.ready(release)
    serving.stop(release.release_id, OWNER)
    assert serving.pods(release.release_id) == ()
    assert serving.replicas(release.release_id) == 0
    assert serving.release(release.release_id) == release
    serving.ensure(release, 1, OWNER)
    bench.ready(release)


def test_a_removed_release_is_forgotten(bench, serving):
    bench.own()
    release = bench.release(1)
    serving.ensure(release, 1, OWNER)
    serving.remove(release.release_id, OWNER)
    assert serving.pods(release.release_id) == ()
    assert serving.release(release.release_id) is None
    assert serving.releases() == ()


def test_what_is_prepared_beside_a_release_takes_nothing_from_it_and_is_done_in_the_end(bench, serving):
    bench.own()
    live, candidate = bench.release(1), bench.release(2)
    serving.ensure(live, 1, OWNER)
    before, record = bench.ready(live), serving.read().record

    def done():
        places = serving.prepare(candidate, live.release_id, 60.0, OWNER)
        return places if all(p.done for p in places) else ()

    (place,) = bench.until(done)
    assert place.problem is None
    assert place.said
    assert bench.ready(live) == before
    assert (serving.read().record, serving.pods(candidate.release_id)) == (record, ())
    assert serving.releases() == (live.release_id,)
    serving.unprepare(OWNER)
    serving.unprepare(OWNER)
    serving.ensure(candidate, 1, OWNER)
    bench.ready(candidate)


def test_nobody_has_to_own_the_record_to_prepare(bench, serving):
    bench.own()
    live = bench.release(1)
    serving.ensure(live, 1, OWNER)
    bench.ready(live)
    bench.own(OTHER)
    assert serving.prepare(bench.release(2), live.release_id, 60.0, OWNER)
    serving.unprepare(OWNER)


def test_what_one_run_has_prepared_another_ends_only_with_all_of_it(bench, serving):
    bench.own()
    live = bench.release(1)
    serving.ensure(live, 1, OWNER)
    bench.ready(live)
    candidate = bench.release(2)
    bench.until(lambda: all(p.done for p in serving.prepare(candidate, live.release_id, 60.0, OWNER)))
    serving.unprepare(OTHER)
    assert all(p.done for p in serving.prepare(candidate, live.release_id, 60.0, OTHER))
    serving.unprepare(None)


def test_stopping_and_removing_what_is_not_there_does_nothing(bench, serving):
    bench.own()
    serving.stop("a" * 12, OWNER)
    serving.remove("a" * 12, OWNER)
    assert serving.releases() == ()


@pytest.mark.parametrize("owner", [OTHER, None])
def test_whoever_does_not_own_the_record_can_change_nothing(bench, serving, owner):
    bench.own()
    release = bench.release(1)
    serving.ensure(release, 1, OWNER)
    before = bench.ready(release)
    bench.own(owner)
    for change in (
        lambda: serving.ensure(release, 2, OWNER),
        lambda: serving.ensure(a_release(2), 1, OWNER),
        lambda: serving.stop(release.release_id, OWNER),
        lambda: serving.remove(release.release_id, OWNER),
    ):
        with pytest.raises(Conflict, match=f"{owner or 'nobody'} owns the record.*not {OWNER}"):
            change()
    assert bench.ready(release) == before
    assert serving.replicas(release.release_id) == 1
    assert serving.releases() == (release.release_id,)


def test_what_is_being_rolled_back_is_started_by_no_step_of_the_same_run(bench, serving):
    bench.own()
    candidate, live = bench.release(1), bench.release(2)
    serving.ensure(candidate, 1, OWNER)
    held = serving.read()
    record = Record(phase="rolling-back", owner=OWNER, candidate=candidate.release_id, live=live.release_id)
    serving.swap(held, record)
    serving.stop(candidate.release_id, OWNER)
    with pytest.raises(Conflict, match="is being rolled back"):
        serving.ensure(candidate, 1, OWNER)
    assert serving.pods(candidate.release_id) == ()
    serving.ensure(live, 1, OWNER)
    bench.ready(live)


def test_what_clients_are_brought_back_to_is_stopped_by_no_step_of_the_same_run(bench, serving):
    bench.own()
    live = bench.release(1)
    serving.ensure(live, 1, OWNER)
    before = bench.ready(live)
    record = Record(phase="rolling-back", owner=OWNER, candidate="a" * 12, live=live.release_id, since=1.0)
    serving.swap(serving.read(), record)
    for change in (serving.stop, serving.remove):
        with pytest.raises(Conflict, match="is live and the record rolling-back, so it is not stopped"):
            change(live.release_id, OWNER)
    assert bench.ready(live) == before
    serving.stop(live.release_id, OWNER, anew=True)
    assert serving.pods(live.release_id) == ()


def test_an_owner_is_alive_while_its_run_is(bench, serving):
    owner = bench.live()
    assert serving.owner_alive(owner)
    assert not serving.owner_alive(OTHER)
    assert not serving.owner_alive("../" + owner)


def test_a_run_that_lives_is_called_as_people_stop_it(bench, serving):
    owner = bench.live()
    assert serving.run_of(owner) == bench.called(owner)


def test_a_release_that_could_never_start_here_is_refused_at_once(bench, serving):
    release = bench.release(1)
    serving.check_room(release)
    with pytest.raises((BadInput, Missing, NoSpace), match=r"GPU|gpus|volume"):
        serving.check_room(bench.leave_no_room(release))


def test_who_waits_looks_at_least_every_second(serving):
    assert 0 < serving.poll_seconds <= 1


def test_clients_are_told_one_address_for_ever(bench, serving):
    assert serving.url.startswith("http://")
    bench.own()
    release = bench.release(1)
    before = serving.url
    serving.ensure(release, 1, OWNER)
    serving.point(serving.read(), Record(owner=OWNER), release.release_id)
    assert serving.url == before
