"""The process boundary: in this process where that is enough, in a real one where signals, stdin and exits count."""

import fcntl
import logging
import os
import signal
import subprocess
import sys
import termios
import threading
import time
from pathlib import Path

import pytest

from steps.contracts import RESOLVE, SMOKE, ResolveOutputs
from steps.entry import LIFELINE, MESSAGE_LIMIT, one_line, run_step
from steps.errors import Refused, StepError, Transient

ROOT = Path(__file__).parents[2]
SOON_SECONDS = 6.0
"""One on a quiet machine; whoever hears nothing goes on for ever."""
ARGV = ["--model=org/name", "--revision=main", "--deployment=chat"]
OUTPUTS = ResolveOutputs(
    deployment="chat",
    release_id="0" * 12,
    model="org/name",
    commit="c" * 40,
    manifest_sha256="1" * 64,
    total_bytes=7,
    shards='["1-of-1"]',
)
CANARIES = {
    "HF_TOKEN": "hf_CANARYtoken",
    "AWS_SECRET_ACCESS_KEY": "CANARY/secret+key",
    "AWS_SESSION_TOKEN": "CANARYsession",
    "VLLM_API_KEY": "CANARYvllm",
}


@pytest.fixture(autouse=True)
def _own_process():
    """What run_step changes for the whole process, it changes for the whole test session."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    hook, log = sys.excepthook, logging.getLogger()
    level, listeners = log.level, log.handlers[:]
    yield
    for number, handler in handlers.items():
        signal.signal(number, handler)
    sys.excepthook, log.handlers[:] = hook, listeners
    log.setLevel(level)


@pytest.fixture
def environ(tmp_path):
    return {
        "VLLM_PROMOTE_OUTPUT_DIR": str(tmp_path / "outputs"),
        "VLLM_PROMOTE_TERMINATION_LOG": str(tmp_path / "termination-log"),
    }


def raising(err):
    def body(_inputs, _settings):
        raise err

    return body


def in_a_process(script, environ, **options):
    """``script`` is the body of a step: a function of nothing, with time, threading, sys and logging at hand."""
    lines = "\n    ".join(script.strip().splitlines())
    program = (
        "import logging, os, sys, threading, time\n"
        "from steps.contracts import RESOLVE\nfrom steps.entry import run_step\n"
        f"def body(inputs, settings):\n    {lines}\nsys.exit(run_step(RESOLVE, body, {ARGV!r}))"
    )
    return subprocess.Popen(
        [sys.executable, "-c", program],
        env={"PYTHONPATH": str(ROOT), **environ},
        stdin=options.get("stdin", subprocess.DEVNULL),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_inputs_come_from_argv_and_outputs_go_to_a_file_each(environ, tmp_path):
    seen = []

    def body(inputs, settings):
        seen.append((inputs, settings.bucket))
        return OUTPUTS

    assert run_step(RESOLVE, body, ARGV, {**environ, "VLLM_PROMOTE_BUCKET": "bucket"}) == 0
    assert seen == [(RESOLVE.inputs(model="org/name", revision="main", deployment="chat"), "bucket")]
    written = {p.name: p.read_text() for p in (tmp_path / "outputs").iterdir()}
    assert written == {
        "deployment": "chat",
        "release_id": "0" * 12,
        "model": "org/name",
        "commit": "c" * 40,
        "manifest_sha256": "1" * 64,
        "total_bytes": "7",
        "shards": '["1-of-1"]',
        "committed": "0.0",
    }
    assert not (tmp_path / "termination-log").exists()


@pytest.mark.parametrize("error", StepError.__subclasses__(), ids=lambda e: e.__name__)
def test_every_error_leaves_its_code_its_sentence_and_no_output(error, environ, tmp_path, capsys):
    assert run_step(RESOLVE, raising(error("what, where, what next")), ARGV, environ) == error.exit_code

    sentence = f"{error.__name__}: what, where, what next"
    assert (tmp_path / "termination-log").read_text() == sentence
    assert capsys.readouterr().err.splitlines()[-1] == sentence
    assert not (tmp_path / "outputs").exists()


def test_settings_that_cannot_work_are_bad_input(environ, tmp_path):
    assert run_step(RESOLVE, raising(AssertionError), ARGV, {**environ, "VLLM_PROMOTE_DEVICE": "tpu"}) == 10
    assert "VLLM_PROMOTE_DEVICE" in (tmp_path / "termination-log").read_text()


def test_a_log_level_that_is_none_is_bad_input(environ, tmp_path):
    assert run_step(RESOLVE, raising(AssertionError), ARGV, {**environ, "LOG_LEVEL": "verbose"}) == 10
    assert "LOG_LEVEL is 'verbose'" in (tmp_path / "termination-log").read_text()


def test_an_empty_log_level_is_none(environ):
    assert run_step(RESOLVE, lambda _i, _s: OUTPUTS, ARGV, {**environ, "LOG_LEVEL": ""}) == 0


@pytest.mark.parametrize("bad", ["--run=../../escaped", "--release-id=../../escaped"])
def test_a_name_that_leads_out_of_its_directory_is_bad_input(environ, tmp_path, bad):
    argv = ["--deployment=chat", f"--release-id={'0' * 12}", "--run=run-1", "--owner=uid-1", bad]
    assert run_step(SMOKE, raising(AssertionError), argv, environ) == 10
    assert "'../../escaped' cannot be used" in (tmp_path / "termination-log").read_text()


class UnprintableError(Exception):
    def __str__(self):
        raise KeyError("no words")


@pytest.mark.parametrize(
    "said", [("%d files", "three"), ("%s and %s", 1), ("%s", UnprintableError())], ids=["kind", "number", "text"]
)
def test_a_librarys_malformed_log_call_does_not_end_the_step(environ, capsys, said):
    def body(_inputs, _settings):
        logging.getLogger("library").warning(*said)
        return OUTPUTS

    assert run_step(RESOLVE, body, ARGV, environ) == 0
    assert "cannot be formatted" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("more", "err", "said"),
    [
        ({}, Transient("the store is away"), "Transient: the store is away"),
        ({}, KeyError("CANARY of a bug"), "Bug: KeyError: '[secret] of a bug'"),
        ({"VLLM_PROMOTE_DEVICE": "gpu"}, AssertionError(), "BadInput: VLLM_PROMOTE_DEVICE is 'gpu'"),
        ({"LOG_LEVEL": "verbose"}, AssertionError(), "BadInput: LOG_LEVEL"),
    ],
    ids=["foreseen", "a bug", "a setting", "the log"],
)
def test_a_step_that_nothing_may_fail_says_what_went_wrong_and_exits_0(environ, tmp_path, more, err, said):
    sentences = []

    def instead(_inputs, sentence):
        sentences.append(sentence)
        return OUTPUTS

    assert run_step(RESOLVE, raising(err), ARGV, {**environ, "HF_TOKEN": "CANARY", **more}, instead) == 0
    (sentence,) = sentences
    assert sentence.startswith(said)
    assert (tmp_path / "outputs" / "deployment").read_text() == "chat"


@pytest.mark.parametrize(
    "argv",
    [[], ARGV[:2], [*ARGV, "--colour=blue"], [*ARGV, "extra"], ["--mod=org/name", *ARGV[1:]]],
    ids=["none", "one missing", "unknown", "positional", "abbreviated"],
)
def test_a_command_line_of_another_image_is_exit_2(argv, environ):
    with pytest.raises(SystemExit) as caught:
        run_step(RESOLVE, raising(AssertionError), argv, environ)
    assert caught.value.code == 2


def test_a_sentence_is_one_line_that_a_termination_message_holds():
    assert one_line("a\nb\r\n\x1b[31mc\u2028d\x85e") == "a b [31mc d e"
    assert one_line("half \ud800") == "half \\ud800"
    for text in ("x" * 9999, "\u00e9" * 9999, "\U0001f600" * 9999):
        assert MESSAGE_LIMIT - 4 < len(one_line(text).encode()) <= MESSAGE_LIMIT


def test_a_file_name_from_the_hub_cannot_break_the_report(environ, tmp_path):
    assert run_step(RESOLVE, raising(Refused("evil\nOK: all is well \udcff")), ARGV, environ) == 11
    assert (tmp_path / "termination-log").read_text() == "Refused: evil OK: all is well \\udcff"


def test_without_a_termination_log_the_code_still_tells(environ, tmp_path):
    environ["VLLM_PROMOTE_TERMINATION_LOG"] = str(tmp_path / "no" / "such" / "directory")
    assert run_step(RESOLVE, raising(Transient("x")), ARGV, environ) == 75


def test_no_secret_gets_into_a_message_a_log_or_a_trace(environ, tmp_path, capsys):
    said = " ".join(CANARIES.values())

    def body(_inputs, _settings):
        logging.getLogger("library").warning("sent %s", said)
        try:
            int(said)
        except ValueError as err:
            logging.getLogger("library").exception("and %s", {"header": said})
            raise Transient(f"S3 did not like {said}") from err

    given = {name: f"{value}\n" for name, value in CANARIES.items()}  # as Secrets made from files have it
    assert run_step(RESOLVE, body, ARGV, {**environ, **given, "LOG_LEVEL": "DEBUG"}) == 75
    everything = capsys.readouterr().err + (tmp_path / "termination-log").read_text()
    assert "CANARY" not in everything
    assert everything.count("[secret]") >= 4 * len(CANARIES)
    assert "Traceback" in everything


def test_a_bug_leaves_its_trace_without_secrets_and_exit_1(environ, tmp_path):
    done = in_a_process("raise KeyError(os.environ['HF_TOKEN'])", {**environ, **CANARIES})
    _, err = done.communicate(timeout=30)

    assert done.returncode == 1
    assert "Traceback" in err
    assert "CANARY" not in err
    sentence = "Bug: KeyError: '[secret]'; its traceback is in the log"
    assert err.splitlines()[-1] == (tmp_path / "termination-log").read_text() == sentence
    assert not (tmp_path / "outputs").exists()


def test_an_output_appears_whole_or_not_at_all(environ, tmp_path):
    """Everything that was there at any moment of many runs was complete."""
    directory = tmp_path / "outputs"
    seen = set()
    over = threading.Event()

    def watch():
        while not over.is_set():
            for path in directory.glob("[!.]*"):
                seen.add((path.name, path.read_text()))

    directory.mkdir()
    watcher = threading.Thread(target=watch)
    watcher.start()
    for _ in range(50):
        assert run_step(RESOLVE, lambda _i, _s: OUTPUTS, ARGV, environ) == 0
    over.set()
    watcher.join()
    assert {name: text for name, text in seen} == {f: str(getattr(OUTPUTS, f)) for f, _ in seen}  # noqa: C416  # no two texts of one name


@pytest.mark.parametrize(("instead", "code"), [(None, 75), (lambda _inputs, _sentence: OUTPUTS, 0)])
def test_outputs_that_cannot_be_written_are_worth_another_attempt(environ, tmp_path, instead, code):
    """Its pod has another disk. But nothing fails a step that nothing may fail."""
    (tmp_path / "outputs").write_text("a file in the way of the directory")
    assert run_step(RESOLVE, lambda _i, _s: OUTPUTS, ARGV, environ, instead) == code
    if code:
        sentence = (tmp_path / "termination-log").read_text()
        assert sentence.startswith("Transient: it is done, and what it has to tell cannot be written to")
        assert sentence.endswith("File exists; run it again")


BUSY = """
for _ in range(4):
    threading.Thread(target=lambda: [x * x for x in iter(int, 1)]).start()
print("busy", flush=True)
while True:
    logging.warning("a line " * 50)
"""
BLOCKED = """
print("busy", flush=True)
threading.Lock().acquire() and threading.Event().wait()
"""
DEAF = """
import signal
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
print("busy", flush=True)
threading.Event().wait()
"""
"""As a thread that waits for an NFS server; tests/nfs has the real one."""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
@pytest.mark.parametrize("script", [BUSY, BLOCKED, DEAF], ids=["busy threads and a busy log", "waiting", "deaf"])
def test_a_signal_ends_it_within_a_second_and_says_so(script, number, environ, tmp_path):
    step = in_a_process(script, environ)
    err = []
    reader = threading.Thread(target=lambda: err.append(step.stderr.read()))  # or its pipe is full, and it waits for us
    reader.start()
    assert step.stdout.readline() == "busy\n"
    started = time.monotonic()
    step.send_signal(number)

    assert step.wait(timeout=30) == 128 + number
    assert time.monotonic() - started < SOON_SECONDS
    reader.join()
    name = signal.Signals(number).name
    assert (tmp_path / "termination-log").read_text() == f"Stopped: resolve was ended by {name}; run it again to go on"
    assert not (tmp_path / "outputs").exists()
    step.stdout.close()
    step.stderr.close()


def test_a_log_that_nobody_reads_does_not_keep_it_from_ending(environ, tmp_path):
    step = in_a_process(BUSY, environ)
    assert step.stdout.readline() == "busy\n"
    before = 0
    while (now := pending(step.stderr)) == 0 or now > before:  # until it is full
        before = now
        time.sleep(0.5)
    started = time.monotonic()
    step.send_signal(signal.SIGTERM)

    assert step.wait(timeout=30) == 128 + signal.SIGTERM
    assert time.monotonic() - started < SOON_SECONDS
    assert (tmp_path / "termination-log").read_text().startswith("Stopped: ")
    step.stdout.close()
    step.stderr.close()


def pending(pipe) -> int:
    """Bytes in it."""
    return int.from_bytes(fcntl.ioctl(pipe, termios.FIONREAD, bytes(4)), sys.byteorder)


def test_it_ends_when_the_engine_that_holds_its_stdin_dies(environ):
    step = in_a_process(BLOCKED, {**environ, LIFELINE: "1"}, stdin=subprocess.PIPE)
    assert step.stdout.readline() == "busy\n"
    started = time.monotonic()
    assert step.poll() is None
    step.stdin.close()

    assert step.wait(timeout=30) == 128 + signal.SIGTERM
    assert time.monotonic() - started < SOON_SECONDS
    step.stdout.close()
    step.stderr.close()


def test_without_a_lifeline_a_closed_stdin_means_nothing(environ):
    step = in_a_process("from tests.unit.test_entry import OUTPUTS\nreturn OUTPUTS", environ)
    _, err = step.communicate(timeout=30)
    assert step.returncode == 0, err


def test_help_answers_before_any_library_is_loaded():
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "steps.resolve", "--help"],
        cwd=ROOT,
        env={"PATH": os.defpath},
        capture_output=True,
        text=True,
        check=True,
    )
    loaded = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}

    assert "Pin a model to a commit" in done.stdout
    assert not loaded & {"pydantic", "yaml", "huggingface_hub", "boto3", "httpx2", "stamina"}
