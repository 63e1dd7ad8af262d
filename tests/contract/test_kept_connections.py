"""To the Hub and to the store as many connections are kept as there are small files under way.

One that is closed is made again for the next file, which takes two round trips and more to a server that is far away.
"""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar
from urllib.parse import urlsplit

import psutil

from steps import in_one_piece
from steps.clients import hub as hubs
from steps.clients import store as stores
from steps.core.manifest import File
from tests.stubs.proxy import proxy
from tests.stubs.store import digest

SMALL = b"a small file"
MANY = in_one_piece.WORKERS
T = TypeVar("T")


def all_at_once() -> Callable[[T], T]:
    """Gives back what it is given, when everybody has come with something."""
    everybody = threading.Barrier(MANY, timeout=30)

    def wait(given: T) -> T:
        everybody.wait()
        return given

    return wait


def kept(endpoint: str) -> int:
    """Connections that this process has opened and not closed."""
    port = urlsplit(endpoint).port
    return sum(bool(c.raddr) and c.raddr.port == port for c in psutil.Process().net_connections("tcp"))


def test_to_the_hub_and_to_where_its_bytes_come_from(hub):
    commit = hub.publish("org/name", {f"{n}.safetensors": SMALL for n in range(MANY)})
    port = hubs.connect(hub.settings())
    for kind in ("file", "download"):
        hub.inject(kind, all_at_once(), times=MANY)

    def read(n: int) -> bytes:
        return port.open("org/name", commit, File(f"{n}.safetensors", len(SMALL), digest(SMALL))).read(0, len(SMALL))

    with ThreadPoolExecutor(MANY) as threads:
        assert set(threads.map(read, range(MANY))) == {SMALL}
    assert hub.count("download") == MANY
    assert kept(hub.downloads) == MANY
    assert kept(hub.endpoint) == MANY


def test_to_the_store(s3, monkeypatch):
    with proxy(s3.endpoint) as between:
        monkeypatch.setenv("AWS_ENDPOINT_URL", between.endpoint)
        store = stores.connect(s3.settings())
        store.put("a", SMALL)
        wait: Callable[[bytes | None], bytes | None] = all_at_once()
        between.refuse = lambda _request: wait(None)

        def read(_: int) -> bytes:
            body = bytearray(len(SMALL))
            store.read_into("a", 0, memoryview(body))
            return bytes(body)

        with ThreadPoolExecutor(MANY) as threads:
            assert set(threads.map(read, range(MANY))) == {SMALL}
        assert kept(between.endpoint) == MANY
