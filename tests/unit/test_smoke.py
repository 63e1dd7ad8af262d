import json
from typing import Any

import pytest

from steps.core.release import Smoke
from steps.errors import BadInput, Corrupt, Failed, Transient
from tests.stubs.scene import Scene, make_release
from tests.stubs.serving import Manner

OLD, NEW = make_release("1"), make_release("2")


@pytest.fixture
def scene():
    scene = Scene()
    scene.serving.owners.add("run")
    scene.publish(NEW)
    scene.live(OLD)
    scene.deploy(NEW)
    return scene


def evidence(scene: Scene) -> dict[str, Any]:
    return dict(json.loads(scene.store.objects["p/reports/run/smoke.json"]))


def test_a_good_candidate_passes_with_proof_figures_and_evidence(scene):
    outputs = scene.smoke(NEW)
    (pod,) = scene.serving.pods(NEW.release_id)
    assert outputs.proof == pod.uid
    assert outputs.first_token_seconds == pytest.approx(0.1)
    assert outputs.tokens_per_second == pytest.approx(10.0)
    assert evidence(scene)["result"] == "pass"
    assert evidence(scene)["pods"][0]["answer"]["text"] == "The capital of France is Paris."


def test_every_pod_is_asked():
    scene, new = Scene(), make_release("2", replicas=3)
    scene.publish(new)
    scene.deploy(new)
    assert len(scene.smoke(new).proof.split(",")) == 3
    assert len(set(scene.chat.asked)) == 3


@pytest.mark.parametrize(
    ("fault", "sentence"),
    [
        ("wrong-answer", "wrong answer"),
        ("empty-text", "is empty"),
        ("degenerate", "nonsense that repeats itself"),
        ("long-text", "longer than 64 KiB"),
        ("not-json", "is not a chat completion"),
        ("http-500", "HTTP 500"),
        ("hang", "the server hangs"),
        ("stream-cut", "cut off"),
        ("no-done", "cut off"),
        ("wrong-root", "wrong weights: it serves /models/somebody--else"),
        ("wrong-model", "it serves another-model, not tiny"),
        ("crash-on-request", "the model server died while it was tested: ended with exit code 139"),
    ],
)
def test_a_candidate_that_fails_is_refused_with_evidence_and_gets_no_client(scene, fault, sentence):
    scene.faults[NEW.release_id] = fault
    with pytest.raises(Failed, match=sentence):
        scene.smoke(NEW)
    assert scene.record.refused == (NEW.release_id,)
    assert scene.record.phase == "testing"
    assert evidence(scene)["result"] == "fail"
    assert sentence in evidence(scene)["sentence"]
    assert scene.serving.held.target == OLD.release_id


def test_a_candidate_on_the_wrong_device_fails(scene):
    scene.serving.manners[NEW.release_id] = Manner(device="cuda")
    with pytest.raises(Failed, match="wrong device"):
        scene.smoke(NEW)


def test_one_of_two_pods_on_the_wrong_device_fails():
    scene, new = Scene(), make_release("2", replicas=2)
    scene.publish(new)
    scene.deploy(new)
    scene.serving.devices[scene.serving.pods(new.release_id)[1].uid] = "cuda"
    with pytest.raises(Failed, match="wrong device"):
        scene.smoke(new)


def test_a_device_that_cannot_be_seen_is_recorded(scene):
    scene.serving.manners[NEW.release_id] = Manner(device=None)
    scene.smoke(NEW)
    assert evidence(scene)["pods"][0]["device_seen"] is None


def test_a_candidate_that_is_too_slow_fails():
    scene, slow = Scene(), make_release("2", smoke=Smoke(min_tokens_per_second=11.0))
    scene.publish(slow)
    scene.deploy(slow)
    with pytest.raises(Failed, match=r"too slow: it makes 10\.0 tokens a second, the gate is 11"):
        scene.smoke(slow)


def test_what_stays_inconclusive_is_transient_neither_passed_nor_refused(scene):
    scene.faults[NEW.release_id] = "http-503"
    began = scene.clock.time
    with pytest.raises(Transient, match="could not be tested"):
        scene.smoke(NEW)
    assert scene.clock.time - began >= scene.stage.patience.request
    assert len(scene.chat.asked) > 5
    assert scene.record.refused == ()
    assert evidence(scene)["result"] == "inconclusive"


def test_what_is_inconclusive_at_first_is_asked_again(scene):
    scene.faults[NEW.release_id] = "http-503"
    sleep = scene.clock.sleep

    def mended(seconds: float) -> None:
        sleep(seconds)
        scene.faults.clear()

    scene.clock.sleep = mended
    assert scene.smoke(NEW).proof


@pytest.mark.parametrize("no_store", [None, BadInput("no S3 client can be made"), Corrupt("it answers nonsense")])
def test_a_store_that_is_away_changes_neither_a_pass_nor_a_refusal(scene, no_store):
    scene.store.writable, scene.no_store = False, no_store
    assert scene.smoke(NEW).proof
    scene.faults[NEW.release_id] = "empty-text"
    with pytest.raises(Failed):
        scene.smoke(NEW)
    assert scene.record.refused == (NEW.release_id,)


def test_what_was_started_is_tested_without_asking_the_store_for_it_again(scene):
    scene.store.objects.clear()
    assert scene.smoke(NEW).proof


def test_smoke_alone_brings_the_candidate_up_again_after_a_rollback(scene):
    scene.rollback()
    assert scene.smoke(NEW).proof
    assert scene.record.phase == "testing"


def test_a_repaired_release_that_fails_is_not_refused():
    scene = Scene()
    scene.serving.owners.add("run")
    scene.live(OLD)
    scene.serving.crash(OLD.release_id)
    scene.deploy(OLD)
    scene.faults[OLD.release_id] = "empty-text"
    with pytest.raises(Failed):
        scene.smoke(OLD)
    assert (scene.record.phase, scene.record.refused) == ("repairing", ())
