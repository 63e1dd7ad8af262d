import json
from dataclasses import replace

import pytest

from steps.core import canonical
from steps.core.evidence import Proof
from steps.core.fingerprint import Fingerprint, Token
from steps.core.measured import Measured
from steps.core.verdict import Past, Seen, Verdict, judge
from tests.stubs.chat import GOOD, nothing
from tests.stubs.scene import make_release

RELEASE = make_release("a")
ROOT = "/models/org--tiny/" + "a" * 40
PRINT = Fingerprint((Token("Red", -0.2, (("Red", -0.2), ("Blue", -2.0))),))
SEEN = Seen(
    uid="u1",
    name="chat-1",
    release_id=RELEASE.release_id,
    healthy=True,
    roots={"tiny": ROOT},
    plain=GOOD,
    streamed=GOOD,
    fingerprint=PRINT,
    device="cpu",
)


def verdict(release=RELEASE, past=Past(), **seen) -> Verdict:  # noqa: B008  # frozen
    return judge(release, ROOT, replace(SEEN, **seen), past)


def test_right_weights_right_answers_and_the_right_device_pass():
    passed = verdict()
    assert passed.result == "pass"
    assert [f.check for f in passed.findings] == [
        "identity",
        "health",
        "weights",
        "answer",
        "streamed answer",
        "fingerprint",
        "device",
    ]
    assert (passed.first_token_seconds, passed.tokens_per_second) == (0.5, 3.0)


@pytest.mark.parametrize(
    ("seen", "sentence"),
    [
        (
            {"failure": "ended with exit code 139"},
            "the model server died while it was tested: ended with exit code 139",
        ),
        ({"roots": {"other": ROOT}}, "it serves other, not tiny"),
        ({"roots": {"tiny": "/models/x"}}, f"wrong weights: it serves /models/x, not {ROOT}"),
        ({"roots": {"tiny": None}}, "wrong weights: it serves nothing it names"),
        ({"plain": replace(GOOD, text="It is Lyon.")}, "wrong answer: to 'What is the capital of France?' it said 'It"),
        ({"plain": replace(GOOD, text="  \n")}, "its answer to 'What is the capital of France?' is empty"),
        ({"plain": replace(GOOD, text="!" * 300)}, "nonsense that repeats itself, as damaged weights do"),
        ({"plain": replace(nothing(500, "is HTTP 500"), text="boom")}, "answers HTTP 500 to a chat completion: 'boom'"),
        ({"plain": nothing(400, "is HTTP 400")}, "it refuses a chat completion with HTTP 400"),
        (
            {"plain": nothing(200, "did not come within 9 s: the server hangs")},
            "'What is the capital of France?' did not come within 9 s",
        ),
        ({"plain": nothing(200, "is longer than 64 KiB")}, "is longer than 64 KiB"),
        ({"plain": replace(GOOD, finish_reason=None)}, "ended with finish_reason None, not stop or length"),
        (
            {"streamed": replace(GOOD, done=False, problem="was cut off before its end")},
            "its streamed answer to 'What is the capital of France?' was cut off",
        ),
        ({"streamed": replace(GOOD, done=False)}, "was cut off, after 'The capital of France is Paris.'; see its log"),
        ({"streamed": replace(GOOD, text="")}, "its streamed answer to 'What is the capital of France?' is empty"),
        ({"device": "cuda"}, "wrong device: it runs on cuda, asked was cpu"),
    ],
)
def test_each_kind_of_failure_has_its_sentence(seen, sentence):
    failed = verdict(**seen)
    assert failed.result == "fail"
    assert sentence in failed.sentence
    assert "; " in failed.sentence, "it says what to do next"


@pytest.mark.parametrize(
    ("seen", "sentence"),
    [
        ({"roots": {}, "denied": True}, "it wants another API key than this step has: the Secret was changed since"),
        ({"release_id": "f" * 12}, "pod chat-1 belongs to release ffffffffffff"),
        ({"healthy": False}, "does not answer /health"),
        ({"roots": {}}, "/v1/models names no model"),
        ({"plain": None}, "it was not asked"),
        ({"streamed": None}, "it was not asked for a stream"),
        ({"plain": nothing(0, "could not be asked for: nobody listens there", answered=False)}, "nobody listens there"),
        ({"plain": nothing(503, "is HTTP 503", answered=False)}, "its answer is HTTP 503"),
    ],
)
def test_what_could_not_be_seen_is_inconclusive_and_never_passed(seen, sentence):
    unclear = verdict(**seen)
    assert unclear.result == "inconclusive"
    assert sentence in unclear.sentence


def test_a_failure_counts_before_what_could_not_be_seen():
    assert verdict(healthy=False, device="cuda").result == "fail"


def test_an_unseen_device_is_recorded_and_not_failed():
    unseen = verdict(device=None)
    assert unseen.result == "pass"
    assert "cannot be seen" in unseen.findings[-1].sentence


def test_reasoning_counts_and_letter_case_does_not():
    assert verdict(plain=replace(GOOD, text="hm... PARIS", finish_reason="length")).result == "pass"


# A proof is about all pods.


def test_the_worst_pod_decides_and_is_named():
    proof = Proof(RELEASE, (verdict(), verdict(uid="u2", name="chat-2", device="cuda")))
    assert proof.result == "fail"
    assert proof.sentence.startswith("pod chat-2: wrong device: it runs on cuda, asked was cpu; see device")
    assert proof.pods == "u1"


def test_fewer_pods_than_wanted_prove_nothing():
    two = replace(RELEASE, replicas=2)
    assert Proof(two, (verdict(),)).result == "inconclusive"
    assert Proof(two, (verdict(),)).sentence == "1 of 2 pods are there"
    assert Proof(two, (verdict(), verdict(uid="u2"))).result == "pass"
    assert Proof(RELEASE, ()).result == "inconclusive"


def test_the_slowest_pod_gives_the_figures():
    slow = replace(GOOD, first_token_seconds=1.5, seconds=4.5)
    proof = Proof(RELEASE, (verdict(uid="u2", streamed=slow), verdict()))
    assert (proof.pods, proof.first_token_seconds, proof.tokens_per_second) == ("u1,u2", 1.5, 2.0)


def test_the_evidence_is_canonical_json_with_short_answers():
    proof = Proof(
        RELEASE,
        (verdict(plain=replace(GOOD, text="Paris, " + " ".join(map(str, range(300))))), verdict(uid="u2", plain=None)),
    )
    evidence = json.loads(canonical.dump(proof.to_json()))
    assert evidence["result"] == "inconclusive"
    assert evidence["request"]["prompt"] == RELEASE.smoke.prompt
    first, second = evidence["pods"]
    assert len(first["answer"]["text"]) == 200
    assert first["findings"][0] == {
        "check": "identity",
        "result": "pass",
        "sentence": f"pod chat-1 (u1) is one of release {RELEASE.release_id}",
    }
    assert second["answer"] is None


def test_notices_pass_and_are_told_by_pod():
    past = Past(live=Measured(at=1.0, tokens_per_second=7.0))
    proof = Proof(RELEASE, (verdict(past=past),), past)
    assert proof.result == "pass"
    assert proof.notices == ("pod chat-1: it makes 3.0 tokens a second, the live release 7.0",)
    assert proof.to_json()["notices"] == list(proof.notices)
    assert proof.to_json()["live"] == {"first_token_seconds": None, "tokens_per_second": 7.0}


def test_what_is_remembered_are_the_slowest_pod_s_figures_and_the_first_fingerprint():
    slow = replace(GOOD, first_token_seconds=1.5, seconds=4.5)
    proof = Proof(RELEASE, (verdict(fingerprint=None), verdict(uid="u2", streamed=slow)))
    assert proof.measured(7.0) == Measured(
        at=7.0, first_token_seconds=1.5, tokens_per_second=2.0, fingerprint=PRINT, fingerprinted=7.0
    )
    assert Proof(RELEASE, (verdict(streamed=None),)).measured(7.0).tokens_per_second is None


def test_the_evidence_tells_the_last_lines_of_a_server_that_died_and_what_was_compared():
    past = Past(own=Measured(at=1.0, fingerprint=PRINT, fingerprinted=1.0))
    died = verdict(failure="exit code 139; last it said: RuntimeError: x", last_lines=("a", "RuntimeError: x"))
    evidence = json.loads(canonical.dump(Proof(RELEASE, (died,), past).to_json()))
    assert evidence["pods"][0]["last_lines"] == ["a", "RuntimeError: x"]
    assert evidence["fingerprint_before"] == {"text": "Red", "logprobs": [-0.2]}
    assert evidence["pods"][0]["fingerprint"] == evidence["fingerprint_before"]
    assert evidence["gates"]["max_logprob_change"] == 0.5
