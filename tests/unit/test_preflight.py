from dataclasses import replace

import pytest

from steps.contracts import PreflightInputs, PreflightOutputs
from steps.core.record import Record
from steps.core.release import Document, is_older
from steps.errors import BadInput, Conflict, Corrupt, Failed, Missing, NoSpace, Refused
from steps.ports.serving import Held
from steps.preflight import preflight
from tests.stubs.scene import Scene, make_manifest, make_release

OLD, NEW = make_release("1"), make_release("2")


@pytest.fixture
def scene():
    scene = Scene()
    scene.serving.owners.add("run")
    scene.live(OLD)
    return scene


def check(scene: Scene, release=NEW, owner: str = "run") -> PreflightOutputs:
    inputs = PreflightInputs(deployment="chat", release_id=release.release_id, run=owner, owner=owner)
    document = Document(release=release, manifest=make_manifest(release.commit[0]))
    return preflight(inputs, scene.stage, scene.store, scene.volume, document)


def test_a_new_release_is_new_and_the_live_one_is_its_rollback_target(scene):
    assert check(scene) == PreflightOutputs(
        state="new",
        previous_model="org/tiny",
        previous_commit=OLD.commit,
        previous_manifest_sha256=OLD.manifest_sha256,
    )
    assert scene.serving.calls == []


def test_a_first_deployment_has_no_rollback_target():
    outputs = check(Scene())
    assert (outputs.state, outputs.previous_model) == ("new", "")


def test_what_serves_and_is_healthy_is_live_and_nothing_is_written(scene):
    scene.store.writable = False
    held = scene.serving.held
    assert check(scene, OLD).state == "live"
    assert (scene.serving.held, scene.serving.calls) == (held, [])


def test_what_is_live_and_ended_is_to_be_repaired(scene):
    scene.serving.crash(OLD.release_id)
    outputs = check(scene, OLD)
    assert (outputs.state, outputs.previous_model) == ("new", "")


def test_what_is_live_with_other_weights_is_to_be_repaired(scene):
    scene.faults[OLD.release_id] = "wrong-root"
    assert check(scene, OLD).state == "new"


def test_a_live_release_that_wants_more_replicas_now_is_not_done(scene):
    assert check(scene, make_release("1", replicas=2)).state == "new"


def test_a_live_server_that_was_too_busy_once_is_not_restarted(scene):
    looks = []
    models = scene.chat.models

    def busy_once(url: str):
        looks.append(url)
        return models(url) if len(looks) > 1 else {}

    scene.chat.models = busy_once
    assert check(scene, OLD).state == "live"


def test_a_live_server_whose_health_was_slow_once_is_not_restarted(scene):
    looks = []
    pods = scene.serving.pods

    def slow_once(release_id: str):
        looks.append(release_id)
        return tuple(replace(p, ready=p.ready and len(looks) > 1) for p in pods(release_id))

    scene.serving.pods = slow_once
    assert check(scene, OLD).state == "live"


def test_what_a_dead_promotion_refused_ends_here(scene):
    scene.publish(NEW)
    scene.deploy(NEW, "dead")
    scene.faults[NEW.release_id] = "empty-text"
    with pytest.raises(Failed):
        scene.smoke(NEW, "dead")
    with pytest.raises(Refused):
        check(scene)
    assert scene.serves(OLD)


def test_a_refused_release_ends_here_with_the_way_to_allow_it(scene):
    scene.with_record(refused=(NEW.release_id,))
    sentence = f"python -m workflows.allow --deployment chat --release {NEW.release_id}"
    with pytest.raises(Refused, match=sentence):
        check(scene)


def test_another_promotion_is_named(scene):
    scene.publish(NEW)
    scene.deploy(NEW)
    with pytest.raises(Conflict, match="run run is testing"):
        check(scene, make_release("3"), "second")


def test_a_dead_promotion_is_rolled_back_first(scene):
    scene.publish(NEW)
    scene.deploy(NEW, "dead")
    assert check(scene).state == "new"
    assert scene.record == Record(live=OLD.release_id)
    assert scene.serves(OLD)


def test_a_pointer_moved_by_hand_is_named(scene):
    scene.serving.held = Held(scene.record, "9", NEW.release_id)
    with pytest.raises(Conflict, match="moved it by hand"):
        check(scene)


def test_a_bucket_that_cannot_be_written_is_found_now(scene):
    scene.store.writable = False
    with pytest.raises(Missing):
        check(scene)


def test_what_has_no_room_on_the_accelerator_is_found_now(scene):
    scene.serving.room = NoSpace("no GPU is free")
    with pytest.raises(NoSpace, match="no GPU is free"):
        check(scene)


@pytest.mark.parametrize("moved", [OLD, NEW])
def test_what_would_read_another_volume_than_the_one_that_is_proved_is_found_now(scene, moved):
    scene.serving.away[moved.release_id] = "Deployment reads claim old; remove it"
    with pytest.raises(BadInput, match=f"release {moved.release_id} of chat has its models elsewhere: .*claim old"):
        check(scene)
    scene.serving.away.clear()
    assert check(scene).state == "new"


def test_a_volume_that_is_too_small_is_named_with_both_numbers(scene):
    scene.volume.free = 1049
    with pytest.raises(NoSpace, match="1,049 bytes free and org/tiny needs 1,050"):
        check(scene)
    scene.volume.free = 1050
    check(scene)


def test_what_another_commit_on_the_volume_has_needs_no_room(scene):
    shared = replace(make_manifest(NEW.commit[0]), commit="9" * 40)
    scene.volume.free = 10
    with pytest.raises(NoSpace):
        check(scene)
    scene.volume.manifests[shared.commit] = shared
    assert check(scene).state == "new"


def test_what_other_attempts_left_is_named_with_its_size_where_there_is_no_room(scene):
    scene.volume.free = 1049
    scene.volume.left = {f".staging/org--x/{n}": n * 1000 for n in range(1, 6)}
    largest = r"\.staging/org--x/5 \(5,000 bytes\), .*/4 \(4,000 bytes\), .*/3 \(3,000 bytes\) and 2 more"
    with pytest.raises(NoSpace, match=f"attempts at other commits left {largest}, which can be removed"):
        check(scene)


def test_what_an_unfinished_attempt_left_on_the_volume_needs_no_space_again(scene):
    scene.volume.half[NEW.commit] = {f.path: f.size for f in make_manifest(NEW.commit[0]).files}
    scene.volume.free = 0
    assert check(scene).state == "new"


def test_what_is_published_needs_no_space(scene):
    scene.publish(NEW)
    scene.volume.free = 0
    assert check(scene).state == "new"


@pytest.mark.parametrize("damage", ["gone", "other", "size", "unknown"])
def test_no_promotion_begins_without_a_way_back(scene, damage):
    match damage:
        case "gone":
            scene.volume.manifests.clear()
        case "other":
            scene.volume.manifests[OLD.commit] = replace(make_manifest("4"), commit=OLD.commit)
        case "size":
            scene.volume.broken.add(OLD.commit)
        case "unknown":
            scene.serving._specs.clear()
    with pytest.raises(Corrupt, match="refusing: no verified rollback target"):
        check(scene)


def test_a_retry_of_ones_own_work_may_go_on(scene):
    scene.publish(NEW)
    scene.deploy(NEW)
    assert check(scene).state == "new"
    assert scene.record.phase == "testing"


class TestWhatOthersHaveDone:
    def test_to_what_serves_is_told_before_anything_moves(self, scene):
        scene.serving.meddling = {OLD.release_id: ("replicas of it were changed from 1 to 3 by kubectl",)}
        assert check(scene).noticed == "replicas of it were changed from 1 to 3 by kubectl"

    def test_more_replicas_than_the_catalog_asks_for_will_not_be_there_any_longer_and_that_is_told(self, scene):
        scene.with_record(owner="human")
        scene.serving.ensure(OLD, 3, "human")
        scene.with_record(owner=None)
        assert check(scene).noticed.startswith(
            f"3 replicas of release {OLD.release_id} serve, and 1 of release {NEW.release_id} will"
        )
        assert check(scene, OLD).noticed == ""

    def test_to_the_endpoint_is_a_conflict_that_names_them(self, scene):
        scene.serving.held = replace(scene.serving.held, target="a" * 12)
        scene.serving.meddling = {None: ("where Service chat leads was changed by kubectl-patch at noon",)}
        with pytest.raises(Conflict, match=r"somebody moved it by hand.*; where Service chat leads .* kubectl-patch"):
            check(scene)


class TestAnOlderCommit:
    """Over a newer one: told, and left to whoever has asked for it."""

    @pytest.fixture
    def scene(self):
        scene = Scene()
        scene.serving.owners.add("run")
        scene.live(replace(OLD, committed=2e9))
        return scene

    def test_is_noticed(self, scene):
        outputs = check(scene, replace(NEW, committed=1e9))
        assert outputs.state == "new"
        assert outputs.noticed == (
            f"this goes back: commit {NEW.commit[:12]} of 2001-09-09T01:46:40Z takes the place of {OLD.commit[:12]} of "
            "2033-05-18T03:33:20Z, which is newer"
        )

    @pytest.mark.parametrize("committed", [None, 2e9, 3e9])
    def test_is_none_where_it_is_newer_or_nobody_knows(self, scene, committed):
        assert check(scene, replace(NEW, committed=committed)).noticed == ""

    def test_of_another_model_is_none(self, scene):
        assert not is_older(replace(NEW, committed=1.0, model="org/other"), replace(OLD, committed=2.0))
