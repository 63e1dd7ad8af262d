import os
import sys
import time
from dataclasses import replace

import pytest

from workflows.local.attempt import Ending, Launch, Process, never_started
from workflows.local.spec import Output

DEADLINE_SECONDS = 15.0
WRITE = "import os, pathlib; pathlib.Path(os.environ['VLLM_PROMOTE_OUTPUT_DIR'], 'out').write_text('ä\\n')"
SAY = "import os, pathlib, sys; pathlib.Path(os.environ['VLLM_PROMOTE_TERMINATION_LOG']).write_text({!r}); sys.exit({})"


@pytest.fixture
def launch(tmp_path):
    def launch(program: str, *outputs: Output, **environ: str) -> Launch:
        return Launch(
            name="s.0",
            template="s",
            inputs={},
            argv=(sys.executable, "-c", program),
            environ={"PATH": os.environ["PATH"], **environ},
            outputs=outputs,
            directory=tmp_path,
            cwd=tmp_path,
            deadline_seconds=None,
            grace_seconds=0.5,
        )

    return launch


def ending(process: Process) -> Ending:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while (found := process.poll()) is None:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return found


def test_outputs_are_what_the_step_wrote(launch):
    out, other = Output(name="out", file="out", default=None), Output(name="other", file="other", default="d")

    ended = ending(Process(launch(WRITE, out, other)))

    assert ended == Ending(phase="Succeeded", exit_code=0, message="", outputs={"out": "ä\n", "other": "d"})


def test_a_failure_is_told_in_one_line_of_the_steps_own_words(launch):
    ended = ending(Process(launch(SAY.format("Corrupt: two\nlines", 13))))

    assert (ended.phase, ended.exit_code, ended.message) == ("Failed", 13, "Corrupt: two lines")


def test_a_secret_in_the_steps_words_goes_no_further(launch):
    ended = ending(Process(launch(SAY.format("with canary-token", 12), HF_TOKEN="canary-token")))

    assert ended.message == "with [secret]"


def test_stdout_and_stderr_are_kept_in_one_log(launch):
    process = Process(launch("import sys; print('one', flush=True); print('two', file=sys.stderr)"))
    ending(process)

    assert launch("").log.read_text() == "one\ntwo\n"


def test_a_log_is_never_written_over(launch):
    ending(Process(launch("print('first')")))

    with pytest.raises(FileExistsError):
        Process(launch("print('second')"))


def test_what_a_step_leaves_behind_in_its_session_ends_with_it(launch, tmp_path):
    spawn = "import subprocess, sys; p = subprocess.Popen(['sleep', '60']); open('pid', 'w').write(str(p.pid))"
    ending(Process(launch(spawn)))
    child = int((tmp_path / "pid").read_text())

    deadline = time.monotonic() + DEADLINE_SECONDS
    while _running(child):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_what_leaves_the_session_lives_on(launch, tmp_path):
    spawn = (
        "import subprocess; p = subprocess.Popen(['sleep', '60'], start_new_session=True); "
        "open('pid', 'w').write(str(p.pid))"
    )
    ending(Process(launch(spawn)))
    child = int((tmp_path / "pid").read_text())

    try:
        assert _running(child)
    finally:
        os.kill(child, 9)


def test_the_lifeline_is_open_while_the_step_runs(launch, tmp_path):
    process = Process(launch("import os; os.read(0, 1); open('broke', 'w')"))
    time.sleep(0.2)
    assert process.poll() is None
    process.stop()

    assert ending(process).exit_code == 143
    assert not (tmp_path / "broke").exists()


def test_a_program_that_is_not_there_is_a_failure_with_a_sentence(launch):
    missing = replace(launch(""), argv=("no-such-program",))

    with pytest.raises(OSError, match="no-such-program") as err:
        Process(missing)

    assert never_started(missing, err.value).exit_code == 127
    assert "no-such-program" in never_started(missing, err.value).message


def _running(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as stat:  # noqa: PTH123  # no path of ours
            return stat.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_one_that_is_stopped_before_it_can_say_anything_is_no_riddle_and_its_last_line_no_reason(launch):
    process = Process(launch("import time; print('INFO: a line', flush=True); time.sleep(60)"))
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not (process._launch.log.exists() and process._launch.log.read_text()):
        assert time.monotonic() < deadline
        time.sleep(0.01)  # what it has said is seen in its log alone
    process.stop()

    ended = ending(process)
    assert ended.exit_code == 143
    assert ended.message == "Stopped: s was ended before it could say anything; run it again to go on"


def test_one_that_is_ended_by_somebody_else_is_told_by_its_last_line(launch):
    ended = ending(Process(launch("import os; print('a line', flush=True); os.kill(os.getpid(), 15)")))
    assert ended.message == "exit code 143: a line"
