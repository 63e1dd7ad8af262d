"""The local engine on real processes, with steps that do as they are told."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from steps.clients.local.journal import LocalJournal
from steps.core.run import Attempt, Node, Run
from steps.errors import BadInput, Conflict
from tests.stubs.manifests import manifest, output, retry, task
from workflows.checkout import CHECKOUT
from workflows.local.engine import Engine
from workflows.local.environment import Sources

NOTHING = Sources(config_maps={}, secrets={}, environ=os.environ)
DEADLINE_SECONDS = 20.0


@pytest.fixture
def home(tmp_path):
    return tmp_path / "local"


@pytest.fixture
def begin(home):
    """Start a run in a thread; whatever happens in the test, it is ended."""
    started: list[tuple[Engine, threading.Thread]] = []

    def begin(built: Mapping[str, Any], name: str) -> Begun:
        engine = Engine(built, home, NOTHING)
        begun = Begun(engine)
        thread = threading.Thread(target=lambda: begun.ended.append(engine.run({"p": "v"}, name)))
        started.append((engine, thread))
        begun.thread = thread
        thread.start()
        return begun

    yield begin
    for engine, thread in started:
        engine.terminate()
        thread.join(DEADLINE_SECONDS)


class Begun:
    thread: threading.Thread

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.ended: list[Run] = []

    def end(self) -> Run:
        self.thread.join(DEADLINE_SECONDS)
        return self.ended[0]


def run(home: Path, built: Mapping[str, Any], sources: Sources = NOTHING, **parameters: str) -> Run:
    return Engine(built, home, sources).run({"p": "v"} | parameters, "r1")


def phases(ended: Run) -> dict[str, str]:
    return {node.name: node.phase for node in ended.nodes}


def until(ready: Callable[[], Any]) -> None:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not ready():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)


def node(ended: Run, name: str) -> Node:
    found = ended.node(name)
    assert found
    return found


def attempts(ended: Run, name: str) -> tuple[Attempt, ...]:
    return node(ended, name).attempts


def codes(ended: Run, name: str) -> list[int | None]:
    return [attempt.exit_code for attempt in attempts(ended, name)]


def sentence(ended: Run) -> str:
    failure = ended.failure()
    assert failure
    return failure[1].message


def seen(home: Path, name: str) -> Run:
    """The run as its file shows it, as soon as there is one."""
    until(LocalJournal(home).file(name).exists)
    found = LocalJournal(home).run(name)
    assert found
    return found


def test_tasks_run_in_the_order_of_depends_and_outputs_reach_the_next(home):
    ended = run(
        home,
        manifest(
            {
                "b": task(
                    "out", depends="a", outputs=output("out"), arguments={"out": "{{tasks.a.outputs.parameters.out}}!"}
                ),
                "a": task("out", outputs=output("out"), arguments={"out": "{{workflow.parameters.p}}"}),
            }
        ),
    )
    a, b = node(ended, "a"), node(ended, "b")

    assert ended.phase == "Succeeded"
    assert b.outputs == {"out": "v!"}
    assert b.attempts[0].started >= (a.attempts[0].finished or 0)


def test_independent_tasks_run_side_by_side(home, tmp_path):
    here, there = tmp_path / "here", tmp_path / "there"

    ended = run(home, manifest({"a": task(f"touch:{here} until:{there}"), "b": task(f"touch:{there} until:{here}")}))

    assert ended.phase == "Succeeded"


def test_a_false_when_skips_and_what_follows_still_runs(home):
    ended = run(
        home,
        manifest(
            {
                "a": task(
                    "7", when="'{{workflow.parameters.p}}' == 'other'", outputs=output("out", default="left out")
                ),
                "b": task(
                    "out", depends="a", outputs=output("out"), arguments={"out": "{{tasks.a.outputs.parameters.out}}"}
                ),
                "c": task("7", depends="a", when="'{{tasks.a.outputs.parameters.out}}' != 'left out'"),
            }
        ),
    )

    assert phases(ended) == {"a": "Skipped", "b": "Succeeded", "c": "Skipped"}
    assert node(ended, "b").outputs == {"out": "left out"}
    assert ended.phase == "Succeeded"


def test_an_output_that_nobody_wrote_is_an_error_where_it_is_used(home):
    ended = run(
        home,
        manifest(
            {
                "a": task(when="'1' == '2'", outputs=output("out")),
                "b": task(depends="a", arguments={"do": "{{tasks.a.outputs.parameters.out}}"}),
            }
        ),
    )

    assert phases(ended) == {"a": "Skipped", "b": "Error"}
    assert ended.phase == "Error"


def test_a_failure_omits_what_depends_on_it_and_fails_the_run(home):
    ended = run(home, manifest({"a": task("say:bad-digest 13", retryStrategy=retry()), "b": task(depends="a")}))

    assert phases(ended) == {"a": "Failed", "b": "Omitted"}
    assert codes(ended, "a") == [13]
    assert ended.phase == "Failed"
    assert sentence(ended) == "bad-digest"


def test_a_transient_failure_is_tried_again_after_a_growing_wait(home):
    ended = run(home, manifest({"a": task("75 | 75 | 0", retryStrategy=retry(limit=2, duration="0.1s"))}))
    first, second, third = attempts(ended, "a")

    assert ended.phase == "Succeeded"
    assert [first.exit_code, second.exit_code, third.exit_code] == [75, 75, 0]
    assert 0.1 <= second.started - (first.finished or 0) < 5
    assert 0.2 <= third.started - (second.finished or 0) < 5


def test_no_more_is_tried_than_the_limit(home):
    ended = run(home, manifest({"a": task("75", retryStrategy=retry(limit=1))}))

    assert codes(ended, "a") == [75, 75]
    assert node(ended, "a").message == "No more retries left"


def test_a_step_that_was_killed_is_tried_again(home):
    ended = run(home, manifest({"a": task("dies | 0", retryStrategy=retry())}))

    assert codes(ended, "a") == [137, 0]
    assert ended.phase == "Succeeded"


def test_a_step_without_its_output_is_an_error_and_tried_again(home):
    ended = run(home, manifest({"a": task("0 | out", outputs=output("out"), retryStrategy=retry())}))

    assert [attempt.phase for attempt in attempts(ended, "a")] == ["Error", "Succeeded"]
    assert "did not write its output out" in attempts(ended, "a")[0].message


def test_a_command_that_is_not_there_fails_once(home):
    built = manifest({"a": task(retryStrategy=retry())})
    built["spec"]["templates"][1]["container"]["command"] = ["no-such-program"]

    ended = run(home, built)

    assert codes(ended, "a") == [127]
    assert "no-such-program" in sentence(ended)


def test_a_bug_is_told_by_the_last_line_of_its_log(home):
    ended = run(home, manifest({"a": task("nonsense", retryStrategy=retry())}))

    assert codes(ended, "a") == [1]
    assert sentence(ended) == "exit code 1: KeyError: 'nonsense'"
    assert "Traceback" in (home / "runs/r1/a.0.log").read_text()


def test_a_step_at_its_deadline_is_ended_and_tried_again(home):
    ended = run(home, manifest({"a": task("forever | 0", activeDeadlineSeconds=2, retryStrategy=retry())}))

    assert codes(ended, "a") == [143, 0]
    assert "at its deadline of 2 s" in attempts(ended, "a")[0].message


def test_a_step_that_ignores_sigterm_is_killed_after_the_grace(home, tmp_path):
    built = manifest({"a": task("deaf forever", activeDeadlineSeconds=2)})

    ended = Engine(built, home, NOTHING, grace_seconds=0.5).run({"p": "v"}, "r1")

    assert codes(ended, "a") == [137]


@pytest.mark.parametrize(
    ("do", "status", "rolled_back"), [("0", "Succeeded", "Skipped"), ("16", "Failed", "Succeeded")]
)
def test_the_exit_handler_runs_and_knows_how_the_run_ended(home, do, status, rolled_back):
    ended = run(
        home,
        manifest(
            {"a": task(do)},
            on_exit={
                "back": task(when="'{{workflow.status}}' != 'Succeeded'"),
                "tell": task(
                    "out",
                    depends="back.Succeeded || back.Failed || back.Errored || back.Skipped",
                    outputs=output("out"),
                    arguments={"out": "{{workflow.status}} {{tasks.back.status}}"},
                ),
            },
        ),
    )

    assert ended.phase == status
    assert node(ended, "tell").outputs == {"out": f"{status} {rolled_back}"}
    assert [node.on_exit for node in ended.nodes] == [False, True, True]


def test_an_exit_handler_that_fails_fails_a_good_run(home):
    assert run(home, manifest({"a": task()}, on_exit={"back": task("17")})).phase == "Failed"


def test_stop_ends_the_running_step_and_runs_the_exit_handler_once(home, begin, tmp_path):
    up = tmp_path / "up"
    built = manifest(
        {"a": task(f"touch:{up} forever", retryStrategy=retry()), "b": task(depends="a")},
        on_exit={"back": task("75", retryStrategy=retry())},
    )
    begun = begin(built, "r1")
    until(up.exists)

    begun.engine.stop()
    ended = begun.end()

    assert phases(ended) == {"a": "Failed", "b": "Omitted", "back": "Failed"}
    assert codes(ended, "a") == [143]
    assert codes(ended, "back") == [75]
    assert ended.phase == "Failed"
    assert ended.message == "Stopped with strategy 'Stop'"


def test_what_is_stopped_for_a_reason_says_the_reason_and_the_exit_handler_can_read_it(home, begin, tmp_path):
    up, go = tmp_path / "up", tmp_path / "go"
    built = manifest({"a": task(f"touch:{up} forever")}, on_exit={"back": task(f"until:{go}")})
    begun = begin(built, "r1")
    until(up.exists)

    begun.engine.stop("its time is over")
    until(lambda: seen(home, "r1").nodes[1].phase == "Running")

    assert (seen(home, "r1").message, seen(home, "r1").nodes[0].attempts[0].message) == ("its time is over",) * 2
    go.touch()
    assert begun.end().message == "its time is over"


def test_stop_between_two_attempts_tries_no_more(home, begin, tmp_path):
    begun = begin(manifest({"a": task("75", retryStrategy=retry(duration="60s", cap="60s"))}), "r1")
    until(lambda: seen(home, "r1").nodes[0].message == "Backoff for 60 s")

    begun.engine.stop()

    assert phases(begun.end()) == {"a": "Failed"}


def test_terminate_runs_no_exit_handler(home, begin, tmp_path):
    up = tmp_path / "up"
    begun = begin(manifest({"a": task(f"touch:{up} forever")}, on_exit={"back": task()}), "r1")
    until(up.exists)

    begun.engine.terminate()

    assert phases(begun.end()) == {"a": "Failed", "back": "Omitted"}


def test_a_second_run_waits_for_the_mutex_and_says_for_whom(home, begin, tmp_path):
    go = tmp_path / "go"
    built = manifest({"a": task(f"until:{go}")}, mutex="m-{{workflow.parameters.p}}")
    first = begin(built, "r1")
    until(lambda: seen(home, "r1").phase == "Running")
    second = begin(built, "r2")
    until(lambda: "waits for r1" in seen(home, "r2").message)

    assert seen(home, "r2").phase == "Pending"
    go.touch()
    assert first.end().phase == second.end().phase == "Succeeded"
    assert attempts(second.end(), "a")[0].started >= (first.end().finished or 0)


def test_stop_while_waiting_for_the_mutex_does_nothing_at_all(home, begin, tmp_path):
    go = tmp_path / "go"
    built = manifest({"a": task(f"until:{go}")}, on_exit={"back": task()}, mutex="m")
    begin(built, "r1")
    until(lambda: seen(home, "r1").phase == "Running")
    second = begin(built, "r2")
    until(lambda: "waits for r1" in seen(home, "r2").message)

    second.engine.stop()

    assert second.end().phase == "Failed"
    assert phases(second.end()) == {"a": "Omitted", "back": "Omitted"}
    go.touch()


def test_progress_is_shown_while_a_step_runs(home, begin, tmp_path):
    go = tmp_path / "go"
    begin(manifest({"a": task(f"half until:{go}")}), "r1")

    until(lambda: seen(home, "r1").nodes[0].progress == "1/2")
    go.touch()


def test_retry_keeps_what_succeeded_and_numbers_attempts_on(home):
    built = manifest(
        {
            "a": task("out", outputs=output("out"), arguments={"out": "kept"}),
            "b": task(
                "16 | out", depends="a", outputs=output("out"), arguments={"out": "{{tasks.a.outputs.parameters.out}}"}
            ),
            "c": task(depends="b"),
        },
        on_exit={"back": task()},
    )
    failed = run(home, built)

    ended = Engine(built, home, NOTHING).retry(failed)

    assert ended.phase == "Succeeded"
    assert (ended.name, ended.uid) == (failed.name, failed.uid)
    assert attempts(ended, "a") == attempts(failed, "a")
    assert node(ended, "b").outputs == {"out": "kept"}
    assert codes(ended, "b") == [16, 0]
    assert codes(ended, "back") == [0, 0]
    assert {p.name for p in (home / "runs/r1").glob("*.log")} == {
        "a.0.log", "b.0.log", "b.1.log", "c.0.log", "back.0.log", "back.1.log",
    }  # fmt: skip


def test_a_run_that_succeeded_is_not_retried(home):
    built = manifest({"a": task()})
    ended = run(home, built)

    with pytest.raises(BadInput, match="nothing to retry"):
        Engine(built, home, NOTHING).retry(ended)


def test_a_name_is_used_once(home):
    built = manifest({"a": task()})
    run(home, built)

    with pytest.raises(Conflict, match="--retry r1"):
        run(home, built)


ENGINE = """
import json, sys
from pathlib import Path
from workflows.local.engine import Engine
from workflows.local.environment import Sources
built, home = json.loads(sys.argv[1]), Path(sys.argv[2])
Engine(built, home, Sources(config_maps={}, secrets={}, environ={})).run({"p": "v"}, "r1")
"""


@pytest.mark.parametrize("moment", ["at once", "first step", "second step", "exit handler"])
def test_a_killed_engine_leaves_no_step_behind_and_its_run_can_be_retried(home, tmp_path, moment):
    go = tmp_path / "go"
    at = {name: tmp_path / name for name in ("a", "b", "back")}
    built = manifest(
        {"a": task(f"touch:{at['a']} until:{go}"), "b": task(f"touch:{at['b']} until:{go}", depends="a")},
        on_exit={"back": task(f"touch:{at['back']} until:{go}")},
        mutex="m",
    )
    if moment in ("second step", "exit handler"):
        built = _without_waiting(built, str(go), ["a"] if moment == "second step" else ["a", "b"])
    reached = {"at once": home / "runs/r1/run.json", "first step": at["a"], "second step": at["b"]}
    engine = subprocess.Popen([sys.executable, "-c", ENGINE, json.dumps(built), str(home)], cwd=CHECKOUT)
    until(reached.get(moment, at["back"]).exists)

    engine.send_signal(signal.SIGKILL)
    engine.wait()
    go.touch()

    journal = LocalJournal(home)
    killed = seen(home, "r1")
    assert killed.phase in ("Pending", "Running")
    ended = Engine(built, home, NOTHING).retry(killed)
    assert ended.phase == "Succeeded"
    assert not journal.alive("r1")
    kept = {"second step": ["a"], "exit handler": ["a", "b"]}.get(moment, [])
    assert all(len(attempts(ended, name)) == 1 for name in kept)


def test_the_steps_of_a_killed_engine_hold_its_locks_until_they_end(home, tmp_path):
    up = tmp_path / "up"
    built = manifest({"a": task(f"touch:{up} deaf forever")}, mutex="m")
    engine = subprocess.Popen([sys.executable, "-c", ENGINE, json.dumps(built), str(home)], cwd=CHECKOUT)
    until(up.exists)
    step = _child(engine.pid)

    engine.send_signal(signal.SIGKILL)
    engine.wait()

    journal = LocalJournal(home)
    assert journal.alive("r1")
    os.kill(step, signal.SIGKILL)
    until(lambda: not journal.alive("r1"))


@pytest.mark.parametrize(
    "text", ["'\"`\\", "two\nlines", "$(touch /tmp/x) $HOME", "{{x}}", "{{workflow.uid}}", "", " ", "--do=13", "ä 模型"]
)
def test_a_parameter_reaches_argv_as_it_was_given(home, text):
    built = manifest(
        {
            "a": task("out", outputs=output("out"), arguments={"out": "{{workflow.parameters.p}}"}),
            "b": task(
                "dump", depends="a", outputs=output("dump"), arguments={"any": "{{tasks.a.outputs.parameters.out}}"}
            ),
        }
    )

    ended = run(home, built, p=text)

    assert json.loads(node(ended, "b").outputs["dump"])["argv"][2] == f"--any={text}"


def test_a_step_sees_only_the_environment_that_its_template_names(home):
    sources = Sources(
        config_maps={"settings": {"SETTING": "1"}},
        secrets={"s3": {"AWS_SECRET_ACCESS_KEY": "canary-s3"}, "hub": {"HF_TOKEN": "canary-hub"}},
        environ={"PATH": os.environ["PATH"], "HTTPS_PROXY": "http://proxy", "HF_TOKEN": "canary-of-the-user"},
    )
    config = {"configMapRef": {"name": "settings"}}
    token = {"name": "HF_TOKEN", "valueFrom": {"secretKeyRef": {"name": "hub", "key": "HF_TOKEN"}}}
    built = manifest(
        {
            "bare": task("dump", outputs=output("dump"), envFrom=[config]),
            "trusted": task("dump", outputs=output("dump"), env=[token], envFrom=[{"secretRef": {"name": "s3"}}]),
        }
    )

    ended = run(home, built, sources)

    bare = json.loads(node(ended, "bare").outputs["dump"])["environ"]
    trusted = json.loads(node(ended, "trusted").outputs["dump"])["environ"]
    assert bare.keys() - {"LC_CTYPE"} == {
        "ARGO_PROGRESS_FILE", "HTTPS_PROXY", "NO_PROXY", "PATH", "PYTHONPATH", "SETTING",
        "no_proxy",
        "VLLM_PROMOTE_OUTPUT_DIR", "VLLM_PROMOTE_STDIN_IS_LIFELINE", "VLLM_PROMOTE_TERMINATION_LOG",
    }  # fmt: skip
    assert (trusted["HF_TOKEN"], trusted["AWS_SECRET_ACCESS_KEY"]) == ("canary-hub", "canary-s3")


def test_a_step_that_tells_its_secret_does_not_get_it_into_the_run(home):
    sources = Sources(config_maps={}, secrets={"hub": {"HF_TOKEN": "canary-hub"}}, environ={})
    built = manifest({"a": task("say:token=canary-hub 12", envFrom=[{"secretRef": {"name": "hub"}}])})

    run(home, built, sources)

    text = (home / "runs/r1/run.json").read_text()
    assert "token=[secret]" in text


def _without_waiting(built: dict[str, Any], go: str, names: list[str]) -> dict[str, Any]:
    for one in built["spec"]["templates"][0]["dag"]["tasks"]:
        if one["name"] in names:
            do = one["arguments"]["parameters"][0]
            do["value"] = do["value"].replace(f" until:{go}", "")
    return built


def _child(pid: int) -> int:
    return int(Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0])
