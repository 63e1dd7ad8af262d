"""Rows 43, 44 and 47: populate as a process on a file system that is too small, gets full half-way, or is read-only."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from steps.contracts import CHECKSUM, POPULATE
from tests.faults import mounts, volume_state
from tests.faults.mounts import Mount
from tests.stubs.proxy import proxy
from tests.stubs.released import weights
from tests.stubs.shipment import Shipment
from tests.stubs.weights import safetensors

pytestmark = pytest.mark.exhaustive

MiB = 2**20
MARKER = b"<a marker that no header holds>"
LARGE = {
    "config.json": b'{"large": true}',
    "model.safetensors": safetensors({"a": bytes(4096)}),
    "big.model": MARKER + os.urandom(5 * MiB),
}
"""It has no file in common with what serves: that would be shared."""


@pytest.fixture
def mount(tmp_path: Path) -> Iterator[Mount]:
    with mounts.tmpfs(tmp_path / "mounted", 8 * MiB) as made:
        yield made


def shipment_on(mount: Mount, hub, s3, directory: Path, content: dict[str, bytes]) -> Shipment:
    """Its model is in S3 and not yet on the volume."""
    made = Shipment(hub, s3, directory, content)
    made.volume = mount.path / "models"
    made.volume.mkdir(exist_ok=True)
    made.model.mirror_into(made.store)
    return made


@pytest.fixture
def serving(mount: Mount, hub, s3, tmp_path) -> Shipment:
    """An older model, on the volume."""
    older = shipment_on(mount, hub, s3, tmp_path, weights())
    assert older.run(POPULATE).code == 0
    return older


def test_a_volume_that_is_too_small_is_told_before_the_first_byte_with_both_numbers(serving, mount, hub, s3, tmp_path):
    mount.fill(4 * MiB)
    large = shipment_on(mount, hub, s3, tmp_path, LARGE)
    before, stamp = mount.free(), volume_state.stamp(serving.published)

    ended = large.run(POPULATE)

    assert ended.code == 15
    needed = int(large.model.manifest.total_bytes * 1.05)
    assert f"the volume has {before:,} bytes free and org/stub needs {needed:,}" in ended.sentence
    assert (large.published.exists(), large.debris(), mount.free()) == (False, [], before)
    assert volume_state.stamp(serving.published) == stamp


def test_room_that_somebody_else_takes_half_way_is_told_and_ours_is_given_back(serving, mount, hub, s3, tmp_path):
    large = shipment_on(mount, hub, s3, tmp_path, LARGE)
    before, stamp = mount.free(), volume_state.stamp(serving.published)
    taken: list[Path] = []

    def take(data: bytes) -> bytes:
        if MARKER in data and not taken:
            taken.append(mount.fill(2 * MiB))
        return data

    with proxy(s3.endpoint) as network:
        network.down = take
        ended = large.run(POPULATE, {"AWS_ENDPOINT_URL": network.endpoint})

    assert (ended.code, len(taken)) == (15, 1), ended.sentence
    assert "No space left on device; make room on the volume or raise its quota, then run again" in ended.sentence
    assert (large.published.exists(), large.debris()) == (False, [])
    assert volume_state.stamp(serving.published) == stamp
    taken[0].unlink()
    assert mount.free() == before

    assert large.run(POPULATE).code == 0
    assert large.run(CHECKSUM).code == 0
    volume_state.check(large.volume)


def test_a_volume_that_may_only_be_read_is_told_in_the_first_second_and_nothing_is_made_up(
    serving, mount, hub, s3, tmp_path
):
    newer = shipment_on(mount, hub, s3, tmp_path, weights(seed=9))
    stamp = volume_state.stamp(newer.volume)
    mount.remount("ro")
    begun = time.monotonic()

    ended = newer.run(POPULATE)

    assert time.monotonic() - begun < 5, "a process alone takes one on a busy machine"
    assert ended.code == 12
    assert "Read-only file system" in ended.sentence
    assert f"the volume must be mounted so that uid {os.geteuid()} may write there" in ended.sentence
    assert volume_state.stamp(newer.volume) == stamp
    assert serving.run(CHECKSUM).code == 0
