"""The whole job on one machine: real commands, SeaweedFS, the Hub server, a stub in vLLM's place."""

import pytest

from tests.stubs.machine import answers, served_root
from tests.stubs.world import World


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


@pytest.mark.exhaustive
def test_a_slow_start_is_waited_for(world: World):
    world.publish(seed=1, fault="slow-start:3")

    assert world.promote().code == 0


def test_a_failed_first_promotion_leaves_nothing_behind_and_says_so(world: World):
    world.publish(seed=1, fault="http-500")

    ended = world.promote()

    assert ended.code == 1, ended.text
    status = world.status()
    assert (status["phase"], status["live"], status["candidate"]) == ("idle", None, None)
    assert not answers(status["url"])
    assert not world.server_pids()
    assert "nothing serves" in ended.text
