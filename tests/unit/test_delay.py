"""The benchmark's line to servers that are far away: late with everything, and with nothing more than it says."""

import argparse
import contextlib
import os
import socket
import socketserver
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import psutil
import pytest

from steps.core.parts import MiB
from tests.bench import __main__ as bench
from tests.bench.cases import case
from tests.bench.delay import LINE, Delay, delay, delayed

FAR, THERE_AND_BACK = Delay(100), 0.1
LATE = 0.09
"""Seconds by which a busy machine may be late, besides; less than one more round trip."""


@contextmanager
def far_away(answer: Callable[[socket.socket], object], by: Delay = FAR) -> Iterator[tuple[str, int]]:
    """The address at which a client finds a server that does so with each connection, and then closes it."""

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with contextlib.suppress(OSError):
                answer(self.request)

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True
        block_on_close = False
        request_queue_size = 512

    with Server(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        with delayed(f"http://127.0.0.1:{server.server_address[1]}", by) as endpoint:
            host, _, port = endpoint.removeprefix("http://").rpartition(":")
            yield host, int(port)
        server.shutdown()


def echo(connection: socket.socket) -> None:
    while data := connection.recv(1 << 16):
        connection.sendall(data)


def everything(connection: socket.socket) -> bytes:
    return b"".join(iter(lambda: connection.recv(1 << 18), b""))


def asked(connection: socket.socket) -> float:
    began = time.monotonic()
    connection.sendall(b"x")
    assert connection.recv(1) == b"x"
    return time.monotonic() - began


@pytest.mark.parametrize(("text", "milliseconds", "one_way"), [("20ms", 20, 0.01), ("0.5ms", 0.5, 0.00025)])
def test_a_delay_is_there_and_back(text, milliseconds, one_way):
    assert delay(text) == Delay(milliseconds)
    assert delay(text).one_way == pytest.approx(one_way)


@pytest.mark.parametrize("text", ["", "20", "ms", "0ms", "-1ms", "20 ms", "20s", "1e3ms"])
def test_what_is_no_delay_is_told(text):
    with pytest.raises(argparse.ArgumentTypeError, match="as 20ms"):
        delay(text)


@pytest.mark.parametrize(
    ("flags", "name"),
    [
        ([], "4x1GiB"),
        (["--link", "1gbit"], "4x1GiB, 1gbit"),
        (["--delay", "20ms"], "4x1GiB, 20 ms"),
        (["--link", "1gbit", "--delay", "2.5ms"], "4x1GiB, 1gbit, 2.5 ms"),
    ],
)
def test_a_case_is_told_with_the_line_that_it_goes_over(flags, name):
    assert bench.over(case("4x1GiB"), bench.parse(flags)) == name


def test_the_option_is_refused_in_a_sentence(capsys):
    with pytest.raises(SystemExit):
        bench.parse(["--delay", "20"])
    assert "'20' is no delay; say milliseconds there and back, as 20ms" in capsys.readouterr().err


def test_the_first_answer_takes_two_round_trips_and_each_later_one_takes_one():
    with far_away(echo) as address:
        began = time.monotonic()
        with socket.create_connection(address) as client:
            asked(client)
            first = time.monotonic() - began
            later = min(asked(client) for _ in range(5))
    assert 2 * THERE_AND_BACK <= first < 2 * THERE_AND_BACK + LATE
    assert THERE_AND_BACK <= later < THERE_AND_BACK + LATE


def test_what_is_sent_meanwhile_is_on_its_way_too():
    with far_away(echo) as address, socket.create_connection(address) as client:
        asked(client)
        began = time.monotonic()
        for _ in range(20):
            client.sendall(b"x")
            time.sleep(0.002)  # each is a piece of its own
        got = 0
        while got < 20:
            got += len(client.recv(20))
        took = time.monotonic() - began
    assert THERE_AND_BACK <= took < 4 * THERE_AND_BACK


def test_all_bytes_arrive_in_both_directions_at_once():
    content = os.urandom(24 * MiB)
    with far_away(echo) as address, socket.create_connection(address) as client, ThreadPoolExecutor(1) as pool:

        def send() -> None:
            client.sendall(content)
            client.shutdown(socket.SHUT_WR)

        sent = pool.submit(send)
        assert everything(client) == content
        sent.result()


def test_a_client_that_reads_late_makes_the_server_wait_and_gets_every_byte():
    content = os.urandom(48 * MiB)
    sent: list[int] = []

    def much(connection: socket.socket) -> None:
        for start in range(0, len(content), MiB):
            connection.sendall(content[start : start + MiB])
            sent.append(start)

    with far_away(much) as address, socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 * 1024)
        client.connect(address)
        time.sleep(0.5)  # whatever would be sent is sent by then
        assert len(sent) < 24, "the line holds no more than its window, the sockets' own memory aside"
        assert everything(client) == content


def test_who_has_said_all_may_still_be_answered():
    def counted(connection: socket.socket) -> None:
        connection.sendall(b"%d bytes" % len(everything(connection)))

    with far_away(counted) as address, socket.create_connection(address) as client:
        client.sendall(bytes(3 * MiB))
        client.shutdown(socket.SHUT_WR)
        assert everything(client) == b"3145728 bytes"


def test_the_servers_end_comes_after_its_last_byte_and_the_client_may_go_on():
    got: list[bytes] = []
    over = threading.Event()

    def greeting(connection: socket.socket) -> None:
        connection.sendall(b"hello")
        connection.shutdown(socket.SHUT_WR)
        got.append(everything(connection))
        over.set()

    with far_away(greeting) as address, socket.create_connection(address) as client:
        assert everything(client) == b"hello"
        client.sendall(b"bye")
        client.shutdown(socket.SHUT_WR)
        assert over.wait(5)
    assert got == [b"bye"]


def test_a_client_that_goes_away_in_the_middle_is_missed_by_the_server():
    gone = threading.Event()

    def endless(connection: socket.socket) -> None:
        try:
            while True:
                connection.sendall(bytes(MiB))
        except ConnectionError:
            gone.set()

    with far_away(endless) as address:
        with socket.create_connection(address) as client:
            assert client.recv(1)
        assert gone.wait(5)
        with socket.create_connection(address) as client:
            assert client.recv(1), "the line goes on for others"


def test_where_no_server_is_the_connection_is_reset():
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with delayed(f"http://127.0.0.1:{port}", FAR) as endpoint:
        line = int(endpoint.rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", line)) as client, pytest.raises(ConnectionResetError):
            client.recv(1)


def test_many_connections_wait_side_by_side():
    with far_away(echo, Delay(200)) as address, contextlib.ExitStack() as opened:
        began = time.monotonic()
        clients = [opened.enter_context(socket.create_connection(address)) for _ in range(300)]
        for client in clients:
            client.sendall(b"x")
        assert all(client.recv(1) == b"x" for client in clients)
        took = time.monotonic() - began
    assert 0.4 <= took < 3, "a turn for each would be minutes"


def test_a_gigabit_a_second_and_more_comes_through_at_20_ms():
    size, piece = 192 * MiB, bytes(MiB)

    def much(connection: socket.socket) -> None:
        for _ in range(size // len(piece)):
            connection.sendall(piece)

    with far_away(much, Delay(20)) as address, socket.create_connection(address) as client:
        began, left, body = time.monotonic(), size, memoryview(bytearray(MiB))
        while left:
            left -= client.recv_into(body)
        took = time.monotonic() - began
    assert size / took > 125e6 / 2, "half of it, on a machine that does other things too"


def test_the_line_is_gone_with_whoever_wanted_it():
    def lines() -> int:
        return sum(LINE in child.cmdline() for child in psutil.Process().children())

    with far_away(echo):
        assert lines() == 1
    assert lines() == 0
