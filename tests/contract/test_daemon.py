import fcntl
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from steps.clients.local import daemon, launch
from steps.clients.local.daemon import Daemon
from steps.errors import Failed, Transient
from tests.stubs.leftovers import arguments, processes_of

ENVIRON = {"PATH": os.environ["PATH"]}
SLEEP = ("sleep", "600")


@pytest.fixture
def place(tmp_path):
    place = Daemon(tmp_path / "services", "a.name")
    yield place
    daemon.stop(place, 0.0)
    assert processes_of(tmp_path) == []


def until(condition, seconds=60.0):
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return value


def pid_of(place: Daemon) -> int:
    pid = daemon.running(place)
    assert pid is not None
    return pid


def group(place: Daemon) -> list[int]:
    return sorted(p.pid for p in processes_of(place.directory))


def test_nothing_runs_where_nothing_was_started(place):
    assert daemon.running(place) is None
    assert daemon.tail(place, 5) == daemon.head(place, 5) == ""
    assert daemon.found(place.directory) == ()
    daemon.stop(place, 1.0)


def test_a_started_daemon_is_found_by_its_name(place):
    daemon.start(place, SLEEP, ENVIRON)
    assert psutil.Process(pid_of(place)).cmdline() == list(SLEEP)
    assert daemon.found(place.directory) == (place,)


def test_starting_it_again_changes_nothing(place):
    daemon.start(place, SLEEP, ENVIRON)
    pid = daemon.running(place)
    daemon.start(place, ("sleep", "1000"), ENVIRON)
    assert daemon.running(place) == pid


def test_sixteen_starts_at_once_make_one_process(place):
    together = threading.Barrier(16)

    def start(_: int) -> None:
        together.wait()
        daemon.start(place, SLEEP, ENVIRON)

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(start, range(16)))
    assert group(place) == [pid_of(place)]


def test_it_is_nobodys_child_and_leads_a_session_of_its_own(place):
    daemon.start(place, SLEEP, ENVIRON)
    process = psutil.Process(pid_of(place))
    assert process.pid not in [child.pid for child in psutil.Process().children(recursive=True)]
    assert os.getsid(process.pid) == os.getpgid(process.pid) == process.pid


def test_it_gets_this_environment_and_no_other(place, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_canary")
    daemon.start(place, SLEEP, {**ENVIRON, "GREETING": "hello"})
    environ = psutil.Process(pid_of(place)).environ()
    environ.pop("LC_CTYPE", None)  # Python's own addition where no locale is set
    assert environ == {**ENVIRON, "GREETING": "hello"}


def test_it_has_no_file_of_its_starter_open(place, tmp_path):
    with (tmp_path / "the starter's").open("w") as file:
        os.set_inheritable(file.fileno(), True)
        daemon.start(place, SLEEP, ENVIRON)
    links = [link.readlink() for link in Path(f"/proc/{pid_of(place)}/fd").iterdir()]
    log, lock = place.file("log"), place.file("lock")
    assert sorted(links) == sorted([Path("/dev/null"), log, log, lock])


def test_it_heeds_the_signals_that_its_starter_ignores(place):
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        daemon.start(place, SLEEP, ENVIRON)
    finally:
        signal.signal(signal.SIGTERM, before)
    started = time.monotonic()
    daemon.stop(place, 30.0)
    assert time.monotonic() - started < 10


def test_it_runs_where_it_is_told_to(place, tmp_path):
    daemon.start(place, SLEEP, ENVIRON, cwd=tmp_path)
    assert psutil.Process(pid_of(place)).cwd() == str(tmp_path)


def test_what_it_says_is_appended_to_its_log(place):
    for word in ("first", "second"):
        daemon.start(place, ("sh", "-c", f"echo {word}; echo {word} trouble >&2; exec sleep 600"), ENVIRON)
        until(lambda: f"{word} trouble" in daemon.tail(place, 1))  # noqa: B023  # called at once
        daemon.stop(place, 1.0)
    assert daemon.tail(place, 3).splitlines() == ["first trouble", "second", "second trouble"]
    assert daemon.head(place, 5) == "first"


def test_a_program_that_is_not_there_is_named(place):
    with pytest.raises(Failed, match=r"no-such-program cannot be started: .*No such file"):
        daemon.start(place, ("no-such-program",), ENVIRON)
    assert daemon.running(place) is None
    daemon.start(place, SLEEP, ENVIRON)


@pytest.mark.parametrize(("mode", "why"), [(0o644, "Permission denied"), (0o755, "Exec format error")])
def test_a_file_that_is_no_program_is_the_candidates_fault(place, tmp_path, mode, why):
    (tmp_path / "words").write_bytes(b"no program")
    (tmp_path / "words").chmod(mode)
    with pytest.raises(Failed, match=f"words cannot be started: .*{why}"):
        daemon.start(place, (str(tmp_path / "words"),), ENVIRON)


@pytest.mark.parametrize("kind", ["lock", "pid.aside", "log"])
def test_a_file_of_ours_that_cannot_be_written_is_no_candidates_fault(place, kind):
    place.file(kind).mkdir(parents=True)
    with pytest.raises(Transient, match=r"a\.name cannot be started in .*services: .*Is a directory"):
        daemon.start(place, SLEEP, ENVIRON)
    place.file(kind).rmdir()


def test_a_full_disk_is_no_candidates_fault(place, tmp_path):
    """A limit on the size of files stands for it: the kernel says EFBIG where it would say ENOSPC."""
    script = f"""
import resource, sys
from pathlib import Path
from steps.clients.local import daemon
from steps.errors import NoSpace
resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
try:
    daemon.start(daemon.Daemon(Path({str(place.directory)!r}), "a.name"), ["sleep", "600"], {{}})
except NoSpace as err:
    sys.exit(0 if "make room on its disk" in str(err) else 1)
"""
    subprocess.run([sys.executable, "-c", script], check=True)


def test_a_name_held_by_a_process_that_cannot_be_seen_is_not_taken(place):
    place.directory.mkdir()
    with place.file("lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(Transient, match=r"a\.name\.lock is held"):
            daemon.start(place, SLEEP, ENVIRON)
    daemon.start(place, SLEEP, ENVIRON)


def test_a_daemon_that_closed_the_lock_still_runs_once(place):
    closing = "import os, time; os.closerange(3, 100); print('closed', flush=True); time.sleep(600)"
    daemon.start(place, (sys.executable, "-c", closing), ENVIRON)
    until(lambda: daemon.tail(place, 1) == "closed")
    pid = daemon.running(place)
    daemon.start(place, SLEEP, ENVIRON)
    assert daemon.running(place) == pid


def test_stopping_waits_for_a_daemon_that_ends_in_order(place):
    goodbye = "trap 'sleep 0.3; echo goodbye; exit' TERM; echo up; while :; do sleep 0.05; done"
    daemon.start(place, ("sh", "-c", goodbye), ENVIRON)
    until(lambda: daemon.tail(place, 1) == "up")
    daemon.stop(place, 30.0)
    assert daemon.tail(place, 1) == "goodbye"
    assert group(place) == []


def test_one_that_ignores_sigterm_is_killed_after_the_grace(place):
    daemon.start(place, ("sh", "-c", "trap '' TERM; echo up; while :; do sleep 0.05; done"), ENVIRON)
    until(lambda: daemon.tail(place, 1) == "up")
    started = time.monotonic()
    daemon.stop(place, 0.5)
    assert 0.5 <= time.monotonic() - started < 5
    assert group(place) == []


def test_sigterm_goes_to_the_leader_first_and_to_its_children_when_it_has_ended(place):
    """As in a container: vLLM's engine holds the requests in flight, and its API server drains them."""
    child = 'trap "echo child; exit" TERM; echo up; while :; do sleep 0.02; done'
    daemon.start(
        place,
        ("sh", "-c", "trap 'sleep 0.3; echo leader; exit' TERM; sh -c \"$CHILD\" & wait"),
        {**ENVIRON, "CHILD": child},
    )
    until(lambda: daemon.tail(place, 1) == "up")
    daemon.stop(place, 30.0)
    said = [line for line in daemon.tail(place, 9).splitlines() if line != "Terminated"]  # the shell's, of its sleep
    assert said == ["up", "leader", "child"]


def test_its_children_end_with_it(place):
    daemon.start(place, ("sh", "-c", "sleep 600 & sleep 600 & wait"), ENVIRON)
    until(lambda: len(group(place)) == 3)
    daemon.stop(place, 5.0)
    assert group(place) == []


@pytest.mark.parametrize("then", ["stop", "start"])
def test_children_of_a_killed_daemon_are_found_and_ended(place, then):
    daemon.start(place, ("sh", "-c", "sleep 601 & sleep 602 & wait"), ENVIRON)
    until(lambda: len(group(place)) == 3)
    children = [pid for pid in group(place) if pid != daemon.running(place)]
    os.kill(pid_of(place), signal.SIGKILL)
    until(lambda: daemon.running(place) is None)
    assert group(place) == children
    if then == "start":
        daemon.start(place, SLEEP, ENVIRON)
        assert group(place) == [pid_of(place)]
    else:
        daemon.stop(place, 5.0)
        assert group(place) == []


@pytest.fixture
def stranger():
    with subprocess.Popen(SLEEP, start_new_session=True) as process:
        yield process
        process.kill()


@pytest.mark.parametrize(
    "claim",
    ["{pid} 1 {boot}", "{pid} {ticks} another-boot", "{pid}", "", "{pid} {ticks}", "not a pid at all", "\x00\xff"],
    ids=["reused", "before the restart", "pid only", "empty", "torn", "words", "bytes"],
)
def test_a_stranger_with_its_pid_is_neither_taken_for_it_nor_signalled(place, stranger, claim):
    identity = launch.identify(stranger.pid)
    assert identity is not None
    place.directory.mkdir()
    place.file("pid").write_text(claim.format(pid=identity.pid, ticks=identity.ticks, boot=identity.boot))
    assert daemon.running(place) is None
    daemon.stop(place, 0.1)
    daemon.start(place, SLEEP, ENVIRON)
    daemon.stop(place, 0.1)
    assert stranger.poll() is None


def test_a_zombie_does_not_run(place):
    with subprocess.Popen(["true"]) as child:
        until(lambda: psutil.Process(child.pid).status() == psutil.STATUS_ZOMBIE)
        assert launch.identify(child.pid) is None


HEADLESS = """
import ctypes, threading, time
threading.Thread(target=time.sleep, args=[600]).start()
print("begun", flush=True)
ctypes.CDLL(None).pthread_exit(None)
"""
"""Its first thread has ended, another goes on: so for a moment is every big process that was killed."""


def test_a_zombie_whose_other_threads_still_end_runs_until_they_have(place):
    daemon.start(place, (sys.executable, "-c", HEADLESS), ENVIRON)
    leader = psutil.Process(pid_of(place))
    until(lambda: leader.status() == psutil.STATUS_ZOMBIE)

    assert daemon.running(place) == leader.pid
    daemon.stop(place, 0.0)

    assert daemon.running(place) is None
    daemon.start(place, SLEEP, ENVIRON)
    assert pid_of(place) != leader.pid


STARTER = """
import os, sys
from pathlib import Path
from steps.clients.local import daemon
from steps.clients.local.daemon import Daemon
print("go", flush=True)
daemon.start(Daemon(Path(sys.argv[1]), "a.name"), ["sleep", "600"], {"PATH": os.environ["PATH"]})
print("done", flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize("milliseconds", [0, 5, 10, 15, 20, 30, 50, 500])
def test_a_starter_killed_at_any_moment_leaves_nothing_or_a_daemon_that_is_found(place, milliseconds):
    command = [sys.executable, "-c", STARTER, str(place.directory)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as starter:
        assert starter.stdout is not None
        assert starter.stdout.readline() == b"go\n"
        time.sleep(milliseconds / 1000)
        starter.kill()
    until(lambda: not any("launch.py" in " ".join(arguments(p)) for p in processes_of(place.directory)))
    assert group(place) == [pid for pid in [daemon.running(place)] if pid is not None]
    daemon.start(place, SLEEP, ENVIRON)
    assert group(place) == [pid_of(place)]
