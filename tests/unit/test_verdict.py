import json
from dataclasses import replace

import pytest

from steps.core import canonical
from steps.core.evidence import Proof
from steps.core.release import Smoke
from steps.core.verdict import Seen, Verdict, is_degenerate, judge, last_words, speed
from steps.ports.chat import Answer
from tests.stubs.chat import nothing
from tests.stubs.scene import make_release

RELEASE = make_release("a")
ROOT = "/models/org--tiny/" + "a" * 40
GOOD = Answer(
    status=200,
    text="The capital of France is Paris.",
    finish_reason="stop",
    tokens=7,
    first_token_seconds=0.5,
    seconds=2.5,
    done=True,
    pieces=7,
)
SEEN = Seen(
    uid="u1",
    release_id=RELEASE.release_id,
    healthy=True,
    roots={"tiny": ROOT},
    plain=GOOD,
    streamed=GOOD,
    device="cpu",
)


def verdict(release=RELEASE, **seen) -> Verdict:
    return judge(release, ROOT, replace(SEEN, **seen))


def gated(**gates) -> Verdict:
    return verdict(replace(RELEASE, smoke=Smoke(**gates)))


def test_right_weights_right_answers_and_the_right_device_pass():
    passed = verdict()
    assert passed.result == "pass"
    assert [f.check for f in passed.findings] == [
        "identity",
        "health",
        "weights",
        "answer",
        "streamed answer",
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
        ({"plain": replace(GOOD, text="  \n")}, "its answer is empty"),
        ({"plain": replace(GOOD, text="!" * 300)}, "nonsense that repeats itself, as damaged weights do"),
        ({"plain": replace(nothing(500, "is HTTP 500"), text="boom")}, "answers HTTP 500 to a chat completion: 'boom'"),
        ({"plain": nothing(400, "is HTTP 400")}, "HTTP 400, as a model without a chat template does"),
        ({"plain": nothing(200, "did not come within 9 s: the server hangs")}, "its answer did not come within 9 s"),
        ({"plain": nothing(200, "is longer than 64 KiB")}, "its answer is longer than 64 KiB"),
        ({"plain": replace(GOOD, finish_reason=None)}, "its answer ended with finish_reason None, not stop or length"),
        (
            {"streamed": replace(GOOD, done=False, problem="was cut off before its end")},
            "its streamed answer was cut off",
        ),
        ({"streamed": replace(GOOD, done=False)}, "its streamed answer was cut off"),
        ({"streamed": replace(GOOD, text="")}, "its streamed answer is empty"),
        ({"device": "cuda"}, "wrong device: it runs on cuda, asked was cpu"),
    ],
)
def test_each_kind_of_failure_has_its_sentence(seen, sentence):
    failed = verdict(**seen)
    assert failed.result == "fail"
    assert sentence in failed.sentence


@pytest.mark.parametrize(
    ("seen", "sentence"),
    [
        ({"roots": {}, "denied": True}, "it wants another API key than this step has: the Secret was changed since"),
        ({"release_id": "f" * 12}, "pod u1 belongs to release ffffffffffff"),
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


def test_the_gates_are_about_the_stream():
    assert gated(max_first_token_seconds=0.5, min_tokens_per_second=3.0).result == "pass"
    assert "its first token came after 0.50 s, the gate is 0.4 s" in gated(max_first_token_seconds=0.4).sentence
    assert "it makes 3.0 tokens a second, the gate is 3.5" in gated(min_tokens_per_second=3.5).sentence
    assert gated(min_tokens_per_second=3.5).result == "fail"


@pytest.mark.parametrize("answer", [replace(GOOD, pieces=1), replace(GOOD, tokens=1)])
def test_a_gate_that_could_not_be_measured_is_inconclusive(answer):
    release = replace(RELEASE, smoke=Smoke(min_tokens_per_second=3.0))
    unclear = verdict(release, streamed=answer)
    assert unclear.result == "inconclusive"
    assert "the gate of 3 tokens a second cannot be judged" in unclear.sentence


def test_a_first_token_that_nobody_saw_passes_no_gate():
    release = replace(RELEASE, smoke=Smoke(max_first_token_seconds=1.0))
    unclear = verdict(release, streamed=replace(GOOD, first_token_seconds=None))
    assert unclear.result == "inconclusive"
    assert "no first token was seen" in unclear.sentence


def test_reasoning_counts_and_letter_case_does_not():
    assert verdict(plain=replace(GOOD, text="hm... PARIS", finish_reason="length")).result == "pass"


@pytest.mark.parametrize(
    ("tokens", "first", "seconds", "expected"),
    [(7, 0.5, 2.5, 3.0), (1, 0.5, 2.5, None), (7, None, 2.5, None), (7, 2, 2, None)],
)
def test_speed_is_measured_after_the_first_token(tokens, first, seconds, expected):
    assert speed(replace(GOOD, tokens=tokens, first_token_seconds=first, seconds=seconds)) == expected


@pytest.mark.parametrize(
    "text",
    [
        "!" * 64,
        "?!?!?! ... ---- !!!",
        "\ufffd\ufffd\ufffd\ufffd a",
        "the " * 64,
        "is the best the " * 12,
        "ababababab" * 8,
        "0" * 64,
    ],
)
def test_what_broken_weights_say_is_degenerate(text):
    assert is_degenerate(text)


@pytest.mark.parametrize(
    "text",
    [
        "Paris",
        "The capital of France is Paris.",
        "**Paris** is the capital of France. It lies on the Seine, and about two million people live there today.",
        "法国的首都是巴黎。",
        "<think>Okay, the user asks for the capital of France. That is Paris.</think>\n\nParis.",
        "Paris. " * 5,
        "Internationally acknowledged administrative headquarters: Paris, notwithstanding transformation",
    ],
)
def test_what_models_say_is_not(text):
    assert not is_degenerate(text)


def test_the_last_exception_says_most_about_a_death():
    log = "INFO start\n  File x\nValueError: bad\nINFO cleaning up\n(EngineCore pid=7) RuntimeError: no room\nbye\n"
    assert last_words(log) == "RuntimeError: no room"
    assert last_words("one\ntwo\n\n") == "two"
    assert last_words("") == "it said nothing"


# A proof is about all pods.


def test_the_worst_pod_decides_and_is_named():
    proof = Proof(RELEASE, (verdict(), verdict(uid="u2", device="cuda")))
    assert proof.result == "fail"
    assert proof.sentence == "pod u2: wrong device: it runs on cuda, asked was cpu"
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
        "sentence": f"pod u1 is one of release {RELEASE.release_id}",
    }
    assert second["answer"] is None
