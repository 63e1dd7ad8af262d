"""What may come after a killed step of a promotion whose candidate's node is lost at that moment, too."""

from collections.abc import Mapping

from tests.stubs.aftermath import THIRD, converges
from tests.stubs.exploring import Next, Promotion
from tests.stubs.kube_scene import KubeScene
from tests.stubs.living import GRACE_SECONDS

A_START = 5
"""Seconds, of a model server in this cluster."""
TWO_NODES = {"one": 1, "two": 1}
"""By name, the model servers that have room on each."""


def after_its_node_is_lost(go_on: Next) -> Next:
    """The candidate's: whoever comes has clients served without it, and forgets no pod that lingers there."""

    def then(scene: KubeScene, promotion: Promotion) -> None:
        for pod in scene.cluster.pods(promotion.release.release_id):
            scene.cluster.lose_node(pod["spec"]["nodeName"])
        go_on(scene, promotion)
        for _ in range(A_START):  # where clients followed it already, of another pod of it
            scene.clock.sleep(1.0)
        record = scene.record
        assert (record.phase, record.candidate) == ("idle", None)
        assert scene.serves(scene.known[str(record.live)]), "clients wait for a node that is lost"
        assert scene.running <= set(scene.workloads), "a pod may run that nobody names"
        for node in (*scene.cluster.lost,):
            scene.cluster.node_is_back(node)
        scene.clock.sleep(1.0)
        scene.clock.sleep(GRACE_SECONDS)
        converges(scene, promotion)

    return then


def it_goes_back(_scene: KubeScene, promotion: Promotion) -> None:
    promotion.hand().rolls_back()


def it_is_reconciled(scene: KubeScene, promotion: Promotion) -> None:
    scene.end(promotion.owner)
    scene.hand().reconciles()


def it_is_retried(_scene: KubeScene, promotion: Promotion) -> None:
    """Beside what serves there is no room any more: then it goes back."""
    promotion.whole()


def another_is_promoted(scene: KubeScene, promotion: Promotion) -> None:
    """It makes no room while a pod of what serves lingers, and goes back then."""
    scene.end(promotion.owner)
    Promotion(scene, THIRD).whole()


AFTER_A_LOST_NODE: Mapping[str, Next] = {
    "its node is lost, and its exit handler": after_its_node_is_lost(it_goes_back),
    "its node is lost, and the reconciler": after_its_node_is_lost(it_is_reconciled),
    "its node is lost, and its retry": after_its_node_is_lost(it_is_retried),
    "its node is lost, and a new promotion": after_its_node_is_lost(another_is_promoted),
}
