"""What is not good enough is found, told apart and refused, and what served before serves again."""

from dataclasses import replace

import pytest

from tests.stubs.machine import ask
from tests.stubs.world import World

FAULTS = {
    "wrong-answer": "Lyon",
    "empty-text": "empty",
    "http-500": "500",
    "hang": "no answer",
    "wrong-root": "wrong weights",
    "stream-cut": "cut",
    "crash-on-start": "exit",
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_bad_candidate_is_refused_and_the_previous_model_serves_again(served: World, fault: str):
    good = served.live()
    served.publish(branch=fault, seed=7, fault=fault)

    ended = served.promote(revision=fault)

    assert ended.code == 1, ended.text
    assert FAULTS[fault] in ended.text
    (refused,) = set(served.live().refused) - set(good.refused)
    assert served.live() == replace(good, refused=(*good.refused, refused))
    answer = ask(served.url, "/v1/chat/completions", {"model": "tiny", "messages": []})
    assert "Paris" in answer["choices"][0]["message"]["content"]
    report = served.machine.report(ended)
    assert (report["outcome"], report["outage_seconds"] > 0) == ("rolled-back", True)
    log = report["evidence"]["server_log"]
    assert log.endswith(f"/server-{refused}.log")
    assert served.objects()[log] > 0


def test_a_refused_release_is_not_tried_again_until_a_person_allows_it(served: World):
    served.publish(branch="refused", seed=8, fault="empty-text")
    assert served.promote(revision="refused").code == 1
    release = served.live().refused[-1]
    pids = served.server_pids()

    ended = served.promote(revision="refused")

    assert ended.code == 1
    assert f"workflows.allow --deployment {served.deployment} --release {release}" in ended.text
    assert served.server_pids() == pids
    assert served.machine.report(ended)["outcome"] == "refused"
    allowed = served.machine.run("allow", "--local", "--deployment", served.deployment, "--release", release)
    assert allowed.code == 0, allowed.text
    assert release not in served.live().refused


def test_a_candidate_that_never_gets_ready_fails_in_its_time(served: World):
    served.publish(branch="never", seed=9, fault="not-ready-ever")
    good = served.live()

    ended = served.promote(revision="never", VLLM_PROMOTE_STARTUP_BUDGET_SECONDS="3")

    assert ended.code == 1, ended.text
    assert (served.live().release_id, served.live().root) == (good.release_id, good.root)


def test_a_truncated_shard_never_gets_past_checksum(served: World):
    good = served.live()
    shard = "model-00002-of-00002.safetensors"
    whole = (served.source("main") / shard).read_bytes()
    served.publish(branch="truncated", seed=3, files={shard: whole[:-100]})

    ended = served.promote(revision="truncated")

    assert ended.code == 1
    assert shard in ended.text
    report = served.machine.report(ended)
    assert {s["step"]: s["exit_code"] for s in report["steps"]}["checksum"] == 13
    assert served.live() == good


def test_bytes_that_were_changed_in_the_store_are_caught_by_populate(served: World):
    good = served.live()
    commit = served.publish(branch="tampered", seed=4)
    before = served.start_promotion("tampered")
    served.machine.wait_for_step(before, "populate")
    before.kill()  # the objects are there by then, and no manifest of the volume
    before.communicate()
    served.remove_from_volume(commit)
    served.tamper(commit, "model-00001-of-00002.safetensors")

    ended = served.promote(revision="tampered")

    assert ended.code == 1, ended.text
    assert "model-00001-of-00002.safetensors" in ended.text
    report = served.machine.report(ended)
    assert {s["step"]: s["exit_code"] for s in report["steps"]}["populate"] == 13
    assert served.live() == good
