"""The whole job on one machine: real commands, SeaweedFS, the Hub server, a stub in vLLM's place."""

from dataclasses import replace

import pytest

from tests.stubs.machine import answers, ask, served_root
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


def test_a_first_promotion_ends_with_the_model_served_from_its_commit(world: World):
    commit = world.publish(seed=1)

    ended = world.promote()

    assert ended.code == 0, ended.text
    status = world.status()
    assert (status["phase"], status["live"]["commit"], status["previous"]) == ("idle", commit, None)
    assert served_root(status["url"]) == str(world.machine.home / "volume" / world.slug / commit)
    assert status["url"] in ended.text
    report = world.machine.report(ended)
    assert (report["outcome"], report["commit"], report["outage_seconds"]) == ("promoted", commit, 0)
    assert {s["step"] for s in report["steps"]} >= {"resolve", "preflight", "mirror", "populate", "checksum", "smoke"}


def test_the_same_again_is_already_live_and_changes_no_byte(world: World):
    world.publish(seed=1)
    assert world.promote().code == 0
    before = (world.objects(), world.machine.digest("volume", "serving"), world.status())

    ended = world.promote()

    assert ended.code == 0, ended.text
    assert "already live" in ended.text
    assert (world.objects(), world.machine.digest("volume", "serving"), world.status()) == before


def test_an_upgrade_keeps_the_previous_release_and_a_rollback_by_hand_brings_it_back(world: World):
    first = world.publish(seed=1)
    assert world.promote().code == 0
    url = world.status()["url"]
    second = world.publish(seed=2)

    upgraded = world.promote()

    assert upgraded.code == 0, upgraded.text
    status = world.status()
    assert (status["live"]["commit"], status["previous"]["commit"]) == (second, first)
    assert status["url"] == url
    assert served_root(url).endswith(second)
    assert world.machine.report(upgraded)["outage_seconds"] > 0

    back = world.machine.run("rollback", "--local", "--deployment", world.deployment)

    assert back.code == 0, back.text
    assert served_root(url).endswith(first)
    assert world.status()["refused"] == [status["live"]["release_id"]]
    again = world.promote()
    assert again.code == 1
    assert "workflows.allow" in again.text
    assert served_root(url).endswith(first)
    assert [h["outcome"] for h in world.machine.history(world.deployment)][:2] == ["refused", "promoted"]


def test_a_second_promotion_waits_for_the_first(world: World):
    world.publish(seed=1, fault="slow-start:2")
    first = world.start_promotion()
    world.machine.wait_for_step(first, "deploy")

    second = world.promote()

    assert world.machine.end(first).code == 0
    assert second.code == 0, second.text
    assert "already live" in second.text


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


def test_a_slow_start_is_waited_for(world: World):
    world.publish(seed=1, fault="slow-start:3")

    assert world.promote().code == 0


def test_a_candidate_that_never_gets_ready_fails_in_its_time(served: World):
    served.publish(branch="never", seed=9, fault="not-ready-ever")
    good = served.live()

    ended = served.promote(revision="never", VLLM_PROMOTE_STARTUP_BUDGET_SECONDS="3")

    assert ended.code == 1, ended.text
    assert (served.live().release_id, served.live().root) == (good.release_id, good.root)


def test_a_failed_first_promotion_leaves_nothing_behind_and_says_so(world: World):
    world.publish(seed=1, fault="http-500")

    ended = world.promote()

    assert ended.code == 1, ended.text
    status = world.status()
    assert (status["phase"], status["live"], status["candidate"]) == ("idle", None, None)
    assert not answers(status["url"])
    assert not world.server_pids()
    assert "nothing serves" in ended.text


def test_blue_green_serves_without_a_gap(world: World):
    world.catalog(strategy="blue-green")
    world.publish(seed=1)
    assert world.promote().code == 0
    second = world.publish(seed=2, fault="slow-start:1")
    url = world.url
    promotion = world.start_promotion()
    refused = 0
    while promotion.poll() is None:
        refused += not answers(url)

    assert world.machine.end(promotion).code == 0
    assert served_root(url).endswith(second)
    assert refused == 0
    assert world.history()[0]["outage_seconds"] == 0


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
