"""Kill each step before and after every change it makes, then let happen what would happen next.

Whatever is killed: afterwards exactly one of the previous and the new release serves, alone, the record says which,
nothing is in flight, and the next promotion goes through.
"""

from collections.abc import Callable, Iterator
from itertools import count

import pytest

from steps.errors import Failed, StepError, Transient
from tests.stubs.scene import Killed, Scene, make_release

OLD, NEXT = make_release("1"), make_release("3")
STRATEGIES = ("recreate", "blue-green")
Work = Callable[[Scene], object]


def scene_of(strategy: str, *, first: bool) -> Scene:
    scene = Scene()
    scene.serving.owners.add("run")
    scene.publish(new(strategy), NEXT)
    if not first:
        scene.live(OLD)
    return scene


def new(strategy: str):
    return make_release("2", strategy=strategy)


def interrupted(make: Callable[[], Scene], work: Work, error: BaseException) -> Iterator[Scene]:
    """A scene for each moment at which ``work`` may be hit by ``error``; it ends when a run met no such moment."""
    for nth in count():
        scene = make()
        moments = count()

        def hit(_moment: str, nth: int = nth, moments: Iterator[int] = moments) -> None:
            if next(moments) == nth:
                raise error

        scene.serving.disturb = hit
        try:
            work(scene)
        except type(error):
            pass
        else:
            assert nth > 2, "nothing was hit"
            return
        scene.serving.disturb = lambda _moment: None
        yield scene


def check(scene: Scene, *candidates, first: bool) -> None:
    record = scene.record
    assert (record.phase, record.owner, record.candidate) == ("idle", None, None)
    if first and record.live is None:
        assert scene.serving.releases() == ()
        assert scene.serving.held.target is None
    else:
        assert [c.release_id for c in candidates if scene.serves(c)] == [record.live]
    named = {record.live, record.previous}
    assert {r for r in named if r} <= set(scene.serving.releases())


def goes_on(scene: Scene) -> None:
    """The next promotion goes through, and leaves nothing lying about."""
    before = scene.record.live
    scene.run(NEXT, "next")
    assert scene.serves(NEXT)
    assert scene.record.previous == before
    assert set(scene.serving.releases()) == {r for r in (NEXT.release_id, before) if r}


@pytest.mark.parametrize("first", [False, True])
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_the_exit_handler_repairs_what_a_killed_run_left(strategy, first):
    for scene in interrupted(lambda: scene_of(strategy, first=first), lambda s: s.run(new(strategy)), Killed()):
        scene.rollback()
        check(scene, OLD, new(strategy), first=first)
        goes_on(scene)


@pytest.mark.parametrize("first", [False, True])
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_the_same_run_goes_on_where_it_was_killed(strategy, first):
    for scene in interrupted(lambda: scene_of(strategy, first=first), lambda s: s.run(new(strategy)), Killed()):
        scene.run(new(strategy))
        assert scene.serves(new(strategy))
        check(scene, new(strategy), first=first)
        goes_on(scene)


@pytest.mark.parametrize("first", [False, True])
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_another_run_repairs_what_a_dead_one_left(strategy, first):
    for scene in interrupted(lambda: scene_of(strategy, first=first), lambda s: s.run(new(strategy)), Killed()):
        scene.serving.owners.clear()
        goes_on_after_the_dead(scene)


def goes_on_after_the_dead(scene: Scene) -> None:
    scene.run(NEXT, "next")
    assert scene.serves(NEXT)
    assert (scene.record.phase, scene.record.live) == ("idle", NEXT.release_id)


@pytest.mark.parametrize("first", [False, True])
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_killed_rollback_is_finished_by_the_next(strategy, first):
    def deployed() -> Scene:
        scene = scene_of(strategy, first=first)
        scene.deploy(new(strategy))
        return scene

    for scene in interrupted(deployed, lambda s: s.rollback(), Killed()):
        scene.rollback()
        check(scene, OLD, first=first)
        goes_on(scene)
    for scene in interrupted(deployed, lambda s: s.rollback(), Killed()):
        scene.serving.owners.clear()
        goes_on_after_the_dead(scene)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_rollback_gets_through_whatever_lets_it_down_once(strategy):
    for nth in range(30):
        scene = scene_of(strategy, first=False)
        scene.deploy(new(strategy))
        moments = count()

        def hit(_moment: str, nth: int = nth, moments: Iterator[int] = moments) -> None:
            if next(moments) == nth:
                raise Transient("away")

        scene.serving.disturb = hit
        scene.rollback()
        check(scene, OLD, first=False)


@pytest.mark.parametrize("first", [False, True])
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_step_that_is_let_down_is_repaired_by_its_retry(strategy, first):
    error = Transient("away")
    for scene in interrupted(lambda: scene_of(strategy, first=first), lambda s: s.run(new(strategy)), error):
        scene.run(new(strategy))
        assert scene.serves(new(strategy))
        check(scene, new(strategy), first=first)


@pytest.mark.parametrize("fault", ["empty-text", "crash-on-request"])
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_bad_candidate_never_gets_clients_wherever_its_run_is_killed(strategy, fault):
    def bad() -> Scene:
        scene = scene_of(strategy, first=False)
        scene.faults[new(strategy).release_id] = fault
        return scene

    def run(scene: Scene) -> None:
        with pytest.raises(Failed):
            scene.run(new(strategy))

    for scene in interrupted(bad, run, Killed()):
        with pytest.raises(StepError):
            scene.run(new(strategy))
        scene.rollback()
        check(scene, OLD, first=False)
        assert scene.record.refused == (new(strategy).release_id,)
        goes_on(scene)


def test_a_killed_repair_leaves_the_pointer_and_is_done_again():
    def broken() -> Scene:
        scene = scene_of("recreate", first=False)
        scene.serving.crash(OLD.release_id)
        return scene

    for scene in interrupted(broken, lambda s: s.run(OLD), Killed()):
        assert scene.serving.held.target == OLD.release_id
        scene.rollback()
        scene.run(OLD, "next")
        check(scene, OLD, first=False)
