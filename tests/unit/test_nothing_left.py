"""A rollback by hand where somebody has deleted what served: nothing serves, so there is nothing to lose by it."""

from contextlib import suppress

import pytest

from steps.clients.kube.api import DEPLOYMENT as WORKLOAD
from steps.contracts import PromoteInputs
from steps.core.record import Record
from steps.errors import Corrupt, Failed, RollbackFailed
from steps.promote import promote
from tests.stubs.exploring import Promotion, explore
from tests.stubs.kube_scene import KubeScene
from tests.stubs.scene import Scene, make_release

OLD, NEW, THIRD = (make_release(mark) for mark in "123")


@pytest.fixture
def scene():
    """NEW was promoted over OLD, and then somebody deleted it."""
    scene = Scene()
    scene.serving.owners |= {"run", "by-hand", "again"}
    scene.publish(NEW, THIRD)
    scene.live(OLD)
    scene.run(NEW)
    scene.serving.delete(NEW.release_id)
    return scene


def test_it_is_begun_with_a_warning_and_the_record_says_that_there_is_nothing_to_restore(scene, caplog):
    scene.deploy(OLD, "by-hand")
    assert (scene.record.phase, scene.record.live, scene.record.replicas) == ("testing", NEW.release_id, 0)
    assert f"its live release {NEW.release_id} is started, and nothing of it is left" in caplog.text


def test_a_promotion_is_not_begun_for_it_has_no_way_back(scene):
    with pytest.raises(Corrupt, match="refusing: no verified rollback target"):
        scene.deploy(THIRD, "by-hand", proved_commit=NEW.commit)


def test_neither_is_a_rollback_by_hand_while_pods_of_it_serve_on(scene):
    scene.serving._pods[NEW.release_id] = [scene.serving._start(NEW.release_id)]
    with pytest.raises(Corrupt, match="refusing: no verified rollback target"):
        scene.deploy(OLD, "by-hand")


def test_clients_have_the_earlier_release_again_and_are_told_that_there_is_no_way_back(scene):
    scene.deploy(OLD, "by-hand")
    proof = scene.smoke(OLD, "by-hand").proof
    inputs = PromoteInputs(
        deployment="chat", release_id=OLD.release_id, run="r", owner="by-hand", proof=proof, refuse_previous=True
    )
    with scene._at_work("by-hand"):
        said = promote(inputs, scene.stage, OLD).noticed
    assert scene.serves(OLD)
    assert scene.record == Record(live=OLD.release_id, previous=NEW.release_id, refused=(NEW.release_id,), replicas=0)
    assert said.startswith(f"release {NEW.release_id}, which served before, was deleted")


def test_where_it_fails_nothing_is_in_flight_nothing_is_deleted_and_another_release_can_be_tried(scene):
    scene.faults[OLD.release_id] = "empty-text"
    scene.deploy(OLD, "by-hand")
    with pytest.raises(Failed):
        scene.smoke(OLD, "by-hand")

    with pytest.raises(RollbackFailed) as failed:
        scene.rollback("by-hand")

    assert str(failed.value) == (
        f"chat could not be brought back: nothing serves, for its live release {NEW.release_id} was deleted before "
        "this work began and nobody knows how it is started; promote that release again, or go back to another one "
        "with `python -m workflows.rollback --deployment chat --to RELEASE`; nothing is in flight any more"
    )
    assert scene.record == Record(live=NEW.release_id, previous=OLD.release_id, refused=(OLD.release_id,), replicas=0)
    assert scene.serving.releases() == (OLD.release_id,)
    assert scene.serving.replicas(OLD.release_id) == 0
    scene.deploy(THIRD, "again")
    scene.promote(THIRD, "again")
    assert scene.serves(THIRD)


def test_what_somebody_brings_back_meanwhile_is_gone_back_to(scene):
    scene.deploy(OLD, "by-hand")
    scene.serving._specs[NEW.release_id] = NEW
    assert scene.rollback("by-hand").outcome == "rolled-back"
    assert scene.serves(NEW)


def test_promoting_what_was_deleted_brings_it_back_first_also_where_the_rollback_is_dead(scene):
    scene.deploy(OLD, "by-hand")
    scene.serving.owners.discard("by-hand")
    scene.run(NEW, "again")
    assert scene.serves(NEW)
    assert scene.record.phase == "idle"


def deleted() -> tuple[KubeScene, Promotion]:
    scene = KubeScene()
    scene.live(OLD)
    scene.live(NEW)
    scene.api.delete(WORKLOAD, f"chat-{NEW.release_id}")
    while scene.running:
        scene.clock.sleep(1.0)
    promotion = Promotion(scene, OLD)
    promotion.proved = "any"
    promotion.done.append("checksum")  # that of a rollback by hand reads what it goes to, nothing else
    return scene, promotion


def test_in_a_cluster_it_serves_again():
    scene, promotion = deleted()
    promotion.whole()
    assert scene.serves(OLD)


@pytest.mark.parametrize("fault", ["", "empty-text"])
def test_killed_at_any_moment_it_leaves_what_the_reconciler_puts_right(fault):
    """Nothing is in flight then, and the release to go back to is there."""

    def make() -> tuple[KubeScene, Promotion]:
        scene, promotion = deleted()
        scene.faults[OLD.release_id] = fault
        return scene, promotion

    def reconciled(scene: KubeScene, promotion: Promotion) -> None:
        scene.end(promotion.owner)
        with suppress(RollbackFailed):  # nothing serves, which calls for a person
            scene.hand().reconciles()
        assert scene.record.phase == "idle", scene.told
        assert OLD.release_id in scene.workloads, scene.told
        assert scene.record.live == NEW.release_id or scene.serves(OLD), scene.told
        assert scene.hand().reconciles().startswith("nothing unfinished")

    found = explore(make, lambda _s, p, at: p.whole(at), {"the reconciler": reconciled}, lambda _s, _p: None)
    assert found.states > 10
