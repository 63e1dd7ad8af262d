"""What only the adapter of one machine does: processes, ports, files, and what a kill at a bad moment leaves."""

import errno
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from steps.clients import serving as clients
from steps.clients.local import command, daemon
from steps.clients.local import serving as local
from steps.clients.local.process import LOGS_KEPT
from steps.core.amounts import size as amount
from steps.core.record import Record
from steps.errors import BadInput, Conflict, Failed, Missing, NoSpace
from steps.settings import from_environment
from tests.stubs.leftovers import arguments, processes_of
from tests.stubs.local import (
    Place,
    a_release,
    commit_served,
    place_at,
    ready_pods,
    request,
    serve,
    take,
    until,
)

OWNER, OTHER = "run-1", "run-2"
SLOW_SECONDS = 3.0
"""For a server that does not end: time to look meanwhile, on a busy machine too."""
CANARIES = {
    "HF_TOKEN": "hf_canary",
    "AWS_ACCESS_KEY_ID": "key_canary",
    "AWS_SECRET_ACCESS_KEY": "secret_canary",
    "AWS_SESSION_TOKEN": "session_canary",
    "VLLM_API_KEY": "api_canary",
    "KUBECONFIG": "config_canary",
}


@pytest.fixture
def place(tmp_path):
    with place_at(tmp_path / "home", **CANARIES) as place:
        yield place


@pytest.fixture
def serving(place):
    serving = place.connect()
    take(serving, OWNER)
    return serving


def impatient(serving, seconds=0.3):
    return replace(serving, servers=replace(serving.servers, grace_seconds=seconds))


def pid(pod):
    return int(pod.uid.split("-")[1])


def servers(place: Place) -> list[psutil.Process]:
    return [p for p in processes_of(place.home) if "--served-model-name" in arguments(p)]


def test_the_server_gets_model_name_address_and_the_catalogs_arguments(place, serving):
    release = place.publish(a_release(1, args=("--max-model-len", "2048")))
    serving.ensure(release, 1, OWNER)
    (pod,) = ready_pods(serving, release)
    model = place.volume / "org--model" / release.commit
    port = str(pod.url).rpartition(":")[2]
    given = ["--model", str(model), "--served-model-name", "stub", "--host", "127.0.0.1", "--port", port]
    assert psutil.Process(pid(pod)).cmdline()[-len(given) - 2 :] == [*given, "--max-model-len", "2048"]
    assert commit_served(str(pod.url)) == release.commit


def test_no_secret_reaches_a_server_or_the_forwarder(place, serving):
    release = a_release(1)
    pod = serve(place, release)
    environ = psutil.Process(pid(pod)).environ()
    assert environ["HF_HUB_OFFLINE"] == environ["VLLM_NO_USAGE_STATS"] == environ["DO_NOT_TRACK"] == "1"
    assert environ["VLLM_TARGET_DEVICE"] == "cpu"
    found = processes_of(place.home)
    assert len(found) == 2
    for process in found:
        assert "canary" not in json.dumps(process.environ())
    for path in place.home.rglob("*"):
        assert not path.is_file() or b"canary" not in path.read_bytes()


def test_only_the_loopback_is_listened_on(place, serving):
    serve(place, a_release(1))
    found = [c for p in processes_of(place.home) for c in p.net_connections() if c.status == psutil.CONN_LISTEN]
    assert [c.laddr.ip for c in found] == ["127.0.0.1", "127.0.0.1"]


def test_a_server_keeps_its_port_from_start_to_start_and_a_second_release_gets_another(place, serving):
    one, two = place.publish(a_release(1)), place.publish(a_release(2))
    serving.ensure(one, 1, OWNER)
    serving.ensure(two, 1, OWNER)
    urls = {ready_pods(serving, r)[0].url for r in (one, two)}
    for release in (one, two):
        serving.stop(release.release_id, OWNER)
    serving.ensure(one, 1, OWNER)
    serving.ensure(two, 1, OWNER)
    assert {ready_pods(serving, r)[0].url for r in (one, two)} == urls
    assert len(urls) == 2


def test_a_port_that_a_stranger_took_meanwhile_is_left_to_it(place, serving):
    release = place.publish(a_release(1))
    serving.ensure(release, 1, OWNER)
    (before,) = ready_pods(serving, release)
    serving.stop(release.release_id, OWNER)
    with socket.socket() as stranger:
        stranger.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        stranger.bind(("127.0.0.1", int(str(before.url).rpartition(":")[2])))
        stranger.listen()
        serving.ensure(release, 1, OWNER)
        (after,) = ready_pods(serving, release)
    assert after.url != before.url


def test_a_server_that_listens_but_is_not_healthy_is_waited_for(place, serving):
    release = place.publish(a_release(1), fault="not-ready:0.5")
    serving.ensure(release, 1, OWNER)
    until(lambda: "startup complete" in serving.log_tail(release.release_id, 1))
    (pod,) = serving.pods(release.release_id)
    assert not pod.ready
    assert pod.waiting == "it loads, and said last: INFO Application startup complete."
    ready_pods(serving, release)


def test_a_proxy_of_the_environment_is_not_asked(place, serving, monkeypatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    serve(place, a_release(1))


def test_a_program_that_is_not_there_is_said_so(place):
    place.environ["VLLM_PROMOTE_SERVE_COMMAND"] = "no-such-program --fast"
    serving = place.connect()
    take(serving, OWNER)
    release = place.publish(a_release(1))
    with pytest.raises(BadInput, match="SERVE_COMMAND names 'no-such-program'"):
        serving.check_room(release)
    with pytest.raises(Failed, match="no-such-program cannot be started"):
        serving.ensure(release, 1, OWNER)


def test_each_start_has_a_log_of_its_own_and_few_are_kept(place, serving):
    release = place.publish(a_release(1), fault="crash-on-start")
    for _ in range(LOGS_KEPT + 2):
        serving.ensure(release, 1, OWNER)
        until(lambda: not servers(place))
    logs = sorted(path.name for path in place.directory.glob("*.log*"))
    name = f"{release.release_id}.0.log"
    assert logs == [name, *(f"{name}.{number}" for number in range(1, LOGS_KEPT))]
    assert serving.log_tail(release.release_id, 100).count("Traceback") == 1


def test_what_a_removed_release_logged_is_kept_for_a_while(place, serving):
    for number in range(1, 4):
        release = place.publish(a_release(number), fault="crash-on-start")
        serving.ensure(release, 1, OWNER)
        until(lambda: not servers(place))
        serving.remove(release.release_id, OWNER)
        assert "ValueError" in (place.directory / f"{release.release_id}.0.log").read_text()
    assert {path.suffix for path in place.directory.glob("*.0.*")} == {".log"}


def test_a_stop_lets_the_requests_in_flight_finish(place, serving):
    release = a_release(1)
    pod = serve(place, release, target=False, fault="slow:1")
    with request(str(pod.url), model="stub", stream=True) as response:
        assert response.readline().startswith(b"data: ")
        stop = threading.Thread(target=serving.stop, args=(release.release_id, OWNER))
        stop.start()
        rest = response.read()
        stop.join()
    assert rest.rstrip().endswith(b"data: [DONE]")
    assert serving.pods(release.release_id) == ()


def test_a_server_that_will_not_end_is_killed_after_the_grace(place, serving):
    release = a_release(1)
    serve(place, release, target=False, fault="ignore-sigterm")
    impatient(serving).stop(release.release_id, OWNER)
    assert servers(place) == []


def test_a_release_that_is_still_ending_has_a_pod(place, serving):
    """Whoever makes room, and goes on after one who was killed there, must see that it is not made yet."""
    release = a_release(1)
    serve(place, release, target=False, fault="ignore-sigterm")
    stop = threading.Thread(target=impatient(serving, SLOW_SECONDS).stop, args=(release.release_id, OWNER))
    stop.start()
    until(lambda: serving.replicas(release.release_id) == 0)
    assert len(serving.pods(release.release_id)) == 1
    stop.join()
    assert serving.pods(release.release_id) == ()


def test_the_record_can_be_taken_over_while_somebody_stops_and_the_new_owner_has_the_last_word(place, serving):
    release = a_release(1)
    before = serve(place, release, target=False, fault="ignore-sigterm")
    stop = threading.Thread(target=impatient(serving, SLOW_SECONDS).stop, args=(release.release_id, OWNER))
    stop.start()
    until(lambda: serving.replicas(release.release_id) == 0)
    take(serving, OTHER)
    assert stop.is_alive()
    place.connect().ensure(release, 1, OTHER)  # waits for the stop, then starts what it ended
    stop.join()
    (after,) = ready_pods(serving, release)
    assert after.uid != before.uid
    with pytest.raises(Conflict):
        serving.stop(release.release_id, OWNER)
    impatient(serving).stop(release.release_id, OTHER)


def test_two_who_ensure_at_once_start_one_server(place, serving):
    release = place.publish(a_release(1))
    together = threading.Barrier(4)

    def ensure() -> None:
        together.wait()
        place.connect().ensure(release, 1, OWNER)

    threads = [threading.Thread(target=ensure) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    ready_pods(serving, release)
    assert len(servers(place)) == 1


STARTER = """
import json, os, sys
from steps.clients.local import serving
from steps.core.release import from_json
from steps.settings import from_environment
adapter = serving.connect(from_environment(os.environ), "chat", os.environ)
release = from_json(json.loads(sys.argv[1]))
print("go", flush=True)
adapter.ensure(release, 2, "run-1")
adapter.stop(release.release_id, "run-1")
"""


@pytest.mark.parametrize("milliseconds", [5, 20, 40, 60, 80, 120, 200, 400])
def test_a_step_killed_at_any_moment_leaves_what_the_next_one_finds(place, serving, milliseconds):
    release = place.publish(a_release(1))
    command = [sys.executable, "-c", STARTER, json.dumps(release.to_json())]
    with subprocess.Popen(command, env=place.environ, stdout=subprocess.PIPE) as step:
        assert step.stdout is not None
        assert step.stdout.readline() == b"go\n"
        time.sleep(milliseconds / 1000)
        step.kill()
    serving.ensure(release, 2, OWNER)
    # One that was told to stop by the killed step may still be ending; a step waits for ready pods and ensures again.
    until(lambda: serving.ensure(release, 2, OWNER) or sum(p.ready for p in serving.pods(release.release_id)) == 2)
    until(lambda: len(servers(place)) == 2)
    serving.stop(release.release_id, OWNER)
    assert servers(place) == []


def test_children_of_a_killed_server_end_before_the_next_start(place, serving):
    """vLLM's engine is such a child, and holds the GPU."""
    place.environ["VLLM_PROMOTE_SERVE_COMMAND"] = f'sh -c \'sleep 600 & exec "$0" "$@"\' {sys.executable} ' + str(
        Path(__file__).parents[1] / "stubs/model_server.py"
    )
    serving = place.connect()
    release = a_release(1)
    pod = serve(place, release, target=False)
    child = next(p for p in processes_of(place.home) if "600" in arguments(p))
    os.kill(pid(pod), signal.SIGKILL)
    until(lambda: serving.pods(release.release_id)[0].failure)
    assert child.is_running()
    serving.ensure(release, 1, OWNER)
    assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE
    ready_pods(serving, release)


@pytest.mark.parametrize(
    "damage",
    [lambda _: "", lambda text: text[:50], lambda _: "[]", lambda text: text.replace('"commit": "', '"commit": "0')],
    ids=["empty", "cut", "a list", "another commit"],
)
def test_a_damaged_spec_is_as_none_and_promoting_the_release_again_mends_it(place, serving, caplog, damage):
    """A power cut may leave one; nobody should have to know the file."""
    release = a_release(1)
    pod = serve(place, release, target=False)
    path = place.directory / f"{release.release_id}.json"
    whole = path.read_text()
    path.write_text(damage(whole))
    assert serving.release(release.release_id) is None
    assert path.name in caplog.text
    assert [p.uid for p in serving.pods(release.release_id)] == [pod.uid]
    serving.ensure(release, 1, OWNER)
    assert path.read_text() == whole
    assert serving.release(release.release_id) == release


@pytest.mark.parametrize("act", ["read", "swap", "ensure", "stop"])
def test_a_full_disk_is_said_so_whatever_is_done(place, serving, monkeypatch, act):
    release = place.publish(a_release(1))
    held = serving.read()
    monkeypatch.setattr(Path, "open", lambda *_, **__: raise_os_error(errno.ENOSPC))
    monkeypatch.setattr(Path, "read_bytes", lambda *_, **__: raise_os_error(errno.ENOSPC))
    acts = {
        "read": serving.read,
        "swap": lambda: serving.swap(held, held.record),
        "ensure": lambda: serving.ensure(release, 1, OWNER),
        "stop": lambda: serving.stop(release.release_id, OWNER),
    }
    with pytest.raises(NoSpace, match="make room on its disk"):
        acts[act]()


def raise_os_error(number):
    raise OSError(number, os.strerror(number))


def test_everything_of_a_machine_is_stopped_by_one_call_and_the_record_stays(place, serving):
    release = a_release(1)
    serve(place, release)
    record = serving.read()
    stopped = local.stop_everything(place.home)
    assert stopped == (f"chat/{release.release_id}.0", "chat/endpoint")
    assert processes_of(place.home) == []
    assert place.connect().read() == record
    assert processes_of(place.home) == []  # reading starts nothing where nothing serves
    assert local.stop_everything(place.home) == ()
    assert local.deployments(place.home) == ("chat",)


def test_a_machine_without_deployments_has_nothing_to_stop(tmp_path):
    assert local.stop_everything(tmp_path) == ()
    assert local.deployments(tmp_path) == ()


def test_reading_writes_nothing(place):
    held = place.connect().read()
    assert held.record == Record()
    assert not (place.home / "serving").exists()


@pytest.mark.parametrize(
    ("change", "error", "sentence"),
    [
        (lambda p: p.volume.rmdir(), Missing, "the volume .* is not there"),
        (lambda p: p.environ.update(VLLM_PROMOTE_SERVE_COMMAND="sh -c '"), BadInput, "SERVE_COMMAND cannot be split"),
        (lambda p: p.environ.update(VLLM_PROMOTE_SERVE_COMMAND="' '"), BadInput, "names ' ', which is no program"),
        (lambda p: p.environ.pop("VLLM_PROMOTE_SERVE_COMMAND"), Missing, "has no vLLM; install it"),
    ],
    ids=["volume", "quotes", "blank", "no vLLM"],
)
def test_what_would_keep_a_server_from_starting_is_said_beforehand(place, monkeypatch, change, error, sentence):
    monkeypatch.setitem(sys.modules, "vllm", None)  # Python's word for: cannot be imported
    change(place)
    with pytest.raises(error, match=sentence):
        place.connect().check_room(a_release(1))


def test_more_weights_than_memory_do_not_fit(place):
    with pytest.raises(NoSpace, match="choose a smaller model"):
        place.connect().check_room(replace(a_release(1), total_bytes=1 << 60))


def test_a_gpu_is_asked_for_only_where_there_is_one(tmp_path):
    with pytest.raises(BadInput, match="set VLLM_PROMOTE_DEVICE=cpu"):
        command.check_device("cuda", tmp_path)
    command.check_device("cpu", tmp_path)
    (tmp_path / "nvidia0").touch()
    command.check_device("cuda", tmp_path)


def test_vllm_itself_is_told_to_drain_and_to_load_safetensors_only(place):
    del place.environ["VLLM_PROMOTE_SERVE_COMMAND"]
    argv = place.connect().servers.command.argv(a_release(1, args=("--dtype", "float32")), 20_000)
    assert argv[:3] == [sys.executable, "-m", "vllm.entrypoints.openai.api_server"]
    assert argv[-6:] == ["--load-format", "safetensors", "--shutdown-timeout", "45", "--dtype", "float32"]


def test_the_adapter_follows_the_setting(place, monkeypatch):
    settings = from_environment(place.environ)
    assert clients.connect(settings, "chat").url == place.connect().url
    elsewhere = from_environment({"VLLM_PROMOTE_SERVING": "kube://models"})
    monkeypatch.setenv("KUBECONFIG", "/nowhere")
    with pytest.raises(Missing, match="set KUBECONFIG"):
        clients.connect(elsewhere, "chat")
    with pytest.raises(BadInput, match="set VLLM_PROMOTE_SERVING=local://DIRECTORY"):
        local.connect(elsewhere, "chat", {})
    with pytest.raises(BadInput, match="deployment"):
        clients.connect(settings, "../chat")


def test_a_killed_forwarder_is_back_on_the_same_port_when_somebody_looks(place, serving):
    serve(place, a_release(1))
    url = serving.url
    psutil.Process(daemon.running(serving.endpoint.daemon)).kill()
    until(lambda: daemon.running(serving.endpoint.daemon) is None)
    place.connect().read()
    assert serving.url == url
    assert commit_served(url) == a_release(1).commit


def test_servers_whose_record_somebody_has_removed_are_still_found(place, serving):
    pod = serve(place, a_release(1))
    assert local.deployments(place.home) == ("chat",)
    (place.home / "serving" / "chat.json").unlink()
    assert local.deployments(place.home) == ("chat",)
    psutil.Process(pid(pod)).kill()
    until(lambda: not psutil.pid_exists(pid(pod)))
    daemon.stop(daemon.Daemon(place.directory, "endpoint"), 5.0)
    assert local.deployments(place.home) == ()


def test_the_candidates_own_files_are_what_is_read_ahead(place, serving):
    release = place.publish(a_release(2))
    directory = serving.servers.command.directory(release)
    size = sum(p.stat().st_size for p in directory.rglob("*") if p.is_file())
    (here,) = serving.prepare(release, a_release(1).release_id, 60.0, "run")
    assert (here.done, here.said) == (True, f"{amount(size)} of {amount(size)} are in memory")


def test_files_that_were_removed_since_they_were_checked_are_a_problem_of_this_machine(place, serving):
    release = a_release(2)
    (here,) = serving.prepare(release, a_release(1).release_id, 60.0, "run")
    assert here.problem is not None
    assert here.problem.startswith(f"{serving.servers.command.directory(release)} has been removed since it was")


def test_what_vllm_compiles_is_kept_where_the_user_keeps_such_things(place):
    """Its cache lies in HOME, which it is told, or where the user says."""
    environ = {"HOME": "/home/me", "XDG_CACHE_HOME": "/fast/cache", "VLLM_CACHE_ROOT": "/fast/vllm"}
    told = command.Command(replaced=None, volume=place.volume, environ=environ).environment("cuda")
    assert told.items() >= environ.items()
