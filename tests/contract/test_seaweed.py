"""The embedded store: for this machine only, found again, and its data bear a kill."""

import socket
import stat
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from steps.clients.local import daemon
from steps.clients.local.daemon import Daemon
from steps.errors import BadInput
from workflows.local import seaweed
from workflows.local.seaweed import Access
from workflows.local.services import store_ports


@pytest.fixture
def home(tmp_path):
    """Deep enough that no path of a Unix socket in it would do."""
    deep = tmp_path / ("a" * 60) / ("b" * 60)
    deep.mkdir(parents=True)
    yield deep
    seaweed.stop(deep)


def pid(home: Path) -> int:
    found = daemon.running(Daemon(home / "services", "seaweedfs"))
    assert found
    return found


def kill(home: Path) -> None:
    process = psutil.Process(pid(home))
    process.kill()
    process.wait(10)


def write(access: Access, body: bytes) -> None:
    seaweed.client(access).put_object(Bucket="models", Key="a", Body=body)


def read(access: Access) -> bytes:
    body: bytes = seaweed.client(access).get_object(Bucket="models", Key="a")["Body"].read()
    return body


def sockets_in_tmp(home: Path) -> list[Path]:
    ports = store_ports.read(home / "services")
    assert ports
    return [p for port in vars(ports).values() for p in Path("/tmp").glob(f"seaweedfs-*{port + 10_000}.sock")]


def test_it_is_found_again_killed_and_restarted_on_its_data_and_stopped(home):
    access = seaweed.start(home, "models")
    write(access, b"precious")
    first = pid(home)

    assert seaweed.start(home, "models") == access
    assert pid(home) == first

    kill(home)
    again = seaweed.start(home, "models")
    assert pid(home) != first
    assert again == access  # clients that still have the address find it
    assert read(again) == b"precious"

    began = time.monotonic()
    seaweed.stop(home)
    assert time.monotonic() - began < 10  # SIGTERM would take it half a minute
    assert daemon.running(Daemon(home / "services", "seaweedfs")) is None
    assert sockets_in_tmp(home) == []
    seaweed.stop(home)


def test_it_listens_to_this_machine_only_and_calls_nobody(home):
    write(seaweed.start(home, "models"), b"x")
    connections = psutil.Process(pid(home)).net_connections("inet")
    assert len([c for c in connections if c.status == psutil.CONN_LISTEN]) >= 5
    assert {c.laddr.ip for c in connections} == {"127.0.0.1"}
    assert {c.raddr[0] for c in connections if len(c.raddr)} <= {"127.0.0.1"}
    assert "-master.telemetry=false" in psutil.Process(pid(home)).cmdline()


def test_the_secret_is_for_the_owner_alone_and_on_no_command_line(home):
    access = seaweed.start(home, "models")
    keys = home / "services" / "seaweedfs-keys.json"
    assert stat.S_IMODE(keys.stat().st_mode) == 0o600
    process = psutil.Process(pid(home))
    assert access.secret_key not in " ".join([*process.cmdline(), *process.environ().values()])
    others = [p for p in home.rglob("*") if p.is_file() and p != keys]
    assert [p for p in others if access.secret_key.encode() in p.read_bytes()] == []


def test_two_runs_that_start_it_at_once_share_one(home):
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(lambda _: seaweed.start(home, "models"), range(2))
    assert first == second
    write(first, b"x")
    assert read(second) == b"x"


def test_a_port_that_was_taken_since_is_replaced_and_the_data_stay(home):
    access = seaweed.start(home, "models")
    write(access, b"precious")
    kill(home)
    ports = store_ports.read(home / "services")
    assert ports
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("127.0.0.1", ports.s3))
        taken.listen()
        again = seaweed.start(home, "models")
    assert again.endpoint != access.endpoint
    assert read(again) == b"precious"


def test_a_bucket_name_that_it_does_not_take_is_bad_input(home):
    with pytest.raises(BadInput, match="VLLM_PROMOTE_BUCKET"):
        seaweed.start(home, "UPPER")
