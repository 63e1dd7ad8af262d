"""A real vLLM and a real chat model, on one accelerator: first promotion, upgrade, and a refused one rolled back.

There is no GPU here, so vLLM runs on the CPU, and says so to smoke. What makes it scarce is a resource of another name
than a GPU's, of which the node has one: the catalog asks for it as it would ask for any device that is not NVIDIA's.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from steps.core.run import Run
from tests.cluster.suite.estate import Estate, told
from tests.cluster.suite.node import ACCELERATOR
from tests.stubs.clients import Clients
from workflows.local.demo import smollm2, vllm_cpu
from workflows.local.hub import publish

IMAGE = "vllm-promote-test/vllm-cpu:1"
PATIENCE_SECONDS = 600.0
IMPATIENT_SECONDS = 5.0
"""It answers within a tenth of a second, unless the machine does much else."""
STEPS = ("resolve", "preflight", "mirror", "populate", "checksum", "deploy", "smoke", "promote", "rollback", "report")


@pytest.fixture(scope="module")
def chat(estate: Estate) -> Iterator[Estate]:
    estate.model = smollm2.MODEL
    catalog(estate)
    with estate.around.node.having(ACCELERATOR, 1):
        yield estate


def catalog(estate: Estate, **entry: Any) -> None:
    estate.catalog(
        device="cpu",
        image=IMAGE,
        args=["--dtype=float32", "--enforce-eager", "--max-model-len=2048"],
        pod={"resources": {"limits": {ACCELERATOR: "1"}}},
        **entry,
    )


def made() -> Path:
    """Where the model's versions are, each under its name."""
    return smollm2.prepare(vllm_cpu.python(os.environ), os.environ)


@pytest.fixture(scope="module")
def bring(chat: Estate, tmp_path_factory: pytest.TempPathFactory):
    """Publish a version of the model, and promote it while clients ask: its commit, the run, the clients."""
    versions = made()

    def bring(version: str) -> tuple[str, Run, Clients]:
        root = chat.around.hub.root
        commit = publish(root, chat.model, versions / version, branch=version, message=version, link=True)
        with chat.clients(IMPATIENT_SECONDS) as clients:
            run = chat.promote(version, PATIENCE_SECONDS)
        return commit, run, clients

    return bring


def times(run: Run) -> str:
    found = ((name, run.node(name)) for name in STEPS)
    steps = ((name, sum(a.seconds or 0 for a in node.attempts)) for name, node in found if node and node.attempts)
    whole = (run.finished or run.started) - run.started
    return f"{whole:.0f} s: " + ", ".join(f"{name} {seconds:.0f}" for name, seconds in steps)


@pytest.mark.timeout(800)
def test_a_first_promotion_brings_a_model_into_service(chat, bring, tell):
    commit, run, clients = bring("first")

    assert run.phase == "Succeeded", told(run)
    assert "Paris" in chat.says()
    assert clients.roots in ([], [chat.directory(commit)])
    assert chat.root() == chat.directory(commit)
    tell(f"first promotion of SmolLM2 with a real vLLM: {times(run)}")


@pytest.mark.timeout(800)
def test_an_upgrade_replaces_it_on_the_same_accelerator(chat, bring, tell):
    old = chat.root()

    commit, run, clients = bring("second")

    assert run.phase == "Succeeded", told(run)
    assert "Paris" in chat.says()
    assert clients.roots == [old, chat.directory(commit)]
    tell(f"upgrade: {times(run)}; clients had no answer for {clients.outage_seconds:.0f} s")


@pytest.mark.timeout(1300)
def test_a_candidate_that_talks_nonsense_is_taken_back_and_the_old_one_answers(chat, bring, tell):
    old, record = chat.root(), chat.record()

    _, run, clients = bring("damaged")

    node, attempt = run.failure()
    assert (node.name, attempt.exit_code) == ("smoke", 16), told(run)
    assert run.output("rollback", "outcome") == "rolled-back", told(run)
    assert "Paris" in chat.says()
    assert clients.roots == [old]
    assert (chat.record().phase, chat.record().live) == ("idle", record.live)
    tell(f"refused and rolled back: {times(run)}; clients had no answer for {clients.outage_seconds:.0f} s")
