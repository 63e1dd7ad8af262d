import base64
import gzip
import json
import os
import subprocess
import sys

import pytest

from steps.core import argo_words
from steps.core.argo import is_over, run, workflow
from steps.core.outcome import decide, exit_code
from steps.core.run import Run, parse
from steps.errors import Corrupt, Missing
from tests.stubs.recorded import WORKFLOWS, shared_out
from tests.stubs.recorded import workflow as recorded
from workflows.argo.again import again
from workflows.follow import news

MAIN = ("resolve", "preflight", "mirror", "populate", "checksum", "deploy", "smoke", "promote")
WHOLE = (*MAIN, "rollback", "report")
STOPPED = "Stopped with strategy 'Stop'"


def phases(run: Run) -> dict[str, str]:
    return {node.name: node.phase for node in run.nodes}


def attempts(run: Run, node: str) -> list[tuple[str, int | None, str]]:
    found = run.node(node)
    assert found
    return [(a.phase, a.exit_code, a.message) for a in found.attempts]


@pytest.mark.parametrize("path", sorted(WORKFLOWS.glob("*.json")), ids=lambda path: path.stem)
def test_every_recorded_run_has_our_tasks_in_their_order_and_outlasts_the_engines_own_file(path):
    seen = run(recorded(path.stem))
    assert tuple(node.name for node in seen.nodes) == WHOLE
    assert [node.name for node in seen.nodes if node.on_exit] == ["rollback", "report"]
    assert parse(seen.dump(), "here") == seen


def test_a_good_run_is_told_with_its_outputs_times_and_parameters():
    seen = run(recorded("promoted"))
    assert set(phases(seen).values()) == {"Succeeded", "Skipped"}
    assert (seen.template, seen.parameters["model"], is_over(seen)) == ("vllm-promote", "org/chat", True)
    assert (seen.output("resolve", "release_id"), seen.output("promote", "outage_seconds")) == ("ab12ab12ab12", "2.5")
    assert attempts(seen, "mirror") == [("Succeeded", 0, "")]
    assert seen.finished
    assert seen.finished - seen.started == 44
    assert seen.uid == recorded("promoted")["metadata"]["uid"]


@pytest.mark.parametrize(
    ("name", "outcome"),
    [
        ("promoted", "promoted"),
        ("live", "live"),
        ("refused", "refused"),
        ("bad", "rolled-back"),
        ("stop", "failed"),
        ("term", "failed"),
        ("oom", "failed"),
        ("stuck", "rollback-failed"),
    ],
)
def test_how_a_recorded_run_ended_is_told_from_its_nodes(name, outcome):
    seen = run(recorded(name))
    assert decide(seen, None) == outcome
    assert exit_code(outcome) in (0, 1, 4)


def test_each_attempt_has_its_own_exit_code_and_the_steps_own_sentence():
    seen = run(recorded("bad"))
    assert attempts(seen, "mirror") == [("Failed", 75, "Transient: S3 answered 503"), ("Succeeded", 0, "")]
    node, last = seen.failure() or pytest.fail("it failed")
    assert (node.name, last.exit_code) == ("smoke", 16)
    assert last.message == "Failed: pod-1 answered 'banana banana' where 'Paris' must occur"
    assert phases(seen)["promote"] == "Omitted"


def test_a_step_that_was_killed_for_its_memory_is_told_in_a_sentence():
    seen = run(recorded("oom"))
    said = "it needed more memory than its pod may have and was killed (exit code 137); see its log"
    assert attempts(seen, "mirror") == [("Failed", 137, said)] * 6


def test_a_stopped_step_tells_its_own_end_once_its_pod_has_ended():
    during, after = run(recorded("stop-stopping")), run(recorded("stop"))
    assert [line for line in news(None, during) if line.startswith("mirror")] == ["mirror: running"]
    assert attempts(after, "mirror") == [
        ("Failed", 143, "Stopped: mirror was ended by SIGTERM; run it again to go on"),
    ]
    assert (after.message, phases(after)["deploy"]) == (STOPPED, "Omitted")
    assert not is_over(during)
    assert [phases(seen)["mirror"] for seen in (during, after)] == ["Failed", "Failed"]


def test_a_stopped_step_whose_end_is_not_told_yet_is_not_told_as_lost():
    """The controller writes the end of the pod's time some seconds before the executor's word of how it ended."""
    early = recorded("stop-stopping")
    [cut] = (n for n in early["status"]["nodes"].values() if n["name"].endswith(".mirror(0)"))
    cut["finishedAt"] = "2026-11-23T03:50:22Z"
    during, after = run(early), run(recorded("stop"))
    assert attempts(during, "mirror") == [("Failed", None, STOPPED)]
    assert not any("lost" in line for line in news(None, during))
    assert any("exit 143: Stopped: mirror was ended" in line for line in news(during, after))


def test_a_step_that_ignores_the_stop_is_lost_from_sight():
    assert attempts(run(recorded("stuck")), "deploy") == [("Failed", None, STOPPED)]


def test_after_a_termination_the_exit_handler_was_left_out():
    seen = run(recorded("term"))
    assert (phases(seen)["rollback"], phases(seen)["report"]) == ("Omitted", "Omitted")


def test_a_run_that_waits_for_the_mutex_names_the_run_that_holds_it():
    seen = run(recorded("waiting"))
    assert (seen.phase, is_over(seen)) == ("Pending", False)
    assert seen.message == "waits for hold-sqq46, which holds vllm-promote-stop"
    assert set(phases(seen).values()) == {"Pending"}


@pytest.mark.parametrize(
    ("name", "reason"), [("bad-pull", "ImagePull"), ("unschedulable", "Unschedulable: 0/1 nodes are available")]
)
def test_what_keeps_a_pod_from_starting_is_told(name, reason):
    [(phase, code, said)] = attempts(run(recorded(name)), "preflight")
    assert (phase, code, reason in said) == ("Pending", None, True)


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("main: Error (exit code 12): digest: aa\nbb ", "digest: aa bb"),
        ("main: Error (exit code 12)", "it ended with exit code 12 and without a word; see its log"),
        ("pod deleted", "pod deleted"),
        ("wait: Error (exit code 64): forbidden", "wait: Error (exit code 64): forbidden"),
        ("workflow shutdown with strategy:  Terminate", "Stopped with strategy 'Terminate'"),
    ],
)
def test_argos_words_around_a_sentence_are_left_out(said, told):
    assert argo_words.of_attempt(said) == told


@pytest.mark.parametrize("said", ["", "PodInitializing", "ContainerCreating"])
def test_what_passes_by_itself_is_no_news(said):
    assert argo_words.of_waiting(said) == ""


def test_progress_is_told_once_the_step_has_told_some():
    whole = recorded("stop-stopping")
    [pod] = [n for n in whole["status"]["nodes"].values() if n["displayName"] == "mirror(0)"]
    told = []
    for progress in ("0/1", "0/100", "12/269", "1/1"):
        pod["progress"] = progress
        told.append((run(whole).node("mirror") or pytest.fail("none")).progress)
    assert told == ["", "", "12/269", ""]


def test_a_run_that_was_just_created_or_retried_is_pending():
    fresh = {**recorded("promoted"), "status": {}}
    assert (run(fresh).phase, run(fresh).nodes, is_over(run(fresh))) == ("Pending", (), False)
    retried = recorded("promoted")
    del retried["status"]["phase"]
    assert not is_over(run(retried))


def test_packed_nodes_are_the_same_nodes():
    whole = recorded("bad")
    packed = recorded("bad")
    body = gzip.compress(json.dumps(packed["status"].pop("nodes")).encode())
    packed["status"]["compressedNodes"] = base64.b64encode(body).decode()
    assert run(packed) == run(whole)


@pytest.mark.parametrize("packed", ["!", base64.b64encode(b"no gzip").decode(), "H4sIAAAAAAAA"])
def test_packed_nodes_that_are_damaged_are_said_to_be(packed):
    whole = recorded("bad")
    whole["status"]["compressedNodes"] = packed
    with pytest.raises(Corrupt, match=f"compressed nodes of run {whole['metadata']['name']}"):
        run(whole)


def test_nodes_that_argo_keeps_in_its_database_need_argo_server():
    whole = recorded("bad")
    whole["status"]["offloadNodeStatusVersion"] = "fnv:1"
    with pytest.raises(Missing, match="set ARGO_SERVER"):
        run(whole)


def test_a_run_is_asked_for_by_its_template_and_parameters_alone():
    asked = workflow("vllm-promote", {"model": "org/chat"}, generate_name="promote-", labels={"a": "b"})
    assert asked["metadata"] == {"generateName": "promote-", "labels": {"a": "b"}}
    assert asked["spec"] == {
        "workflowTemplateRef": {"name": "vllm-promote"},
        "arguments": {"parameters": [{"name": "model", "value": "org/chat"}]},
    }
    assert workflow("t", {}, name="x")["metadata"]["name"] == "x"


def test_times_are_read_whatever_the_timezone_of_the_reader():
    code = (
        "from steps.core.argo import run; from tests.stubs.recorded import workflow as w; print(run(w('bad')).started)"
    )
    told = [
        subprocess.run(
            [sys.executable, "-c", code], env={**os.environ, "TZ": zone}, check=True, capture_output=True
        ).stdout
        for zone in ("UTC", "Asia/Tokyo")
    ]
    assert told[0] == told[1]


SHARES = ("1-of-3", "2-of-3", "3-of-3")


@pytest.mark.parametrize("name", ["promoted", "bad", "live", "term", "stop"])
def test_a_task_that_is_shared_out_to_one_is_told_as_if_it_was_not_shared_out(name):
    assert run(shared_out(recorded(name), "mirror", ["1-of-1"])) == run(recorded(name))


def test_of_a_task_that_is_shared_out_each_run_is_told_behind_it():
    seen = run(shared_out(recorded("bad"), "mirror", SHARES))
    names = [node.name for node in seen.nodes]
    shares = [f"mirror({n}:{share})" for n, share in enumerate(SHARES)]
    assert names == [*MAIN[:3], *shares, *MAIN[3:], "rollback", "report"]
    assert [attempts(seen, share) for share in shares] == [attempts(run(recorded("bad")), "mirror")] * 3
    assert (phases(seen)["mirror"], attempts(seen, "mirror")) == ("Succeeded", [])
    assert parse(seen.dump(), "here") == seen


def test_the_progress_of_what_is_shared_out_is_that_of_all():
    whole = shared_out(recorded("promoted"), "mirror", SHARES)
    for node in whole["status"]["nodes"].values():
        if node["type"] == "Pod" and ".mirror(" in node["name"]:
            node["progress"] = "3/5"
    seen = run(whole).node("mirror")
    assert seen
    assert seen.progress == "9/15"


def test_what_argo_leaves_running_for_ever_after_a_stop_is_told_as_its_parts_have_ended():
    whole = shared_out(recorded("bad"), "mirror", SHARES)
    group = whole["status"]["nodes"]["group"]
    group["phase"] = "Running"
    assert phases(run(whole))["mirror"] == "Succeeded"
    parts = [n for n in whole["status"]["nodes"].values() if ":2-of-3)" in n["name"]]
    for part in parts:
        part["phase"] = "Failed"
    assert phases(run(whole))["mirror"] == "Failed"
    del whole["status"]["finishedAt"]
    assert phases(run(whole))["mirror"] == "Running", "another share of it may have begun since"


def test_a_task_that_was_left_out_is_told_once_however_many_would_have_done_it():
    seen = run(shared_out(recorded("live"), "mirror", SHARES))
    assert seen == run(recorded("live"))


def test_a_run_that_is_done_again_keeps_all_that_a_shared_out_task_has_done():
    whole = shared_out(recorded("bad"), "mirror", SHARES)
    fresh = again(whole, now=1.0)
    kept = {node["name"].rpartition(".")[2] for node in fresh.workflow["status"]["nodes"].values()}
    assert {"mirror", *(f"mirror({n}:{share})" for n, share in enumerate(SHARES))} <= kept
    assert {f"mirror(2:3-of-3)({attempt})" for attempt in (0, 1)} <= kept
    assert not any(name.startswith(("smoke", "promote")) for name in kept)
