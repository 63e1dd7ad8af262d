"""Ctrl-C, a killed engine, two engines at once: whatever dies, one of the two models serves, and a run goes on."""

import os
import signal
import subprocess
from collections.abc import Callable
from dataclasses import dataclass

import pytest
from _pytest.mark import ParameterSet

from steps.contracts import ALL, ROLLBACK
from tests.stubs.weights import safetensors
from tests.stubs.world import World

FLOW = [step.name for step in ALL[: ALL.index(ROLLBACK)]]


def all_but(*often: str) -> list[ParameterSet]:
    """Each step of the flow; those not named are tried in `make fault-test` only."""
    return [pytest.param(step, marks=[] if step in often else pytest.mark.exhaustive) for step in FLOW]


def at_work(world: World, step: str, seed: int) -> tuple[str, subprocess.Popen[str]]:
    """A new commit on a branch of the step's name, and its promotion, caught when the step has begun its work."""
    caught = CAUGHT[step]
    commit = world.publish(branch=step, seed=seed, files={SHARD: LARGE}, fault=caught.fault)
    held = world.hub.inject(caught.hub, world.hub.stalled(after=100)) if caught.hub else None
    promotion = world.start_promotion(step, VLLM_PROMOTE_ONE_PASS=caught.one_pass)
    world.machine.wait_for_step(
        promotion, step, begun=lambda: caught.begun(world, commit) and (not held or held.hit > 0)
    )
    return commit, promotion


@dataclass(frozen=True)
class Caught:
    """What makes a step slow, and what shows that it has begun."""

    hub: str = ""
    """The kind of request that stalls."""
    fault: str = ""
    """Of the stub."""
    begun: Callable[[World, str], bool] = lambda _world, _commit: True
    one_pass: str = "true"


def in_phase(*phases: str) -> Callable[[World, str], bool]:
    return lambda world, _commit: world.machine.record(world.deployment)["phase"] in phases


def is_staged(world: World, commit: str) -> bool:
    return any(world.volume.glob(f".staging/{world.slug}/{commit}.*/*"))


SHARD = "model-00001-of-00002.safetensors"
LARGE = safetensors({"a": bytes(32 * 2**20)})
"""So that reading and writing it takes a moment."""
CAUGHT = {
    "resolve": Caught(hub="tree"),
    "preflight": Caught(),  # this one and checksum change nothing, and are over in a moment
    "mirror": Caught(hub="download"),
    "populate": Caught(begun=is_staged, one_pass="false"),
    "checksum": Caught(),
    "deploy": Caught(fault="slow-start:2", begun=in_phase("swapping")),
    "smoke": Caught(fault="slow:1", begun=in_phase("testing")),
    "promote": Caught(begun=in_phase("testing", "draining")),
}


@pytest.mark.parametrize("step", all_but("populate", "deploy"))
def test_ctrl_c_in_the_middle_of_a_step_leaves_the_previous_model_serving(served: World, step: str):
    good = served.live()
    _, promotion = at_work(served, step, seed=20 + FLOW.index(step))

    os.killpg(promotion.pid, signal.SIGINT)
    ended = served.machine.end(promotion)

    now = served.live()
    if step == "promote" and now.release_id != good.release_id:
        assert (now.phase, now.candidate) == ("idle", None)  # the pointer had moved: the promotion is completed
    else:
        assert ended.code == 130, ended.text
        assert now == good
    assert len(served.server_pids()) == 1


def test_a_second_ctrl_c_leaves_work_in_flight_which_is_exit_4_and_says_what_serves(served: World):
    _, promotion = at_work(served, "deploy", seed=80)

    os.killpg(promotion.pid, signal.SIGINT)
    assert promotion.stdout
    assert any(line.startswith("stopping: ") for line in promotion.stdout)  # two signals that wait at once are one
    os.killpg(promotion.pid, signal.SIGINT)
    ended = served.machine.end(promotion)

    assert served.machine.record(served.deployment)["phase"] in ("swapping", "rolling-back"), ended.text
    assert ended.code == 4, ended.text
    assert "is not certain" in ended.text
    served.promote("main")
    assert served.live().phase == "idle"


@pytest.mark.parametrize("step", all_but("deploy"))
def test_a_killed_engine_leaves_what_the_next_run_repairs(served: World, step: str):
    commit, promotion = at_work(served, step, seed=40 + FLOW.index(step))

    promotion.send_signal(signal.SIGKILL)
    served.machine.end(promotion)
    ended = served.promote(step)

    assert ended.code == 0, ended.text
    assert served.live().phase == "idle"
    assert served.live().root.endswith(commit)
    assert len(served.server_pids()) == 1


def test_a_killed_run_is_continued_without_doing_again_what_is_done(served: World):
    commit, promotion = at_work(served, "deploy", seed=60)
    promotion.send_signal(signal.SIGKILL)
    served.machine.end(promotion)
    before = served.machine.run_state()

    ended = served.machine.promote("--retry", before["name"])

    assert ended.code == 0, ended.text
    assert served.live().root.endswith(commit)
    after = {n["name"]: n for n in served.machine.run_state()["nodes"]}
    done = [n for n in before["nodes"] if n["phase"] == "Succeeded"]
    assert {n["name"] for n in done} == {"resolve", "preflight", "mirror", "populate", "checksum"}
    assert [after[n["name"]]["attempts"] for n in done] == [n["attempts"] for n in done]


@pytest.mark.exhaustive
def test_a_run_that_was_rolled_back_is_continued_from_where_it_failed(served: World):
    served.publish(branch="again", seed=70, fault="slow-start:6")
    failed = served.promote("again", VLLM_PROMOTE_STARTUP_BUDGET_SECONDS="4")
    assert failed.code == 1, failed.text
    release = served.live().refused[-1]
    allowed = served.machine.run("allow", "--local", "--deployment", served.deployment, "--release", release)
    assert allowed.code == 0, allowed.text

    ended = served.machine.promote("--retry", served.machine.run_state()["name"])

    assert ended.code == 0, ended.text
    assert served.live().release_id == release
