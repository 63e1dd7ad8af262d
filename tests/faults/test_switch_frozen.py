"""A run that is paused or cut off ahead of any of its calls, and wakes up when another has taken over, changes nothing.

Once the takeover is over, all objects of the deployment are compared with what they are when the older run has ended.
"""

from collections.abc import Callable, Iterable, Iterator
from itertools import count

import pytest

from steps.clients.kube.api import DEPLOYMENT, JOB, POD, SERVICE, Json
from tests.stubs.actor import Actor
from tests.stubs.aftermath import CASES, THIRD, setting
from tests.stubs.exploring import At, Explored, Promotion, Setting, deployed
from tests.stubs.kube_scene import KubeScene
from tests.stubs.scene import Killed
from tests.stubs.watched import END, is_write

BOTH = pytest.mark.parametrize("new", [CASES["recreate"], CASES["blue-green"]], ids=["recreate", "blue-green"])
QUIET_SECONDS = 10
MOMENTS = "moments of an older run that wakes up after a takeover"
Work = Callable[[KubeScene, Promotion, At], object]
Takeover = Callable[[KubeScene, Promotion], object]


class Frozen:
    """Whoever has woken up ends with its step: nobody starts the next one of a run that is no more."""

    def __init__(self, make: Callable[[], Setting], work: Work) -> None:
        self.scene, self.promotion = make()
        self.woken = False
        self.actor = Actor("the older run", lambda at: work(self.scene, self.promotion, self._ends_with_its_step(at)))

    def _ends_with_its_step(self, at: At) -> At:
        def moment(call: str) -> None:
            at(call)
            if self.woken and call == END:
                raise Killed

        return moment

    def objects(self) -> dict[str, Json]:
        kinds = (SERVICE, DEPLOYMENT, POD, JOB)
        return {f"{k.plural}/{name}": body for k in kinds for name, body in self.scene.cluster.objects(k).items()}


def moments(make: Callable[[], Setting], work: Work, stride: int) -> Iterator[Frozen]:
    """Ahead of each call once the run owns the record, and ahead of the write by which it would."""
    for nth in count(step=stride):
        frozen = Frozen(make, work)
        frozen.actor.advance(nth + 1)
        if frozen.actor.over:
            return
        if frozen.scene.record.phase != "idle" or is_write(frozen.actor.call):
            yield frozen


def nothing_changes(make: Callable[[], Setting], work: Work, takeover: Takeover, stride: int = 1) -> Explored:
    number = 0
    for frozen in moments(make, work, stride):
        where = f"frozen ahead of `{frozen.actor.call}`"
        held = frozen.scene.record
        takeover(frozen.scene, frozen.promotion)
        if frozen.scene.record == held:  # it had nothing yet that could be taken over
            continue
        for _ in range(QUIET_SECONDS):
            frozen.scene.clock.sleep(1.0)
        frozen.woken, before = True, frozen.objects()
        frozen.actor.finish()
        after = frozen.objects()
        ended = {name.removeprefix("jobs/") for name in before.keys() - after.keys() if name.startswith("jobs/")}
        changed = {
            name
            for name in before.keys() | after.keys()
            if before.get(name) != after.get(name) and not is_of_a_preparation(name, ended)
        }
        assert not changed, f"{where}, it changed {changed} of {set(before)}; {frozen.scene.told}"
        number += 1
    return Explored(number, number, number)


def is_of_a_preparation(name: str, ended: Iterable[str]) -> bool:
    """Who goes back ends what was read ahead, by whomever: it costs the other time, if it waits still, and no more."""
    return any(name == f"jobs/{job}" or name.startswith(f"pods/{job}-") for job in ended)


def goes(_scene: KubeScene, promotion: Promotion, at: At) -> None:
    promotion.go(at)


def deploys(_scene: KubeScene, promotion: Promotion, at: At) -> None:
    hand = promotion.hand(at)
    promotion._checksum(hand)
    promotion._deploy(hand)


def rolls_back(_scene: KubeScene, promotion: Promotion, at: At) -> None:
    promotion.hand(at).rolls_back()


def reconciles(scene: KubeScene, promotion: Promotion, at: At) -> None:
    scene.end(promotion.owner)
    promotion.owner = scene.hand().owner
    scene.hand(promotion.owner, at).reconciles()


def a_reconciler(scene: KubeScene, promotion: Promotion) -> None:
    scene.end(promotion.owner)
    scene.hand().reconciles()


def a_new_promotion(scene: KubeScene, promotion: Promotion) -> None:
    scene.end(promotion.owner)
    Promotion(scene, THIRD).whole()


def the_same_promotion_of_another_run(scene: KubeScene, promotion: Promotion) -> None:
    scene.end(promotion.owner)
    Promotion(scene, promotion.release).whole()


def a_reconciler_as_it_is_late(scene: KubeScene, promotion: Promotion) -> None:
    """It lives; others have waited for as long as it had asked for."""
    scene.clock.sleep(max((scene.record.deadline or 0.0) - scene.clock.now(), 0.0) + 1)
    scene.hand().reconciles()


def its_exit_handler(_scene: KubeScene, promotion: Promotion) -> None:
    """Stop, while a step does not hear of it; then the run is over."""
    promotion.exits()


TAKEOVERS = pytest.mark.parametrize(
    "takeover",
    [a_reconciler, a_new_promotion, the_same_promotion_of_another_run, its_exit_handler],
    ids=lambda takeover: takeover.__name__,
)


@pytest.mark.parametrize("takeover", [a_reconciler, a_new_promotion])
def test_a_promotion_that_wakes_up_at_some_calls_changes_nothing(takeover, told):
    """The short row of the next one."""
    told(nothing_changes(setting(CASES["recreate"]), goes, takeover, stride=7), moments=10, states=10, what=MOMENTS)


@pytest.mark.exhaustive
@BOTH
@TAKEOVERS
def test_a_promotion_that_wakes_up_after_a_takeover_changes_nothing(new, takeover, told):
    told(nothing_changes(setting(new), goes, takeover), moments=60, states=60, what=MOMENTS)


@pytest.mark.exhaustive
@pytest.mark.parametrize("takeover", [a_reconciler, a_new_promotion])
def test_a_first_promotion_that_wakes_up_after_a_takeover_changes_nothing(takeover, told):
    told(nothing_changes(setting(CASES["recreate"], first=True), goes, takeover), moments=40, states=40, what=MOMENTS)


@pytest.mark.exhaustive
@BOTH
@TAKEOVERS
def test_a_rollback_that_wakes_up_after_a_takeover_changes_nothing(new, takeover, told):
    make = deployed(setting(new), "deploy", "smoke")
    told(nothing_changes(make, rolls_back, takeover), moments=30, states=30, what=MOMENTS)


@pytest.mark.exhaustive
@BOTH
@pytest.mark.parametrize("takeover", [a_reconciler, a_new_promotion])
def test_a_reconciler_that_wakes_up_after_a_takeover_changes_nothing(new, takeover, told):
    make = deployed(setting(new), "deploy", "smoke")
    told(nothing_changes(make, reconciles, takeover), moments=30, states=30, what=MOMENTS)


@pytest.mark.exhaustive
@BOTH
@pytest.mark.parametrize("work", [deploys, rolls_back])
def test_a_step_of_a_living_run_that_was_taken_for_dead_as_it_is_late_changes_nothing(new, work, told):
    make = setting(new) if work is deploys else deployed(setting(new), "deploy")
    told(nothing_changes(make, work, a_reconciler_as_it_is_late), moments=20, states=20, what=MOMENTS)
