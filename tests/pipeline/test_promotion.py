"""The whole job on one machine: real commands, SeaweedFS, the Hub server, a stub in vLLM's place."""

import pytest

from tests.stubs.machine import STUB, answers, served_root
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


@pytest.mark.exhaustive
def test_a_very_large_model_is_fetched_in_shares_and_promoted(world: World):
    """Here whatever has more than 3 KiB is very large."""
    commit = world.publish(seed=1)

    ended = world.promote(VLLM_PROMOTE_SHARD_GIB="0.000003")

    assert ended.code == 0, ended.text
    assert served_root(world.url).endswith(commit)
    nodes = {node["name"]: node for node in world.machine.run_state()["nodes"]}
    shares = [name for name in nodes if name.startswith("mirror(")]
    assert len(shares) > 1
    copied = [int(nodes[name]["outputs"]["copied_bytes"]) for name in shares]
    assert sum(copied) == int(nodes["resolve"]["outputs"]["total_bytes"])
    assert min(copied) > 0
    assert nodes["populate"]["outputs"]["copied_bytes"] == "0"
    assert f"{shares[1]}: succeeded after" in ended.text
    assert {s["step"] for s in world.machine.report(ended)["steps"]} >= {*shares, "populate", "promote"}


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
@pytest.mark.exhaustive
def test_a_rollback_that_waited_moves_nothing_where_what_serves_has_changed_meanwhile(world: World):
    world.publish(seed=1)
    assert world.promote().code == 0
    world.publish(seed=2)
    assert world.promote().code == 0
    third = world.publish(seed=3, fault="slow-start:4")
    promotion = world.start_promotion()
    world.machine.wait_for_step(promotion, "deploy")

    back = world.machine.run("rollback", "--local", "--deployment", world.deployment)

    assert world.machine.end(promotion).code == 0
    assert (back.code, "has changed since you asked" in back.text) == (1, True), back.text
    status = world.status()
    assert (status["live"]["commit"], status["refused"]) == (third, [])
    assert served_root(status["url"]).endswith(third)


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


@pytest.mark.exhaustive
def test_a_release_that_computes_something_else_than_at_its_first_test_is_not_promoted_again(world: World):
    """The same bytes and the same right answer: by its fingerprint alone. What is gone back to is told of."""
    first = world.publish(seed=1)
    assert world.promote().code == 0
    second = world.publish(seed=2)
    assert world.promote().code == 0
    moved = {"VLLM_PROMOTE_SERVE_COMMAND": f"{STUB} --shift 2"}

    ended = world.promote(first, **moved)

    assert ended.code == 1, ended.text
    assert "computes something else than on 20" in ended.text
    assert "a change of 2.00 nats in 6 tokens, the gate is 0.5" in ended.text
    assert "this goes back: commit" in ended.text
    report = world.machine.report(ended)
    assert report["outcome"] == "rolled-back"
    assert any("it computes otherwise than on 20" in note for note in report["evidence"]["notices"])
    assert world.live().root.endswith(second)
