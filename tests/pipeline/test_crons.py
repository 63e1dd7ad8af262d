"""What a clock starts in a cluster, on one machine: branches are followed, and the dead's work is put right."""

import json
import os
import signal
from collections.abc import Mapping

from steps.core.run import Run
from tests.stubs.world import TOKEN, World
from workflows import cron, pods
from workflows.local.engine import Engine
from workflows.local.environment import Sources
from workflows.pods import TemplateConfig


def night(world: World, name: str) -> Run:
    """The refresh's own manifest, carried out as Argo would."""
    manifest = cron.refresh_template(TemplateConfig(retry_base_seconds=0.2), "any")
    given = {**world.machine.environ, **settings(world)}
    s3 = {key: value for key, value in world.s3.environ().items() if key.startswith("AWS_")}
    sources = Sources(
        config_maps={pods.SETTINGS: given},
        secrets={pods.S3_SECRET: s3, pods.HUB_SECRET: {"HF_TOKEN": TOKEN}},
        environ=os.environ,
    )
    return Engine(manifest, world.machine.home, sources).run({}, name)


def settings(world: World) -> Mapping[str, str]:
    return {
        "VLLM_PROMOTE_SERVING": f"local://{world.machine.home}",
        "VLLM_PROMOTE_VOLUME": str(world.volume),
        "VLLM_PROMOTE_DEVICE": "cpu",
    }


def test_a_branch_that_moves_is_proposed_with_the_command_that_promotes_it(served: World):
    moved = served.publish(seed=2)

    told = night(served, "night-1")

    assert told.phase == "Succeeded"
    assert told.output("refresh", "summary") == "proposed: chat"
    shown = served.machine.run("refresh", "--local")
    assert shown.code == 0, shown.text
    (typed,) = [line.split() for line in shown.text.splitlines() if "workflows.promote" in line]
    assert typed[-7:] == ["--model", served.model, "--revision", moved, "--deployment", "chat", "--local"]
    plan = served.machine.run("promote", *typed[-7:], "--dry-run")
    assert plan.code == 0, plan.text
    assert moved in plan.text


def test_what_serves_already_is_up_to_date(served: World):
    served.catalog(revision=served.live().root.rpartition("/")[2])

    assert served.machine.run("refresh", "--local").text.startswith("chat: live: ")
    served.catalog()


def test_an_entry_that_cannot_be_looked_at_is_told_beside_what_is_found(served: World):
    entries = {"chat": {"model": served.model, "served_name": "tiny"}, "gone": {"model": "acme/gone"}}
    (served.directory / "catalog.yaml").write_text(json.dumps({"deployments": entries}))

    told = night(served, "night-2")
    shown = served.machine.run("refresh", "--local")
    served.catalog()

    assert (told.phase, [n.phase for n in told.nodes]) == ("Failed", ["Failed", "Failed"])
    assert "acme/gone" in told.nodes[1].attempts[-1].message
    assert shown.code == 1
    assert "chat: proposed: " in shown.text
    assert "gone: failed: " in shown.text


def test_after_a_power_cut_the_previous_model_is_brought_back_without_a_new_promotion(served: World):
    good = served.live()
    served.publish(seed=3, fault="slow-start:2")
    promotion = served.start_promotion()
    swapping = lambda: served.machine.record("chat")["phase"] == "swapping"  # noqa: E731  # it is asked again and again
    served.machine.wait_for_step(promotion, "deploy", begun=swapping)
    promotion.send_signal(signal.SIGKILL)
    served.machine.end(promotion)

    ended = served.machine.run("reconcile", "--local")

    assert ended.code == 0, ended.text
    assert "chat: back at the previous release" in ended.text
    assert served.live() == good
    assert served.machine.run("reconcile", "--local", "--deployment", "chat").text == "chat: nothing unfinished\n"
    newest, why, *_ = served.machine.run("history", "--local").text.splitlines()
    assert "  rolled-back  " in newest
    assert why.startswith("    its run was cut off: what served before was brought back by reconcile-")
