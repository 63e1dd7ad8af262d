"""The commands with the embedded services: on a machine where nothing runs at first, and nothing at the end."""

import contextlib
import os
import pty
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.stubs.leftovers import processes_of
from tests.stubs.machine import REPOSITORY, STUB, Ended, Machine, answers, served_root
from tests.stubs.weights import write_model
from workflows.local import hub

MODEL, DEPLOYMENT = "acme/small", "talk"
CANARY = "hf_CANARYcanaryCANARY"
DEAD_PROXY = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"), "http://127.0.0.1:9")
"""Nobody listens there: whatever asks our own services by way of it fails."""
SETTINGS = """
hf_endpoint = "{endpoint}"
serve_command = "{command}"
catalog = "{catalog}"
device = "cpu"
"""


@dataclass
class Desk:
    """What a person has in front of them: a home with settings, and a Hub that lies in it."""

    machine: Machine
    sources: Path

    @property
    def home(self) -> Path:
        return self.machine.home

    def publish(self, branch: str, seed: int, **stub: object) -> str:
        """Its commit."""
        source = write_model(self.sources / branch, seed=seed, files={"old.bin": b"left"}, **stub)
        return hub.publish(self.home / "hub", MODEL, source, branch=branch, message="new")

    def promote(self, *args: str, **environ: str) -> Ended:
        return self.machine.promote("--model", MODEL, *args, **environ)

    def kept(self) -> str:
        return self.machine.digest("volume", "serving")

    def on_a_terminal(self, verb: str, *args: str) -> tuple[int, str]:
        """Exit code, and what the terminal was sent."""
        environ = {"PATH": os.environ["PATH"], "VLLM_PROMOTE_LOCAL_DIR": str(self.home), "COLUMNS": "120"}
        ours, theirs = pty.openpty()
        with open(ours, "rb", buffering=0) as terminal:  # noqa: PTH123  # a descriptor has no path
            argv = [sys.executable, "-m", f"workflows.{verb}", *args]
            process = subprocess.Popen(argv, stdin=theirs, stdout=theirs, stderr=theirs, cwd=REPOSITORY, env=environ)
            os.close(theirs)
            text = b""
            with contextlib.suppress(OSError):  # what reading from a terminal ends with that nobody has open any more
                while chunk := terminal.read(4096):
                    text += chunk
        return process.wait(), text.decode()

    def url(self) -> str:
        return str(self.machine.status(DEPLOYMENT)["url"])


@pytest.fixture(scope="module")
def desk(tmp_path_factory) -> Iterator[Desk]:
    directory = tmp_path_factory.mktemp("desk")
    home, catalog = directory / "home", directory / "catalog.yaml"
    home.mkdir()
    catalog.write_text(f"deployments: {{{DEPLOYMENT}: {{model: {MODEL}}}}}")
    made = Desk(Machine(home, {"HF_TOKEN": CANARY, **DEAD_PROXY}), directory / "sources")
    made.publish("main", seed=1)
    text = SETTINGS.format(endpoint=hub.start(home, home / "hub"), command=STUB, catalog=catalog)
    (home / "settings.toml").write_text(text)
    try:
        yield made
    finally:
        stopped = made.machine.run("stop", "--force")
    assert stopped.code == 0, stopped.text
    assert not processes_of(home)
    secret = re.search(r'"secretKey": "([^"]+)"', (home / "services" / "seaweedfs-keys.json").read_text())
    assert secret
    assert not [text for text in made.machine.said for canary in (CANARY, secret[1]) if canary in text]


@pytest.fixture
def served(desk: Desk) -> Desk:
    """With the first model live, whatever another test left."""
    if desk.machine.status(DEPLOYMENT)["live"] is None:
        ended = desk.promote()
        assert ended.code == 0, ended.text
    return desk


def wait_until(condition, seconds=60.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.05)


def test_on_an_empty_machine_a_dry_run_tells_the_plan_and_leaves_nothing_but_an_empty_store(desk: Desk):
    ended = desk.promote("--dry-run")

    assert ended.code == 0, ended.text
    assert "Plan for deployment talk" in ended.text
    assert "nothing: this is the first promotion" in ended.text
    assert re.search(r"left behind +1: old\.bin", ended.text)
    assert re.search(r"Hub to store +8\.\d KiB to copy, 0 B there already", ended.text)
    assert not (desk.home / "serving").exists()
    assert not list((desk.home / "volume").iterdir())
    assert desk.machine.history(DEPLOYMENT) == []


def test_what_was_never_promoted_has_a_status_and_that_is_all_null(desk: Desk):
    status = desk.machine.status("nobody-knows")

    assert status == {"deployment": "nobody-knows", "url": None, "phase": "idle", "refused": []} | dict.fromkeys(
        ("live", "previous", "candidate")
    )
    assert not (desk.home / "serving" / "nobody-knows").exists()


def test_a_deployment_that_there_is_not_is_wrong_usage_that_names_those_there_are(served: Desk):
    before = served.machine.digest("serving")
    for line in (["status"], ["rollback"], ["rollback", "--to", "deadbeef0000"], ["reconcile"]):
        ended = served.machine.run(*line, "--local", "--deployment", "nochat")
        assert ended.code == 2, ended.text
        assert "there is no deployment nochat: nothing was ever promoted to nochat; there is talk" in ended.text
    assert served.machine.digest("serving") == before


def test_on_a_terminal_a_run_is_a_picture_that_ends_with_the_last_words(served: Desk):
    code, text = served.on_a_terminal("promote", "--local", "--model", MODEL)

    assert code == 0, text
    assert "\N{CHECK MARK} preflight" in text
    assert "already live\r\n" in text


def test_people_read_in_lines_what_programs_read_in_json(served: Desk):
    status = served.machine.run("status", "--local").text
    history = served.machine.run("history", "--local").text

    assert re.search(r"live +acme/small at [0-9a-f]{40}  \(release [0-9a-f]{12}\), 1 of 1 pods ready", status)
    assert re.search(r"\d{4}-\d\d-\d\dT\S+Z  talk  promoted +acme/small at [0-9a-f]{12}  release [0-9a-f]{12}", history)
    assert list(served.machine.history(DEPLOYMENT)[0]) == [
        *("run", "deployment", "release_id", "model", "commit", "outcome", "at"),
        *("outage_seconds", "startup_seconds", "message", "previous", "by_hand"),
    ]


def test_stop_ends_a_run_only_when_forced_and_the_next_promotion_starts_all_of_it_again(served: Desk):
    url = served.url()
    served.publish("slow", seed=4, fault="slow-start:60")
    started = served.promote("--revision", "slow", "--no-wait")
    assert started.code == 0, started.text
    run = re.findall(r"started (promote-\S+);", started.text)[0]
    assert f"workflows.watch {run} --local`" in started.text
    wait_until(lambda: served.machine.record(DEPLOYMENT)["phase"] == "swapping")

    refused = served.machine.run("stop", "--local")
    stopped = served.machine.run("stop", "--force")

    assert (refused.code, f"a run is at work: {run} on talk" in refused.text) == (1, True), refused.text
    assert stopped.code == 0, stopped.text
    names = {f"stopped {name}" for name in (run, "hub", "seaweedfs", "talk/endpoint")}
    assert names <= set(stopped.text.splitlines())
    assert not processes_of(served.home)
    assert "interrupted: rolled back" in (served.home / "runs" / ".detached" / f"{run}.log").read_text()
    assert served.machine.record(DEPLOYMENT)["phase"] == "idle"
    assert served.machine.run("stop").text == "nothing was running\n"
    assert "NOT READY" in served.machine.run("status", "--local").text
    again = served.promote()
    assert again.code == 0, again.text
    assert answers(url)


@pytest.mark.exhaustive
def test_a_second_ctrl_c_ends_at_once_and_the_next_run_puts_right_what_was_left(served: Desk):
    good = served.machine.status(DEPLOYMENT)["live"]
    served.publish("slow", seed=5, fault="slow-start:60")
    process = served.machine.start("promote", "--local", "--model", MODEL, "--revision", "slow")
    served.machine.wait_for_step(process, "deploy")
    wait_until(lambda: served.machine.record(DEPLOYMENT)["phase"] == "swapping")

    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGTERM)  # of one kind two that are pending at once would be one
    ended = served.machine.end(process)

    assert ended.code == 4, ended.text
    assert "ending at once" in ended.text
    # which of the two depends on whether the way back had begun
    assert re.search("interrupted: (rollback failed|ended before it was rolled back)", ended.text), ended.text
    assert f"what serves at {served.url()} is not certain" in ended.text
    assert served.machine.record(DEPLOYMENT)["phase"] != "idle"
    assert "which is DEAD" in served.machine.run("status", "--local").text
    repaired = served.promote()
    assert repaired.code == 0, repaired.text
    assert served_root(served.url()).endswith(good["commit"])


@pytest.mark.exhaustive
def test_a_run_goes_on_when_nobody_reads_what_it_says(served: Desk):
    process = served.machine.start("promote", "--local", "--model", MODEL)
    assert process.stdout
    process.stdout.close()

    assert process.wait(60) == 0


@pytest.mark.exhaustive
def test_a_terminal_that_goes_away_stops_the_run_as_ctrl_c_does(served: Desk):
    good = served.machine.status(DEPLOYMENT)["live"]
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)  # whoever runs this may ignore it, as nohup has it
    served.publish("slow", seed=6, fault="slow-start:60")
    process = served.machine.start("promote", "--local", "--model", MODEL, "--revision", "slow")
    signal.signal(signal.SIGHUP, before)
    served.machine.wait_for_step(process, "deploy")
    wait_until(lambda: served.machine.record(DEPLOYMENT)["phase"] == "swapping")

    assert process.stdout
    process.stdout.close()
    process.send_signal(signal.SIGHUP)

    assert process.wait(60) == 130
    assert served.machine.record(DEPLOYMENT)["phase"] == "idle"
    assert served_root(served.url()).endswith(good["commit"])


@pytest.mark.exhaustive
def test_a_run_that_takes_too_long_is_stopped_and_exits_124(served: Desk):
    good = served.machine.status(DEPLOYMENT)["live"]
    served.publish("slow", seed=7, fault="slow-start:60")

    ended = served.promote("--revision", "slow", "--timeout", "4")

    assert ended.code == 124, ended.text
    assert "timed out: " in ended.text
    assert "  why      stopped after 4 s, as --timeout says\n" in ended.text
    assert "    stopped after 4 s, as --timeout says" in served.machine.run("history", "--local").text
    assert served.machine.record(DEPLOYMENT)["phase"] == "idle"
    assert served_root(served.url()).endswith(good["commit"])


def test_looking_at_a_machine_where_nothing_is_leaves_nothing_there(tmp_path):
    machine = Machine(tmp_path / "new", {})
    assert machine.run("status", "--local").text == "nothing was ever promoted here\n"
    assert machine.run("stop").text == "nothing was running\n"
    assert not (tmp_path / "new").exists()
