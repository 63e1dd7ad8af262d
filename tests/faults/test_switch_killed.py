"""Kill each step of the switch before and after every call that it makes, then let happen what would happen next.

The steps work through the adapter of clusters on an API in memory, whose controllers, node and pods take their time.
What must hold afterwards is in ``tests.stubs.aftermath``.
"""

from collections.abc import Callable
from itertools import count

import pytest

from steps.clients.kube.api import DEPLOYMENT, SERVICE
from steps.core.release import Release
from steps.errors import Transient
from tests.stubs.aftermath import (
    AFTER_A_RECONCILER,
    AFTER_A_REPAIR,
    CASES,
    NEXT,
    NEXT_OF_THE_BAD,
    OLD,
    WHOEVER_COMES,
    converges,
    look,
    setting,
)
from tests.stubs.exploring import At, Explored, Promotion, Setting, deployed, explore, once_before_each_write
from tests.stubs.kube_scene import KubeScene
from tests.stubs.lost_node import AFTER_A_LOST_NODE, TWO_NODES
from tests.stubs.watched import END

EVERY = pytest.mark.parametrize("new", CASES.values(), ids=list(CASES))
BOTH = pytest.mark.parametrize("new", [CASES["recreate"], CASES["blue-green"]], ids=["recreate", "blue-green"])
FIRST = pytest.mark.parametrize("first", [False, True], ids=["upgrade", "first"])
exhaustive = pytest.mark.exhaustive


def goes(_scene: KubeScene, promotion: Promotion, at: At) -> None:
    promotion.go(at)


def test_a_promotion_that_is_killed_at_some_calls_is_put_right_by_whoever_comes_next(told):
    """The short row of the next one."""
    told(explore(setting(CASES["recreate"]), goes, NEXT, look, stride=5), moments=80, states=4)


@exhaustive
@EVERY
@FIRST
def test_a_promotion_that_is_killed_before_or_after_any_call_is_put_right_by_whoever_comes_next(new, first, told):
    told(explore(setting(new, first=first), goes, NEXT, look), moments=60, states=12)


@exhaustive
@BOTH
def test_a_candidate_whose_node_is_lost_after_any_kill_keeps_clients_waiting_for_nobody(new, told):
    told(explore(setting(new, room=TWO_NODES), goes, AFTER_A_LOST_NODE, look), moments=60, states=12)


@exhaustive
@BOTH
@pytest.mark.parametrize("fault", ["empty-text", "ends"])
def test_a_bad_candidate_gets_no_client_wherever_its_run_or_its_exit_handler_is_killed(new, fault, told):
    def work(_scene: KubeScene, promotion: Promotion, at: At) -> None:
        promotion.whole(at)

    told(explore(setting(new, fault=fault), work, NEXT_OF_THE_BAD, look), moments=60, states=15)


def pointed(make: Callable[[], Setting]) -> Callable[[], Setting]:
    """A run that was killed right after it had moved the pointer."""

    def made() -> Setting:
        scene, promotion = make()

        def at(_call: str) -> None:
            if scene.record.phase == "draining":
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            promotion.go(at)
        return scene, promotion

    return made


def rolls_back(_scene: KubeScene, promotion: Promotion, at: At) -> None:
    promotion.hand(at).rolls_back()


def reconciles(scene: KubeScene, promotion: Promotion, at: At) -> None:
    scene.end(promotion.owner)
    reconciler = scene.hand(at=at)
    try:
        reconciler.reconciles()
    finally:
        scene.end(reconciler.owner)


@exhaustive
@BOTH
@FIRST
def test_a_rollback_that_is_killed_before_or_after_any_call_is_put_right(new, first, told):
    make = deployed(setting(new, first=first), "deploy", "smoke")
    told(explore(make, rolls_back, NEXT, look), moments=20, states=5)


@exhaustive
@BOTH
def test_a_reconciler_that_is_killed_before_or_after_any_call_is_put_right(new, told):
    make = deployed(setting(new), "deploy")
    told(explore(make, reconciles, AFTER_A_RECONCILER, look), moments=20, states=5)


@exhaustive
@BOTH
@FIRST
@pytest.mark.parametrize("work", [rolls_back, reconciles])
def test_who_completes_a_promotion_that_clients_follow_and_is_killed_never_takes_them_back(new, first, work, told):
    def looked(scene: KubeScene, promotion: Promotion) -> None:
        look(scene, promotion)
        assert scene.serves(new)
        assert scene.record.previous == (None if first else OLD.release_id)

    then = WHOEVER_COMES if work is rolls_back else AFTER_A_RECONCILER
    told(explore(pointed(setting(new, first=first)), work, then, looked), moments=5, states=2)


def ended(scene: KubeScene, new: Release) -> None:
    """Each of its servers ends as it starts."""
    scene.spoil(new)
    scene.cluster.lose_pods()
    scene.clock.sleep(1.0)
    scene.clock.sleep(1.0)
    scene.publish(new)


def strayed(scene: KubeScene, _new: Release) -> None:
    """One of its servers says that it serves other weights, so they have to end before they start again."""
    scene.strays.add(scene.reached[0])


@exhaustive
@EVERY
@pytest.mark.parametrize("broken_by", [ended, strayed])
def test_a_repair_that_is_killed_before_or_after_any_call_moves_no_pointer_and_is_done_again(new, broken_by, told):
    def broken() -> Setting:
        scene, promotion = setting(new)()
        promotion.whole()
        broken_by(scene, new)
        return scene, Promotion(scene, new)

    def looked(scene: KubeScene, _promotion: Promotion) -> None:
        assert (scene.target, scene.record.live) == (new.release_id, new.release_id)

    told(explore(broken, goes, AFTER_A_REPAIR, looked), moments=30, states=6)


@exhaustive
@BOTH
def test_a_call_that_fails_or_whose_answer_is_lost_costs_an_attempt_at_most(new, told):
    """Its step is tried again, whether the call has done its work or not."""
    failed = 0
    for nth in count():
        scene, promotion = setting(new)()
        calls = list[str]()

        def at(call: str, nth: int = nth, calls: list[str] = calls) -> None:
            calls.append(call)
            if len(calls) == nth + 1 and call != END:
                raise Transient("the API server is away")

        promotion.go(at)
        if len(calls) <= nth:
            break
        assert scene.serves(new)
        converges(scene, promotion)
        failed += 1
    told(Explored(failed, failed, failed), moments=80, states=80, what="calls that fail, or whose answer is lost,")


class TestOneThatSomebodyElseIsBeside:
    """Each write meets a conflict once, because of a controller or a person who means no harm, and is made anew."""

    @exhaustive
    @BOTH
    def test_is_killed_before_or_after_any_call_and_each_retry_of_it(self, new, told):
        def work(scene: KubeScene, promotion: Promotion, at: At) -> None:
            promotion.go(once_before_each_write(lambda call: touch(scene, call), at))

        calm = explore(setting(new), goes, {}, look)
        explored = explore(setting(new), work, NEXT, look)
        assert explored.moments > calm.moments + 10
        told(explored, moments=90, states=20)

    @exhaustive
    @BOTH
    def test_is_a_rollback_and_killed_before_or_after_any_call_and_each_retry_of_it(self, new, told):
        def work(scene: KubeScene, promotion: Promotion, at: At) -> None:
            promotion.hand(once_before_each_write(lambda call: touch(scene, call), at)).rolls_back()

        told(explore(deployed(setting(new), "deploy"), work, NEXT, look), moments=30, states=8)


def touch(scene: KubeScene, call: str) -> None:
    """Of the object that is about to be written, something that is none of our business."""
    name, numbers = call.rpartition("/")[2], str(scene.api.version)
    kind = SERVICE if "services/" in call else DEPLOYMENT
    if name in scene.cluster.objects(kind):
        scene.api.edit(kind, name, {"metadata": {"annotations": {"somebody": numbers}}}, "somebody")
