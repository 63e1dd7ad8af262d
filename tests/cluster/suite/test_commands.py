"""The commands against a cluster, as people type them: each a process of its own that has nothing but a kubeconfig."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from steps.clients.kube.api import WORKFLOW
from steps.core.names import slug
from tests.cluster.suite.estate import ANSWER, Estate
from tests.cluster.suite.node import until
from workflows.checkout import CHECKOUT

SOON_SECONDS = 30.0
"""A mistake is told within this time: on a quiet machine two, and no wait of minutes."""
PATIENCE_SECONDS = 400.0
OURS = ("VLLM_PROMOTE_", "AWS_", "HF_", "ARGO_")


@pytest.fixture(scope="module")
def served(estate: Estate) -> Estate:
    """Its tests leave a good model serving, on the CPU: the node's GPU may be somebody else's."""
    estate.catalog(device="cpu")
    publish(estate, seed=1)
    done = command(estate, "promote", "--model", estate.model)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "\npromoted\n" in done.stdout
    return estate


def publish(estate: Estate, *, seed: int, **stub: Any) -> None:
    estate.publish(seed=seed, **{"device": "cpu", **stub})


def environment(estate: Estate, **more: str) -> dict[str, str]:
    """Of a person outside of the cluster: the store and the Hub have other addresses there."""
    machine = {k: v for k, v in os.environ.items() if not k.startswith(OURS)}
    own = {
        "VLLM_PROMOTE_NAMESPACE": estate.namespace,
        "VLLM_PROMOTE_PREFIX": estate.prefix,
        "VLLM_PROMOTE_BUCKET": estate.around.s3.bucket,
        "VLLM_PROMOTE_CATALOG": str(estate.home / "catalog.yaml"),
        "AWS_ENDPOINT_URL": estate.around.s3.endpoint,
        "AWS_ACCESS_KEY_ID": estate.around.s3.who.access_key,
        "AWS_SECRET_ACCESS_KEY": estate.around.s3.who.secret_key,
        "HF_ENDPOINT": estate.around.hub.endpoint,
    }
    return {**machine, **own, **more}


def begin(estate: Estate, verb: str, *argv: str, **more: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", f"workflows.{verb}", *argv],
        cwd=CHECKOUT,
        env=environment(estate, **more),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def ended(process: subprocess.Popen[str], seconds: float = PATIENCE_SECONDS) -> subprocess.CompletedProcess[str]:
    out, err = process.communicate(timeout=seconds)
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def command(
    estate: Estate, verb: str, *argv: str, seconds: float = PATIENCE_SECONDS, **more: str
) -> subprocess.CompletedProcess[str]:
    return ended(begin(estate, verb, *argv, **more), seconds)


def asked(estate: Estate, verb: str, *argv: str) -> Any:
    """What a program is answered."""
    done = command(estate, verb, *argv, "-o", "json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def submitted(estate: Estate) -> str:
    """The name of a run that nobody waits for."""
    done = command(estate, "promote", "--model", estate.model, "--no-wait")
    match = re.match(r"submitted (\S+);", done.stdout)
    assert match, done.stdout + done.stderr
    return match[1]


@pytest.fixture
def slow(served: Estate) -> Iterator[Estate]:
    """A new commit whose model server takes its time, so that a run can be met in the middle."""
    publish(served, seed=9, fault="slow-start:600")
    yield served
    publish(served, seed=1)


def test_a_promotion_is_told_line_by_line_and_found_live_by_the_next_one(served):
    done = command(served, "promote", "--model", served.model)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.match(r"promote-[\w-]+: acme/tiny main to chat\nresolve: running\nresolve: succeeded after ", done.stdout)
    assert "\nmirror: skipped\n" in done.stdout
    assert "\nalready live\n  serves   acme/tiny at " in done.stdout
    assert served.says() == ANSWER


def test_status_and_history_tell_of_it(served):
    [status] = asked(served, "status")
    assert (status["deployment"], status["phase"]) == (served.deployment, "idle")
    assert status["live"]["release_id"] == served.record().live
    assert asked(served, "status", "--deployment", "nobody")[0]["live"] is None
    *_, first = asked(served, "history")
    assert (first["outcome"], first["release_id"]) == ("promoted", status["live"]["release_id"])
    assert "--local" not in command(served, "status").stdout


@pytest.mark.timeout(900)
def test_an_audit_reads_and_repairs_the_volume_in_a_pod_because_no_other_place_has_it(served):
    live = asked(served, "status")[0]["live"]
    config = served.volume / slug(served.model) / live["commit"] / "config.json"
    good = config.read_bytes()
    right = command(served, "audit")
    assert (right.returncode, "1 commit looked at: no difference" in right.stdout) == (0, True), right.stdout
    config.write_bytes(good[:-1] + b"?")

    damaged = command(served, "audit", "--deployment", served.deployment)
    assert damaged.returncode == 1, damaged.stdout + damaged.stderr
    assert f"volume: {served.model} at {live['commit']}: config.json: sha256 " in damaged.stdout
    assert config.read_bytes() != good

    repaired = command(served, "audit", "--repair")
    assert repaired.returncode == 0, repaired.stdout + repaired.stderr
    assert "1 difference, repaired and read again" in repaired.stdout
    assert config.read_bytes() == good
    assert served.says() == ANSWER


def test_a_dry_run_says_what_is_known_from_outside_and_begins_nothing(served):
    publish(served, seed=5)
    runs = len(served.api.list(WORKFLOW))
    done = command(served, "promote", "--model", served.model, "--dry-run")
    publish(served, seed=1)
    assert done.returncode == 0, done.stderr
    assert "Plan for deployment chat: nothing was changed" in done.stdout
    assert re.search(r"store to volume +known in the cluster only", done.stdout)
    assert re.search(r"rollback target +acme/tiny at ", done.stdout)
    assert len(served.api.list(WORKFLOW)) == runs


def test_a_step_that_fails_tells_its_own_sentence_and_the_old_model_serves(served):
    publish(served, seed=6, answer="banana")
    done = command(served, "promote", "--model", served.model)
    publish(served, seed=1)
    assert done.returncode == 1, done.stdout + done.stderr
    assert re.search(r"\nrolled back \(smoke\)\n  why      Failed: .*banana", done.stdout)
    assert "serves   what served before (acme/tiny at " in done.stdout
    assert served.says() == ANSWER
    [refused] = asked(served, "status")[0]["refused"]
    assert command(served, "allow", "--deployment", served.deployment, "--release", refused).returncode == 0
    assert asked(served, "status")[0]["refused"] == []


def test_a_release_goes_back_by_hand_and_clients_are_told_what_it_cost_them(served, tell):
    before = served.root()
    publish(served, seed=7)
    assert command(served, "promote", "--model", served.model).returncode == 0
    assert served.root() != before
    with served.clients() as clients:
        done = command(served, "rollback", "--deployment", served.deployment)
    publish(served, seed=1)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "\nrolled back by hand\n" in done.stdout
    assert served.root() == before
    said = asked(served, "history")[0]["outage_seconds"]
    assert clients.outage_seconds < said + 1
    assert re.search(r"\n  outage +clients had no answer for ", done.stdout)
    tell(f"back by hand: {clients.outage_seconds:.1f} s without an answer, told as {said:.1f} s")


def test_a_run_is_left_alone_picked_up_and_stopped(slow):
    name = submitted(slow)
    slow.reached(name, "deploy", lambda: slow.record().phase == "swapping")
    watching = begin(slow, "watch", name)
    assert watching.stdout
    assert any(line == "deploy: running\n" for line in iter(watching.stdout.readline, ""))
    watching.send_signal(signal.SIGINT)
    left = ended(watching)
    assert (left.returncode, f"run {name} goes on" in left.stdout) == (130, True)
    assert command(slow, "stop", "--run", name).returncode == 0
    followed = command(slow, "watch", name)
    assert followed.returncode == 1, followed.stdout
    assert re.search(r"\nrolled back \(deploy\)\n  why      Stopped", followed.stdout)
    assert slow.says() == ANSWER


def test_a_run_whose_time_is_over_is_brought_back(slow):
    done = command(slow, "promote", "--model", slow.model, "--timeout", "30")
    assert done.returncode == 124, done.stdout + done.stderr
    assert "its time is over: stopping it" in done.stdout
    assert slow.says() == ANSWER


def test_a_second_run_waits_and_names_the_one_that_it_waits_for(slow):
    first = submitted(slow)
    slow.reached(first, "resolve")
    second = submitted(slow)
    until(lambda: slow.run(second).message)
    watching = begin(slow, "watch", second)
    assert watching.stdout
    lines = iter(watching.stdout.readline, "")
    assert any(first in line for line in lines if line.startswith(f"{second}: waits for"))
    watching.send_signal(signal.SIGINT)
    ended(watching)
    for name in (second, first):
        assert command(slow, "stop", "--run", name).returncode == 0
    slow.ended(first)
    slow.ended(second)


@pytest.mark.parametrize(
    ("verb", "argv"),
    [
        ("promote", ("--model", "acme/tiny")),
        ("status", ()),
        ("history", ()),
        ("rollback", ("--deployment", "chat")),
        ("watch", ("run-1",)),
        ("stop", ("--run", "run-1")),
    ],
)
def test_without_a_kubeconfig_each_says_so_at_once(served, verb, argv):
    done = command(served, verb, *argv, KUBECONFIG="/nowhere", seconds=SOON_SECONDS)
    assert (done.returncode, "set KUBECONFIG" in done.stderr, done.stderr.count("\n")) == (3, True, 1)


def test_a_namespace_without_an_installation_is_told_with_the_remedy(served):
    elsewhere = {"VLLM_PROMOTE_NAMESPACE": "default"}
    done = command(served, "promote", "--model", served.model, seconds=SOON_SECONDS, **elsewhere)
    assert done.returncode == 3
    assert "workflows.install" in done.stderr


def test_the_installed_catalog_counts_whatever_lies_here(served):
    (served.home / "catalog.yaml").write_text("deployments: {other: {model: acme/tiny}}")
    done = command(served, "promote", "--model", served.model)
    (served.home / "catalog.yaml").write_text("{}")
    assert done.returncode == 0, done.stderr
    assert "to chat\n" in done.stdout
