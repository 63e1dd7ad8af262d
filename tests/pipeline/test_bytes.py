"""Mirror, populate and checksum as processes of their own: the real Hub client, SeaweedFS, a directory, and faults."""

import json
import os
import resource
import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from steps.clients import store as stores
from steps.contracts import CHECKSUM, MIRROR, POPULATE
from steps.settings import PREFIX
from steps.step import Step
from tests.stubs import process
from tests.stubs.hub import LocalHub, flipped
from tests.stubs.process import Ended, StepProcess
from tests.stubs.released import Released, weights
from tests.stubs.s3 import READER, S3

TOKEN = "hf_CANARYcanaryCANARYcanaryCANARY"
SHARD = "model-00001-of-00002.safetensors"
MANY = {f"extra/{n:03}.json": b"{}" for n in range(150)}


@dataclass
class Bytes:
    """A model on the Hub and its release in S3."""

    hub: LocalHub
    s3: S3
    directory: Path
    content: Mapping[str, bytes] = field(default_factory=weights)
    attempts: int = 0

    def __post_init__(self) -> None:
        self.volume = self.directory / "volume"
        self.volume.mkdir()
        commit = self.hub.publish("org/stub", self.content)
        self.model = Released(self.content, commit=commit)
        self.store = stores.connect(self.s3.settings())
        self.model.resolve_into(self.store)

    @property
    def published(self) -> Path:
        return self.volume / "org--stub" / self.model.commit

    def environ(self) -> dict[str, str]:
        return {
            **self.hub.environ(),
            **self.s3.environ(),
            "HF_TOKEN": TOKEN,
            PREFIX + "VOLUME": str(self.volume),
            PREFIX + "STALL_SECONDS": "20",
        }

    def start(self, step: Step[Any, Any], environ: Mapping[str, str] | None = None, **popen: Any) -> StepProcess:
        self.attempts += 1
        release = {"deployment": "chat", "release_id": self.model.release_id}
        bytes_of = {"model": "org/stub", "commit": self.model.commit, "manifest_sha256": self.model.manifest.sha256}
        inputs = step.inputs(**(bytes_of if step is CHECKSUM else release))
        directory = self.directory / f"{step.name}.{self.attempts}"
        return process.start(step, inputs, {**self.environ(), **(environ or {})}, directory, **popen)

    def run(self, step: Step[Any, Any], environ: Mapping[str, str] | None = None, **popen: Any) -> Ended:
        return self.start(step, environ, **popen).end()

    def damage(self, path: str) -> str:
        """Other bytes of the same size under the same key."""
        key = self.model.key(path)
        body = self.model.content[path]
        self.store.put(key, bytes([body[0] ^ 1]) + body[1:])
        return key

    def debris(self) -> list[str]:
        found = (self.volume / ".staging").glob("*/*/**/*")
        return [p.name for p in found if p.is_file()]


@pytest.fixture
def world(hub, s3, tmp_path) -> Bytes:
    return Bytes(hub, s3, tmp_path)


def test_a_model_goes_from_the_hub_to_the_volume_and_is_proved(world):
    total = str(world.model.manifest.total_bytes)
    ended = [world.run(step) for step in (MIRROR, POPULATE, CHECKSUM)]
    assert [e.code for e in ended] == [0, 0, 0], [e.sentence for e in ended]
    assert [dict(e.outputs) for e in ended] == [
        {"copied_bytes": total, "reused_bytes": "0"},
        {"copied_bytes": total, "reused_bytes": "0"},
        {"checked_files": "5", "checked_bytes": total},
    ]
    assert {p: (world.published / p).read_bytes() for p in world.content} == world.content
    said = json.dumps([e.stderr + e.sentence for e in ended])
    assert TOKEN not in said
    assert world.s3.who.secret_key not in said


@pytest.mark.exhaustive
def test_a_bit_that_flips_once_on_the_way_from_the_hub_costs_one_more_fetch(world):
    fault = world.hub.inject("download", flipped, path=SHARD)
    assert world.run(MIRROR).code == 0
    assert fault.hit == 1
    stat = world.store.stat(world.model.key(SHARD))
    assert stat
    assert stat.sha256 == next(f.sha256 for f in world.model.manifest.files if f.path == SHARD)


def test_a_hub_that_goes_on_sending_other_bytes_is_refused_and_leaves_nothing(world):
    fault = world.hub.inject("download", flipped, path=SHARD, times=100)
    ended = world.run(MIRROR)
    assert ended.code == 13
    assert SHARD in ended.sentence
    assert fault.hit > 1
    assert world.store.stat(world.model.key(SHARD)) is None
    assert world.store.stat(world.model.manifest_key) is None


@pytest.mark.exhaustive
def test_tampered_bytes_in_the_store_are_caught_by_populate(world):
    world.model.mirror_into(world.store)
    key = world.damage(SHARD)
    ended = world.run(POPULATE)
    assert (ended.code, ended.outputs) == (13, {})
    assert key in ended.sentence
    assert not world.published.exists()
    assert world.debris() == []


def test_a_deleted_object_is_told_by_populate_and_healed_by_mirror(world):
    world.model.mirror_into(world.store)
    world.store.delete(world.model.key(SHARD))
    ended = world.run(POPULATE)
    assert ended.code == 13
    assert "run mirror again" in ended.sentence
    healed = world.run(MIRROR)
    assert healed.outputs["copied_bytes"] == str(len(world.content[SHARD]))
    assert b"".join(world.store.read(world.model.key(SHARD), 0, len(world.content[SHARD]))) == world.content[SHARD]


def test_a_model_that_was_published_truncated_never_passes_checksum(hub, s3, tmp_path):
    world = Bytes(hub, s3, tmp_path, {**weights(), SHARD: weights()[SHARD][:-7]})
    world.model.mirror_into(world.store)
    assert world.run(POPULATE).code == 0
    ended = world.run(CHECKSUM)
    assert ended.code == 13
    assert f"{SHARD}: its tensors end at byte 4096 of the body, which has 4089: it is cut off" in ended.sentence


def test_a_populate_that_is_killed_leaves_nothing_but_staging_and_the_next_one_goes_on(hub, s3, tmp_path):
    world = Bytes(hub, s3, tmp_path, {**weights(), **MANY})
    world.model.mirror_into(world.store)
    killed = world.start(POPULATE, start_new_session=True)
    wait_until(lambda: any(name.endswith(".json") for name in world.debris()))
    os.killpg(killed.popen.pid, signal.SIGKILL)
    killed.popen.communicate()
    assert not world.published.exists()
    assert [p.name for p in world.volume.iterdir()] == [".staging"]
    finished = [n for n in world.debris() if not n.startswith(".partial")]
    assert finished

    again = world.run(POPULATE)
    assert again.code == 0, again.sentence
    assert int(again.outputs["reused_bytes"]) >= 2 * len([n for n in finished if n.endswith(".json")])
    assert {str(p.relative_to(world.published)) for p in world.published.rglob("*") if p.is_file()} == {*world.content}
    assert world.debris() == []


@pytest.mark.exhaustive
def test_two_at_once_of_each_step_both_succeed_and_there_is_one_result(hub, s3, tmp_path):
    world = Bytes(hub, s3, tmp_path, {**weights(), **dict(list(MANY.items())[:20])})
    for step in (MIRROR, POPULATE):
        ended = [p.end() for p in [world.start(step), world.start(step)]]
        assert [e.code for e in ended] == [0, 0], [e.sentence for e in ended]
    assert world.store.get(world.model.manifest_key) == world.model.manifest.dump()
    assert [p.name for p in (world.volume / "org--stub").iterdir()] == [world.model.commit]
    assert world.debris() == []
    assert world.run(CHECKSUM).code == 0


def test_a_volume_that_ends_half_way_is_told_and_the_space_is_given_back(hub, s3, tmp_path):
    world = Bytes(hub, s3, tmp_path, {**weights(), "big.safetensors": bytes(3_000_000)})
    world.model.mirror_into(world.store)

    def no_file_above_a_megabyte() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))

    ended = world.run(POPULATE, preexec_fn=no_file_above_a_megabyte)
    assert ended.code == 15, ended.stderr
    assert "big.safetensors" in ended.sentence
    assert world.debris() == []
    assert not world.published.exists()


@pytest.mark.exhaustive
def test_a_bucket_that_is_missing_is_told_and_not_made(world):
    ended = world.run(MIRROR, {PREFIX + "BUCKET": "no-such-bucket"})
    assert ended.code == 12
    assert "no-such-bucket" in ended.sentence
    assert "no-such-bucket" not in world.s3.buckets()


@pytest.mark.exhaustive
def test_a_key_that_may_only_read_is_told_at_the_first_write(world):
    keys = {"AWS_ACCESS_KEY_ID": READER.access_key, "AWS_SECRET_ACCESS_KEY": READER.secret_key}
    ended = world.run(MIRROR, keys)
    assert ended.code == 12
    assert "cannot write s3://" in ended.sentence
    assert "403" in ended.sentence
    assert READER.secret_key not in ended.stderr


def wait_until(true: Callable[[], bool], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.001)
