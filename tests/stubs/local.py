"""A directory in which the stub model server serves: the local adapter's surroundings, and a client's view of it."""

import http.client
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from steps.clients.local import serving
from steps.clients.local.serving import LocalServing
from steps.core.names import slug
from steps.core.record import Record
from steps.core.release import Release, Serving
from steps.ports.serving import Pod
from steps.settings import from_environment
from tests.stubs.leftovers import processes_of
from tests.stubs.weights import write_model

STUB = f"{sys.executable} {Path(__file__).with_name('model_server.py')}"
T = TypeVar("T")


def until(condition: Callable[[], T], seconds: float = 60.0) -> T:
    """What the condition gives as soon as that is true."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.01)
    return value


def a_release(number: int, **serving_fields: Any) -> Release:
    """Releases of different numbers have different commits, bytes and ids."""
    fields = {"served_name": "stub", "image": "", "device": "cpu", "gpus": 0, "args": (), "pod": "{}"}
    return Release(
        deployment="chat",
        model="org/model",
        commit=f"{number:040x}",
        manifest_sha256=f"{number:064x}",
        total_bytes=8192,
        serving=Serving(**{**fields, **serving_fields}),
    )


class Place:
    """``environ`` is what the adapter's process would have around it."""

    def __init__(self, home: Path, **environ: str) -> None:
        self.home, self.volume = home, home / "volume"
        self.volume.mkdir(parents=True)
        self.environ = {
            "PATH": os.environ["PATH"],
            "VLLM_PROMOTE_SERVING": f"local://{home}",
            "VLLM_PROMOTE_VOLUME": str(self.volume),
            "VLLM_PROMOTE_SERVE_COMMAND": STUB,
            **environ,
        }

    def connect(self) -> LocalServing:
        """Each call is as good as another process."""
        return serving.connect(from_environment(self.environ), "chat", self.environ)

    def publish(self, release: Release, **stub: Any) -> Release:
        """Put its model on the volume; ``stub`` says how it behaves."""
        write_model(self.volume / slug(release.model) / release.commit, **stub)
        return release

    @property
    def directory(self) -> Path:
        return self.home / "serving" / "chat"

    def processes(self) -> list[int]:
        return [p.pid for p in processes_of(self.home)]


@contextmanager
def place_at(home: Path, **environ: str) -> Iterator[Place]:
    """Whatever was started there ends with it, and is seen to end."""
    place = Place(home, **environ)
    yield place
    serving.stop_everything(home)
    assert processes_of(home) == []


def take(serving: LocalServing, owner: str | None) -> None:
    """Become the owner of the record."""
    held = serving.read()
    serving.swap(held, Record(owner=owner, phase="testing" if owner else "idle"))


def ready_pods(serving: LocalServing, release: Release, count: int = 1) -> tuple[Pod, ...]:
    """Wait for so many."""

    def ready() -> tuple[Pod, ...]:
        pods = tuple(p for p in serving.pods(release.release_id) if p.ready)
        return pods if len(pods) == count else ()

    return until(ready)


def serve(place: Place, release: Release, *, target: bool = True, **stub: Any) -> Pod:
    """Have it run, ready, and be what clients reach."""
    adapter = place.connect()
    adapter.ensure(place.publish(release, **stub), 1, str(adapter.read().record.owner))
    (pod,) = ready_pods(adapter, release)
    if target:
        held = adapter.read()
        adapter.point(held, replace(held.record, live=release.release_id), release.release_id)
    return pod


@contextmanager
def request(url: str, path: str = "/v1/chat/completions", **body: Any) -> Iterator[http.client.HTTPResponse]:
    """The response's head has been read, its body not yet; a body makes it a POST."""
    address = urlsplit(url)
    connection = http.client.HTTPConnection(str(address.hostname), address.port, timeout=10)
    try:
        headers = {"content-type": "application/json"}
        connection.request("POST" if body else "GET", path, json.dumps(body) if body else None, headers)
        with connection.getresponse() as response:
            yield response
    finally:
        connection.close()


def commit_served(url: str) -> str:
    """Which weights answer a chat completion there."""
    with request(url, model="stub") as response:
        return str(json.load(response)["system_fingerprint"])
