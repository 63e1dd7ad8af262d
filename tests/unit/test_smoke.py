import json
from dataclasses import replace
from typing import Any

import pytest

from steps.contracts import ANY
from steps.core.release import Smoke
from steps.errors import BadInput, Corrupt, Failed, Transient
from tests.stubs.scene import Scene, make_release
from tests.stubs.serving import Manner

OLD, NEW, THIRD = (make_release(mark) for mark in "123")


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
        ("no-template", "it has no chat template, so it refuses a chat completion with HTTP 400"),
        ("hang", "the server hangs"),
        ("stream-cut", "cut off"),
        ("no-done", "cut off"),
        ("wrong-root", "wrong weights: it serves /models/somebody--else"),
        ("wrong-model", "it serves another-model, not tiny"),
        ("crash-on-request", "the model server died while it was tested: ended with exit code 139"),
        (
            "dead-of-logprobs",
            "the model server died while it was tested: it no longer answers since it was asked for logprobs",
        ),
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


@pytest.mark.parametrize("key", ["sk-CANARY", 'sk-"quoted\\"', "1000"])
def test_evidence_holds_no_secret_that_a_server_printed_before_it_died(scene, monkeypatch, key):
    monkeypatch.setenv("VLLM_API_KEY", key)
    monkeypatch.setattr(scene.serving, "log_tail", lambda _release, _lines: f"api_key: {key}\n")
    scene.faults[NEW.release_id] = "crash-on-request"
    with pytest.raises(Failed):
        scene.smoke(NEW)
    assert evidence(scene)["pods"][0]["last_lines"] == ["api_key: [secret]"]


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


def test_a_gate_that_can_never_be_judged_refuses_a_candidate_so_that_no_night_repeats_the_outage(monkeypatch):
    scene, new = Scene(), make_release("2", smoke=Smoke(min_tokens_per_second=1.0))
    scene.publish(new)
    scene.deploy(new)
    stream, began = scene.chat.stream, scene.clock.time
    monkeypatch.setattr(scene.chat, "stream", lambda *asked: replace(stream(*asked), pieces=1))
    with pytest.raises(Failed, match=r"came in one piece.* cannot be judged: give .* a longer answer in the catalog"):
        scene.smoke(new)
    assert scene.clock.time - began >= scene.stage.patience.request
    assert scene.record.refused == (new.release_id,)
    assert evidence(scene)["result"] == "fail"


def test_an_answer_that_came_in_one_piece_once_is_asked_for_again(monkeypatch):
    scene, new = Scene(), make_release("2", smoke=Smoke(min_tokens_per_second=1.0))
    scene.publish(new)
    scene.deploy(new)
    stream, pieces = scene.chat.stream, [1]

    def again(*asked):
        return replace(stream(*asked), pieces=pieces.pop() if pieces else 7)

    monkeypatch.setattr(scene.chat, "stream", again)
    assert scene.smoke(new).proof
    assert pieces == []


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


class TestWhatWasMeasured:
    def test_is_kept_with_the_release(self, scene):
        scene.smoke(NEW)
        kept = scene.serving.measured(NEW.release_id)
        assert kept.tokens_per_second == pytest.approx(10.0)
        assert (kept.at, kept.fingerprinted) == (scene.clock.time, scene.clock.time)
        assert kept.fingerprint.text == "The capital of France is Paris. "
        assert evidence(scene)["fingerprint_before"] is None

    def test_is_not_kept_of_one_that_failed(self, scene):
        scene.faults[NEW.release_id] = "wrong-answer"
        with pytest.raises(Failed):
            scene.smoke(NEW)
        assert scene.serving.measured(NEW.release_id) is None

    def test_is_held_against_what_was_measured_the_first_time(self, scene):
        scene.smoke(NEW)
        first = scene.serving.measured(NEW.release_id)
        scene.clock.time += 60
        scene.shifts[NEW.release_id] = 0.1
        scene.smoke(NEW)
        now = scene.serving.measured(NEW.release_id)
        assert (now.fingerprint, now.fingerprinted, now.at) == (first.fingerprint, first.at, first.at + 60)
        assert "0.10 nats in 6 tokens, as rounding makes" in str(evidence(scene)["pods"][0]["findings"])

    def test_that_has_changed_a_little_is_told_and_passes(self, scene, caplog):
        scene.smoke(NEW)
        scene.shifts[NEW.release_id] = 0.3
        outputs = scene.smoke(NEW)
        (said,) = evidence(scene)["notices"]
        assert outputs.noticed == said
        assert "it computes otherwise than on 1970-01-01T02:46:" in said
        assert said in caplog.text

    def test_that_has_changed_much_fails_though_weights_and_answers_are_right(self, scene):
        scene.smoke(NEW)
        scene.shifts[NEW.release_id] = 2.0
        with pytest.raises(Failed, match=r"computes something else than on .*: a change of 2\.00 nats"):
            scene.smoke(NEW, proved_commit=OLD.commit)
        assert scene.record.refused == (NEW.release_id,)

    def test_is_told_alone_to_who_goes_back_by_hand(self, scene):
        scene.smoke(NEW)
        scene.shifts[NEW.release_id] = 2.0
        outputs = scene.smoke(NEW, proved_commit=ANY)
        assert outputs.proof
        assert "it computes otherwise than on" in outputs.noticed

    def test_of_a_server_without_logprobs_is_its_speed_alone(self, scene):
        scene.faults[NEW.release_id] = "no-logprobs"
        assert scene.smoke(NEW).proof
        assert scene.serving.measured(NEW.release_id).fingerprint is None
        assert "it gives none (is HTTP 400" in str(evidence(scene)["pods"][0]["findings"])

    def test_of_two_pods_one_that_computes_something_else_is_found_at_the_first_test(self):
        scene, new = Scene(), make_release("2", replicas=2)
        scene.publish(new)
        scene.deploy(new)
        _first, second = scene.serving.pods(new.release_id)
        shifts = {second.url: 3.0}
        at = scene.chat.at
        scene.chat.at = lambda url: replace(found, shift=shifts.get(url, 0.0)) if (found := at(url)) else None
        with pytest.raises(Failed, match=rf"pod {second.uid}: .*something else than another pod of it: .* 3\.00 nats"):
            scene.smoke(new, proved_commit="")

    def test_is_no_reason_to_leave_clients_without_a_model(self, scene, caplog):
        scene.smoke(NEW)
        scene.promote(NEW, proof=scene.serving.pods(NEW.release_id)[0].uid)
        scene.publish(THIRD)
        scene.deploy(THIRD)
        scene.shifts[NEW.release_id] = 2.0
        outputs = scene.rollback()
        assert outputs.outcome == "rolled-back"
        assert "it computes otherwise than on" in outputs.noticed
        assert outputs.noticed in caplog.text
        assert scene.serves(NEW)

    def test_is_not_kept_by_a_run_that_does_not_own_the_record(self, scene):
        scene.smoke(NEW)
        scene.promote(NEW, proof=scene.serving.pods(NEW.release_id)[0].uid)
        before = scene.serving.measured(NEW.release_id)
        scene.clock.time += 60
        assert scene.smoke(NEW).proof
        assert scene.serving.measured(NEW.release_id) == before

    def test_in_the_proof_that_promote_makes_is_kept_as_well(self, scene):
        scene.promote(NEW, proof="others")
        assert scene.serving.measured(NEW.release_id).fingerprint is not None


class TestAgainstWhatServes:
    @pytest.fixture
    def scene(self):
        """NEW serves, ten tokens a second."""
        scene = Scene()
        scene.serving.owners.add("run")
        scene.publish(NEW)
        scene.run(NEW)
        return scene

    @staticmethod
    def slower(scene, release, **smoke):
        """A candidate that makes four tokens a second."""
        at = scene.chat.at
        scene.chat.at = lambda url: (
            replace(found, seconds=1.35) if (found := at(url)) and release.release_id in url else found
        )
        asked = replace(release, smoke=Smoke(**smoke))
        scene.publish(asked)
        scene.deploy(asked)
        return asked

    def test_what_is_less_than_half_as_fast_is_told(self, scene):
        assert scene.smoke(self.slower(scene, THIRD), proved_commit=NEW.commit).proof
        assert "it makes 4.0 tokens a second, the live release 10.0" in str(evidence(scene)["notices"])

    def test_a_gate_of_the_catalog_refuses_it(self, scene):
        slow = self.slower(scene, THIRD, min_tokens_per_second_of_live=0.8)
        with pytest.raises(Failed, match=r"4\.0 tokens a second, the gate is 0\.8 times the live release's 10\.0"):
            scene.smoke(slow, proved_commit=NEW.commit)

    def test_so_does_promote_where_it_proves_again(self, scene):
        slow = self.slower(scene, THIRD, min_tokens_per_second_of_live=0.8)
        with pytest.raises(Failed, match="too slow"):
            scene.promote(slow, proof="others", proved_commit=NEW.commit)

    def test_who_goes_back_by_hand_takes_what_serves_for_bad(self, scene):
        slow = self.slower(scene, THIRD, min_tokens_per_second_of_live=0.8)
        assert scene.smoke(slow, proved_commit=ANY).proof
