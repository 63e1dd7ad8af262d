from dataclasses import replace
from pathlib import Path

import pytest

from steps.core.release import Release, Serving
from tests.stubs.runs import COMMIT, OLD
from workflows.plan import Hop, Outage, Plan, text

GOLDEN = Path(__file__).parents[1] / "goldens" / "plan.txt"
GIB = 2**30
RELEASE = Release(
    deployment="chat",
    model="org/chat",
    commit=COMMIT,
    manifest_sha256="5" * 64,
    total_bytes=13 * GIB,
    serving=Serving(
        served_name="chat", image="vllm", device="cuda", gpus=1, args=("--max-model-len", "2048"), pod="{}"
    ),
)
PLAN = Plan(
    release=RELEASE,
    revision="main",
    state="new",
    files=11,
    left_behind=("model.bin", "original/a.pth"),
    to_store=Hop(move=9 * GIB, reuse=4 * GIB),
    to_volume=Hop(move=13 * GIB, reuse=0),
    in_one_pass=9 * GIB,
    free_bytes=100 * GIB,
    live=OLD,
    url="http://127.0.0.1:20123",
    outage=Outage(38.6, "as in the last promotion"),
)


def row(plan, label):
    [line] = [line for line in text(plan).splitlines() if line.startswith(f"  {label} ")]
    return line.removeprefix(f"  {label}").strip()


def test_a_plan_reads_like_this(update_goldens):
    if update_goldens:
        GOLDEN.write_text(text(PLAN) + "\n")
    assert text(PLAN) + "\n" == GOLDEN.read_text()


def test_a_first_promotion_says_that_there_is_nothing_to_go_back_to():
    first = replace(PLAN, live=None, url="", outage=Outage(0.0, "nothing serves yet"))
    assert row(first, "serves now") == "nothing: this is the first promotion"
    assert row(first, "rollback target") == "none: after a failure nothing serves, as now"
    assert row(first, "expected outage") == "none, nothing serves yet"
    assert row(first, "endpoint") == "chosen by the first promotion"


def test_a_plan_of_two_hops_says_nothing_of_one_pass():
    assert row(replace(PLAN, in_one_pass=0), "store to volume") == "13.0 GiB to copy, 0 B there already"


@pytest.mark.parametrize(("state", "words"), [("live", "already live"), ("repair", "not healthy")])
def test_what_is_live_already_is_said_first(state, words):
    plan = replace(PLAN, state=state)
    assert words in text(plan).splitlines()[0]
    assert row(plan, "rollback target").startswith("not needed")


def test_a_commit_that_was_asked_for_as_such_is_not_repeated():
    assert row(replace(PLAN, revision=COMMIT), "commit") == COMMIT


def test_many_files_left_behind_are_counted_and_some_of_them_named():
    plan = replace(PLAN, left_behind=tuple(f"f{i}.bin" for i in range(9)))
    assert row(plan, "left behind").endswith("f5.bin and 3 more")
    assert row(replace(PLAN, left_behind=()), "left behind") == "none"


def test_a_plan_for_the_cpu_counts_no_gpus():
    cpu = replace(RELEASE, replicas=2, serving=replace(RELEASE.serving, device="cpu", gpus=0, args=()))
    plan = replace(PLAN, release=cpu)
    assert row(plan, "served as") == "chat on the CPU"
    assert row(plan, "strategy") == "recreate, 2 replicas"
    assert row(plan, "arguments") == "none"


def test_a_model_that_is_fetched_in_shares_says_so_where_there_is_anything_to_fetch():
    large = replace(PLAN, shares=3)
    assert row(large, "Hub to store") == "9.0 GiB to copy, 4.0 GiB there already, in 3 shares side by side"
    assert row(replace(large, to_store=Hop(0, 9)), "Hub to store") == "0 B to copy, 9 B there already"
