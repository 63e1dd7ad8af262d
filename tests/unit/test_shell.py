import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from steps.errors import Failed
from workflows.checkout import CHECKOUT
from workflows.local.demo.shell import Shell


def line(step, exit_code=0, attempt=0, seconds=1.5):
    return {"step": step, "attempt": attempt, "exit_code": exit_code, "seconds": seconds, "message": ""}


def leave_report(home, run, *lines, outcome="promoted"):
    directory = home / "reports" / run
    directory.mkdir(parents=True)
    value = {"run": run, "release_id": "0123456789ab", "outcome": outcome, "outage_seconds": None, "steps": lines}
    (directory / "report.json").write_text(json.dumps(value | {"evidence": None}))
    return directory / "report.json"


def test_the_report_is_that_of_the_run_that_ended_last(tmp_path):
    newest = leave_report(tmp_path, "a")
    older = leave_report(tmp_path, "b")
    os.utime(older, ns=(0, newest.stat().st_mtime_ns - 1))
    assert Shell(tmp_path).newest_report().run == "a"


def test_no_report_is_a_failure_that_says_where_it_should_be(tmp_path):
    with pytest.raises(Failed, match=f"no run left a report in {tmp_path}"):
        Shell(tmp_path).newest_report()


def test_a_steps_attempts_count_together(tmp_path):
    leave_report(tmp_path, "a", line("mirror", 75), line("mirror", attempt=1), line("populate"))
    assert Shell(tmp_path).newest_report().seconds == {"mirror": 3.0, "populate": 1.5}


def test_an_attempt_that_was_lost_takes_no_time(tmp_path):
    leave_report(tmp_path, "a", line("mirror", exit_code=None, seconds=None))
    assert Shell(tmp_path).newest_report().seconds == {"mirror": 0.0}


def test_a_run_was_stopped_by_its_last_failure_and_not_by_the_rollback(tmp_path):
    leave_report(tmp_path, "a", line("mirror", 75), line("mirror"), line("smoke", 16), line("rollback", 17))
    stopped_by = Shell(tmp_path).newest_report().stopped_by
    assert stopped_by
    assert (stopped_by.step, stopped_by.exit_code) == ("smoke", 16)


def test_nothing_stopped_a_run_that_went_well(tmp_path):
    leave_report(tmp_path, "a", line("mirror"))
    assert Shell(tmp_path).newest_report().stopped_by is None


def test_it_is_shown_before_it_runs_and_its_exit_code_comes_back(tmp_path, capfd):
    assert Shell(tmp_path).show("json.tool", "--no-such-option") == 2
    out, err = capfd.readouterr()
    assert out.endswith("-m json.tool --no-such-option\n")
    assert "unrecognized arguments" in err


def test_an_interrupt_is_left_to_the_command_that_is_shown(tmp_path):
    # The shown command ends by the interrupt as it sees fit; who shows it goes on and gets its exit code.
    child = "import signal, sys, time; signal.signal(signal.SIGINT, lambda *_: sys.exit(30)); print('up', flush=True)\n"
    module = tmp_path / "sleeper.py"
    module.write_text(child + "time.sleep(60)\n")
    parent = "import sys; from pathlib import Path; from workflows.local.demo.shell import Shell\n"
    parent += "sys.exit(10 + Shell(Path()).show('sleeper'))"
    process = subprocess.Popen(
        [sys.executable, "-c", parent],
        env={**os.environ, "PYTHONPATH": f"{CHECKOUT}:{tmp_path}"},
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout
    while process.stdout.readline() != "up\n":
        assert process.poll() is None
    os.killpg(process.pid, 2)
    assert process.wait(20) == 40
    process.stdout.close()


@pytest.mark.parametrize("live", [None, {"release_id": "0" * 12, "model": "m", "commit": "c" * 40}])
def test_what_serves_is_read_from_status(tmp_path, monkeypatch, live):
    entry = {"url": "http://127.0.0.1:1", "live": live, "refused": ["f" * 12]}
    monkeypatch.setattr(Shell, "read", lambda _self, *_args: [entry])
    if live is None:
        with pytest.raises(Failed, match="nothing serves as chat; run `make demo` first"):
            Shell(tmp_path).serving("chat")
    else:
        serving = Shell(tmp_path).serving("chat")
        assert (serving.commit, serving.refused) == ("c" * 40, ("f" * 12,))


def test_a_command_that_fails_is_no_json(tmp_path):
    with pytest.raises(Failed, match=r"-m json\.tool --no-such-option` ended with 2"):
        Shell(Path(tmp_path)).read("json.tool", "--no-such-option")
