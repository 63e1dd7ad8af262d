"""What may come after a killed step of a promotion, and what must hold then.

Exactly one of the previous and the new release serves, alone, the record says which, nothing is in flight, nothing is
left lying about but a candidate at rest for a retry, and a further run converges and takes that away as well.
"""

from collections.abc import Callable, Mapping

from steps.clients.kube.api import JOB
from steps.core.release import Release
from tests.stubs.exploring import Next, Promotion, Setting
from tests.stubs.kube_scene import KubeScene, twice, weights
from tests.stubs.scene import make_release

OLD, THIRD = make_release("1"), make_release("3")
CASES = {
    "recreate": make_release("2"),
    "blue-green": make_release("2", strategy="blue-green"),
    "two replicas": twice(make_release("2")),
}


def setting(
    new: Release, *, first: bool = False, fault: str = "", room: Mapping[str, int] | None = None
) -> Callable[[], Setting]:
    """A run that is about to begin; ``fault`` is the candidate's, ``ends`` for one whose server ends as it starts."""

    def make() -> Setting:
        scene = KubeScene()
        scene.cluster.room = dict(room or scene.cluster.room)
        scene.publish(new, OLD, THIRD)
        if not first:
            scene.live(OLD)
        if fault == "ends":
            scene.unloadable.add(weights(new))
        elif fault:
            scene.faults[new.release_id] = fault
        return scene, Promotion(scene, new)

    return make


def look(scene: KubeScene, promotion: Promotion) -> None:
    """At any moment whatever: clients are sent where the record says, and what is named is there."""
    record = scene.record
    assert scene.target == record.live
    assert {r for r in (record.live, record.previous) if r} <= set(scene.workloads)
    if promotion.release.strategy == "blue-green" and record.live:
        assert scene.serves(scene.known[record.live]), "beside it the old release serves until the new one does"


def settled(scene: KubeScene, promotion: Promotion) -> None:
    record, new = scene.record, promotion.release
    assert (record.phase, record.owner, record.candidate) == ("idle", None, None)
    assert scene.target == record.live
    assert [r.release_id for r in (OLD, new, THIRD) if scene.serves(r)] == ([record.live] if record.live else [])
    assert scene.running == ({record.live} if record.live else set())
    left = set(scene.workloads) - {record.live, record.previous}
    assert left <= ({new.release_id} if record.live else set())
    assert not any(scene.workloads[r] for r in left)


def converges(scene: KubeScene, promotion: Promotion) -> None:
    """Whatever was left, a further run goes through; and so does one after that, which has nothing to do."""
    settled(scene, promotion)
    scene.end(promotion.owner)
    before = scene.record.live
    wanted = THIRD if before != THIRD.release_id else OLD
    for _ in range(2):
        Promotion(scene, wanted).whole()
        settled(scene, promotion)
        assert (scene.record.live, scene.record.previous) == (wanted.release_id, before)
        assert set(scene.workloads) == {wanted.release_id, before} - {None}
        assert not scene.cluster.objects(JOB), "what made a node ready is there still"


def refused(scene: KubeScene, promotion: Promotion) -> None:
    """A bad candidate gets no client whatever comes next, and is not tried again by itself."""
    assert scene.record.live != promotion.release.release_id
    assert promotion.release.release_id in scene.record.refused


def its_retry(scene: KubeScene, promotion: Promotion) -> None:
    promotion.go()
    assert scene.serves(promotion.release)
    assert promotion.hand().rolls_back() == "nothing"
    converges(scene, promotion)


def its_exit_handler(scene: KubeScene, promotion: Promotion) -> None:
    promotion.hand().rolls_back()
    converges(scene, promotion)


def its_exit_handler_and_a_retry(scene: KubeScene, promotion: Promotion) -> None:
    """Stop, then Retry in the UI: the same run, from the step that was killed."""
    promotion.hand().rolls_back()
    settled(scene, promotion)
    its_retry(scene, promotion)


def the_reconciler(scene: KubeScene, promotion: Promotion) -> None:
    scene.end(promotion.owner)
    scene.hand().reconciles()
    converges(scene, promotion)


def the_reconciler_once_it_is_late(scene: KubeScene, promotion: Promotion) -> None:
    """Its run lives, as far as anybody can see, and does nothing."""
    if (deadline := scene.record.deadline) is not None:
        scene.clock.sleep(deadline - scene.clock.now() + 1)
    scene.hand().reconciles()
    converges(scene, promotion)


def a_new_promotion(scene: KubeScene, promotion: Promotion) -> None:
    scene.end(promotion.owner)
    Promotion(scene, THIRD).go()
    assert scene.serves(THIRD)
    converges(scene, promotion)


def the_same_submitted_again(scene: KubeScene, promotion: Promotion) -> None:
    scene.end(promotion.owner)
    Promotion(scene, promotion.release).go()
    assert scene.serves(promotion.release)
    converges(scene, promotion)


WHOEVER_COMES: Mapping[str, Next] = {
    "its exit handler": its_exit_handler,
    "the reconciler": the_reconciler,
    "the reconciler, once it is late": the_reconciler_once_it_is_late,
    "a new promotion": a_new_promotion,
    "the same promotion, submitted again": the_same_submitted_again,
}
NEXT: Mapping[str, Next] = {
    **WHOEVER_COMES,
    "its retry": its_retry,
    "its exit handler, and a retry": its_exit_handler_and_a_retry,
}


def its_retry_and_exit_handler(scene: KubeScene, promotion: Promotion) -> None:
    """Of a bad candidate."""
    promotion.whole()
    refused(scene, promotion)
    converges(scene, promotion)


def the_reconciler_and_the_same_again(scene: KubeScene, promotion: Promotion) -> None:
    """A bad candidate whose run was killed before it knew is tried once more, and is no better."""
    scene.end(promotion.owner)
    scene.hand().reconciles()
    settled(scene, promotion)
    again = Promotion(scene, promotion.release)
    again.whole()
    refused(scene, promotion)
    converges(scene, promotion)


NEXT_OF_THE_BAD: Mapping[str, Next] = {
    "its retry and exit handler": its_retry_and_exit_handler,
    "the reconciler, and the same again": the_reconciler_and_the_same_again,
    "a new promotion": a_new_promotion,
}


def its_exit_handler_and_the_reconciler(scene: KubeScene, promotion: Promotion) -> None:
    """What a reconciler has taken over is the run's no longer."""
    promotion.hand().rolls_back()
    the_reconciler(scene, promotion)


AFTER_A_RECONCILER: Mapping[str, Next] = {
    **{name: go_on for name, go_on in WHOEVER_COMES.items() if go_on is not its_exit_handler},
    "the exit handler, and another reconciler": its_exit_handler_and_the_reconciler,
}


def left_running(scene: KubeScene, promotion: Promotion) -> None:
    """Of a repair: what is live is wanted before anybody promotes anything, whether or not it then comes up."""
    assert (scene.record.phase, scene.record.live) == ("idle", promotion.release.release_id)
    assert scene.workloads[promotion.release.release_id] >= promotion.release.replicas


def its_exit_handler_and_the_same_again(scene: KubeScene, promotion: Promotion) -> None:
    """Of a repair: the proof that it is whole again is a promotion of what is live."""
    promotion.hand().rolls_back()
    left_running(scene, promotion)
    the_same_submitted_again(scene, promotion)


def the_reconciler_and_the_repair_again(scene: KubeScene, promotion: Promotion) -> None:
    scene.end(promotion.owner)
    scene.hand().reconciles()
    left_running(scene, promotion)
    the_same_submitted_again(scene, promotion)


def a_promotion_of_another(scene: KubeScene, promotion: Promotion) -> None:
    wanted = list[int]()

    def at(_call: str) -> None:
        if scene.record.phase == "swapping":
            wanted.append(scene.workloads[promotion.release.release_id])

    scene.end(promotion.owner)
    Promotion(scene, THIRD).go(at)
    assert wanted[0] >= promotion.release.replicas, "what is live is not wanted when the next promotion begins"
    converges(scene, promotion)


AFTER_A_REPAIR: Mapping[str, Next] = {
    "its retry": its_retry,
    "its exit handler, and the same again": its_exit_handler_and_the_same_again,
    "the reconciler, and the same again": the_reconciler_and_the_repair_again,
    "a promotion of another": a_promotion_of_another,
}
