"""A commit that changes one shard costs that shard: bytes from the Hub, bytes from the store, room on the volume."""

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from steps.clients import store as stores
from steps.contracts import CHECKSUM, MIRROR, POPULATE
from steps.settings import PREFIX
from steps.step import Step
from tests.stubs import process
from tests.stubs.process import Ended
from tests.stubs.proxy import Proxy, proxy
from tests.stubs.released import Released
from tests.stubs.weights import safetensors

MiB = 1024 * 1024
SHARDS = 10
SHARD = 9 * MiB
"""Above the least that is sent in parts."""
OVERHEAD = 0.25 * MiB
"""Of requests and answers, documents among them."""


def model(*, changed: int | None = None) -> dict[str, bytes]:
    def body(number: int) -> bytes:
        return os.urandom(16) * (SHARD // 16) if number == changed else bytes([number]) * SHARD

    names = {n: f"model-{n + 1:05}-of-{SHARDS:05}.safetensors" for n in range(SHARDS)}
    return {"config.json": b"{}", **{name: safetensors({f"w{n}": body(n)}) for n, name in names.items()}}


@dataclass
class Wire:
    """Between a step and a server: how many bytes passed each way."""

    between: Proxy
    up: list[int] = field(default_factory=list)
    down: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.between.up = lambda data: self._counted(self.up, data)
        self.between.down = lambda data: self._counted(self.down, data)

    def _counted(self, passed: list[int], data: bytes) -> bytes:
        passed.append(len(data))
        return data

    def bytes(self) -> tuple[int, int]:
        """Since this was asked last: up, down."""
        told = sum(self.up), sum(self.down)
        self.up.clear()
        self.down.clear()
        return told


@pytest.fixture
def wires(s3, hub):
    with proxy(s3.endpoint) as to_store:
        yield Wire(to_store)


def run(step: Step[Any, Any], released: Released, tmp_path: Path, environ: dict[str, str]) -> Ended:
    release = {"deployment": "chat", "release_id": released.release_id}
    identity = {"model": released.model, "commit": released.commit, "manifest_sha256": released.manifest.sha256}
    inputs = step.inputs(**(identity if step is CHECKSUM else release))
    ended = process.run(step, inputs, environ, tmp_path / f"{step.name}.{released.commit}", timeout=100)
    assert ended.code == 0, ended.sentence
    return ended


@pytest.mark.parametrize("one_pass", ["false", pytest.param("true", marks=pytest.mark.exhaustive)])
def test_a_changed_shard_costs_that_shard_alone(wires, s3, hub, tmp_path, one_pass):
    volume = tmp_path / "volume"
    volume.mkdir()
    to_store = {**s3.environ(), "AWS_ENDPOINT_URL": wires.between.endpoint}
    environ = {**hub.environ(), **to_store, PREFIX + "VOLUME": str(volume), PREFIX + "ONE_PASS": one_pass}
    first, second = (
        Released(content, commit=hub.publish("org/stub", content)) for content in (model(), model(changed=4))
    )
    store = stores.connect(s3.settings())
    for released in (first, second):
        released.resolve_into(store)
    for step in (MIRROR, POPULATE):
        run(step, first, tmp_path, environ)
    used = room(volume)
    assert used > SHARDS * SHARD
    seen = len(hub.seen)
    wires.bytes()

    mirrored = run(MIRROR, second, tmp_path, environ)
    up, down = wires.bytes()
    asked = [request.path for request in hub.seen[seen:] if request.kind == "download"]
    assert asked == ["model-00005-of-00010.safetensors"] * 2  # its parts
    assert SHARD < up < SHARD + OVERHEAD
    assert down < OVERHEAD
    copied = int(mirrored.outputs["copied_bytes"])
    assert SHARD <= copied < SHARD + 1024
    kept = {p: second.key(p) for p in second.content}
    assert {p: b"".join(store.read(key, 0, len(second.content[p]))) for p, key in kept.items()} == second.content

    populated = run(POPULATE, second, tmp_path, environ)
    up, down = wires.bytes()
    assert up < OVERHEAD
    came_by = int(mirrored.outputs["volume_bytes"])
    assert came_by == (copied if one_pass == "true" else 0)
    assert int(populated.outputs["copied_bytes"]) == copied - came_by
    assert 0 <= down - (0 if came_by else SHARD) < OVERHEAD
    assert SHARD <= room(volume) - used < SHARD + OVERHEAD

    run(CHECKSUM, second, tmp_path, environ)
    run(CHECKSUM, first, tmp_path / "again", environ)


def room(directory: Path) -> int:
    """As du tells it: what has two names counts once."""
    found = {p.stat().st_ino: p.stat().st_blocks * 512 for p in directory.rglob("*") if p.is_file()}
    return sum(found.values())
