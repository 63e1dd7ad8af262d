"""The stable endpoint, as clients meet it: real servers, a real forwarder, real kills."""

import socket
import threading
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from steps.clients.local import daemon
from steps.clients.local.forwarder import Endpoint
from steps.core.record import Record
from steps.errors import Transient
from tests.stubs.leftovers import arguments, processes_of
from tests.stubs.local import Place, a_release, commit_served, place_at, ready_pods, request, serve, take, until

OWNER = "run-1"
ONE, TWO = a_release(1), a_release(2)


@pytest.fixture
def place(tmp_path):
    with place_at(tmp_path / "home") as place:
        yield place


@pytest.fixture
def serving(place):
    serving = place.connect()
    take(serving, OWNER)
    return serving


def point(serving, release):
    held, target = serving.read(), release and release.release_id
    serving.point(held, replace(held.record, live=target), target)


def connect(serving) -> socket.socket:
    host, port = serving.url.removeprefix("http://").split(":")
    return socket.create_connection((host, int(port)), timeout=10)


def closed_at_once(serving) -> bool:
    with closing(connect(serving)) as client:
        return client.recv(1) == b""


def test_clients_reach_the_release_that_the_record_points_to(place, serving):
    serve(place, ONE)
    serve(place, TWO, target=False)
    assert commit_served(serving.url) == ONE.commit
    point(serving, TWO)
    assert commit_served(serving.url) == TWO.commit


def test_a_stream_that_began_before_a_switch_ends_where_it_began(place, serving):
    serve(place, ONE, fault="slow:0.5")
    serve(place, TWO, target=False)
    with request(serving.url, model="stub", stream=True) as response:
        first = response.readline()
        point(serving, TWO)
        assert commit_served(serving.url) == TWO.commit
        rest = response.read()
    assert ONE.commit.encode() in first
    assert TWO.commit.encode() not in rest
    assert rest.rstrip().endswith(b"data: [DONE]")


def test_a_stream_outlives_the_stop_of_its_release(place, serving):
    serve(place, ONE, fault="slow:0.5")
    serve(place, TWO, target=False)
    with request(serving.url, model="stub", stream=True) as response:
        response.readline()
        point(serving, TWO)
        stop = threading.Thread(target=serving.stop, args=(ONE.release_id, OWNER))
        stop.start()
        rest = response.read()
        stop.join()
    assert rest.rstrip().endswith(b"data: [DONE]")


def test_without_a_target_a_connection_is_closed_at_once(place, serving):
    serve(place, ONE)
    point(serving, None)
    assert closed_at_once(serving)


def test_a_target_that_does_not_run_closes_connections_and_is_back_with_it(place, serving):
    serve(place, ONE)
    serving.stop(ONE.release_id, OWNER)
    assert closed_at_once(serving)
    serving.ensure(ONE, 1, OWNER)
    ready_pods(serving, ONE)
    assert commit_served(serving.url) == ONE.commit


def test_a_candidate_on_the_port_of_the_stopped_release_gets_no_client(place, serving):
    before = serve(place, ONE)
    serving.stop(ONE.release_id, OWNER)
    candidate = serve(place, TWO, target=False)
    assert candidate.url == before.url
    assert closed_at_once(serving)


def test_replicas_take_turns_and_a_dead_one_is_passed_over(place, serving):
    release = place.publish(ONE)
    serving.ensure(release, 2, OWNER)
    pods = ready_pods(serving, release, 2)
    point(serving, release)
    used = {connections_to(pod, serving) for pod in pods}
    assert used == {1}
    psutil.Process(int(pods[0].uid.split("-")[1])).kill()
    until(lambda: [p.failure for p in serving.pods(release.release_id) if p.failure])
    for _ in range(4):
        assert commit_served(serving.url) == release.commit


def connections_to(pod, serving) -> int:
    """How many of two clients' connections arrive at this pod."""
    with closing(connect(serving)), closing(connect(serving)):
        port = int(str(pod.url).rpartition(":")[2])
        server = psutil.Process(int(pod.uid.split("-")[1]))

        def arrived() -> int:
            return len([c for c in server.net_connections() if c.status == "ESTABLISHED" and c.laddr.port == port])

        return until(arrived)


def test_large_bodies_pass_both_ways(place, serving):
    serve(place, ONE, fault="long-text")
    with request(serving.url, model="stub", padding="x" * 5_000_000) as response:
        assert len(response.read()) > 400_000


def test_a_client_that_leaves_takes_its_connection_to_the_server_with_it(place, serving):
    pod = serve(place, ONE, fault="slow:1")
    server = psutil.Process(int(pod.uid.split("-")[1]))
    with request(serving.url, model="stub", stream=True) as response:
        response.readline()
    until(lambda: not [c for c in server.net_connections() if c.status == "ESTABLISHED"])
    assert commit_served(serving.url) == ONE.commit


def test_a_record_that_cannot_be_read_closes_connections_until_it_is_mended(place, serving):
    serve(place, ONE)
    path = place.home / "serving" / "chat.json"
    whole = path.read_text()
    path.write_text(whole[:20])
    assert closed_at_once(serving)
    path.write_text(whole)
    assert commit_served(serving.url) == ONE.commit
    assert "a person must mend it" in daemon.tail(serving.endpoint.daemon, 5)


def test_it_listens_on_the_loopback_and_nowhere_else(place, serving):
    serve(place, ONE)
    forwarder = psutil.Process(daemon.running(serving.endpoint.daemon))
    listening = [c.laddr.ip for c in forwarder.net_connections() if c.status == psutil.CONN_LISTEN]
    assert listening == ["127.0.0.1"]


def test_killed_it_comes_back_on_its_port_while_old_connections_still_linger(place, serving):
    serve(place, ONE)
    url = serving.url
    with closing(connect(serving)):
        psutil.Process(daemon.running(serving.endpoint.daemon)).kill()
        until(lambda: daemon.running(serving.endpoint.daemon) is None)
        serving.ensure(ONE, 1, OWNER)
    assert serving.url == url
    assert commit_served(url) == ONE.commit


def test_there_is_one_forwarder_whoever_asks(place, serving):
    threads = [threading.Thread(target=place.connect().endpoint.keep_up) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(forwarders(place)) == 1


def forwarders(place: Place) -> list[psutil.Process]:
    return [p for p in processes_of(place.home) if "steps.clients.local.forwarder" in arguments(p)]


def test_two_who_choose_a_port_at_once_choose_the_same(place):
    ports = []
    together = threading.Barrier(8)

    def choose() -> None:
        together.wait()
        ports.append(place.connect().url)

    threads = [threading.Thread(target=choose) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(ports)) == 1
    assert sorted(path.name for path in place.directory.iterdir()) == ["endpoint.json"]


@pytest.fixture
def squatter(serving):
    """Somebody who took the endpoint's port while nothing ran."""
    with socket.socket() as stranger:
        stranger.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        stranger.bind(("127.0.0.1", int(serving.url.rpartition(":")[2])))
        stranger.listen()
        yield stranger


def test_nothing_is_pointed_to_while_a_stranger_has_the_port(place, serving, squatter):
    serve(place, ONE, target=False)
    with pytest.raises(Transient, match=r"http://127.0.0.1:\d+ cannot be opened: .*address already in use"):
        point(serving, ONE)
    assert serving.read().target is None


def test_a_stranger_on_the_port_keeps_nobody_from_reading_the_record(place, serving, squatter, caplog):
    serve(place, ONE, target=False)
    serving.record.swap(serving.read(), Record(owner=OWNER), ONE.release_id)
    assert serving.read().target == ONE.release_id
    assert "cannot be opened" in caplog.text


def test_an_endpoint_is_kept_up_from_wherever_one_stands(place, serving, monkeypatch):
    monkeypatch.chdir("/")
    endpoint = Endpoint(serving.record)
    endpoint.keep_up()
    assert daemon.running(endpoint.daemon)
    assert Path(psutil.Process(daemon.running(endpoint.daemon)).cwd()).joinpath("steps").is_dir()
