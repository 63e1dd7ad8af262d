"""Mirror, populate and checksum as processes of their own: the real Hub client, SeaweedFS, a directory, and faults."""

import os
import resource
import signal

import pytest

from steps.contracts import CHECKSUM, MIRROR, POPULATE
from steps.settings import PREFIX
from tests.stubs.hub import flipped
from tests.stubs.proxy import proxy
from tests.stubs.released import weights
from tests.stubs.s3 import READER
from tests.stubs.shipment import SHARD, Shipment, wait_until

MANY = {f"extra/{n:03}.json": b"{}" for n in range(150)}


def no_file_above_a_megabyte() -> None:
    """As on a volume that ends there."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))


@pytest.fixture
def world(hub, s3, tmp_path) -> Shipment:
    return Shipment(hub, s3, tmp_path)


def test_a_model_goes_from_the_hub_to_the_volume_and_is_proved(world):
    total = str(world.model.manifest.total_bytes)
    ended = [world.run(step) for step in (MIRROR, POPULATE, CHECKSUM)]
    assert [e.code for e in ended] == [0, 0, 0], [e.sentence for e in ended]
    assert [dict(e.outputs) for e in ended] == [
        {"copied_bytes": total, "reused_bytes": "0", "volume_bytes": total},
        {"copied_bytes": "0", "reused_bytes": total},
        {"checked_files": "5", "checked_bytes": total},
    ]
    assert {p: (world.published / p).read_bytes() for p in world.content} == world.content


def test_in_one_pass_no_file_is_read_out_of_the_store(world):
    asked: list[bytes] = []

    def heard(data: bytes) -> bytes:
        asked.append(data)
        return data

    with proxy(world.s3.endpoint) as network:
        network.up = heard
        environ = {"AWS_ENDPOINT_URL": network.endpoint}
        for step in (MIRROR, POPULATE):
            assert world.run(step, environ).code == 0
    reads = [data for data in asked if data.startswith(b"GET ") and b"/models/org--stub/" in data.split(b"\r\n")[0]]
    puts = [data for data in asked if data.startswith(b"PUT ") and b"/models/org--stub/" in data.split(b"\r\n")[0]]
    assert (len(reads), len(puts)) == (0, len(world.content))
    assert {p: (world.published / p).read_bytes() for p in world.content} == world.content


def test_where_mirror_may_not_have_the_volume_it_has_the_store_alone_and_populate_brings_all(world):
    total = str(world.model.manifest.total_bytes)
    mirrored = world.run(MIRROR, {PREFIX + "ONE_PASS": "false"})
    assert mirrored.outputs["volume_bytes"] == "0"
    assert list(world.volume.iterdir()) == []
    assert "the volume is left to populate" not in mirrored.stderr
    assert world.run(POPULATE).outputs["copied_bytes"] == total


def test_a_mirror_whose_volume_takes_no_file_that_large_fills_the_store_and_populate_says_so(hub, s3, tmp_path):
    world = Shipment(hub, s3, tmp_path, {**weights(), "big.safetensors": bytes(3_000_000)})
    mirrored = world.run(MIRROR, preexec_fn=no_file_above_a_megabyte)
    assert mirrored.code == 0, mirrored.sentence
    assert mirrored.outputs["volume_bytes"] == "0"
    assert "the volume is left to populate: cannot write" in mirrored.stderr
    assert world.store.get(world.model.manifest_key) == world.model.manifest.dump()
    assert world.debris() == []
    assert world.run(POPULATE, preexec_fn=no_file_above_a_megabyte).code == 15
    assert world.run(POPULATE).code == 0


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
    assert "promote again, which brings what is missing" in ended.sentence
    healed = world.run(MIRROR)
    assert healed.outputs["copied_bytes"] == str(len(world.content[SHARD]))
    assert b"".join(world.store.read(world.model.key(SHARD), 0, len(world.content[SHARD]))) == world.content[SHARD]


def test_a_model_that_was_published_truncated_never_passes_checksum(hub, s3, tmp_path):
    world = Shipment(hub, s3, tmp_path, {**weights(), SHARD: weights()[SHARD][:-7]})
    world.model.mirror_into(world.store)
    assert world.run(POPULATE).code == 0
    ended = world.run(CHECKSUM)
    assert ended.code == 13
    assert f"{SHARD}: its tensors end at byte 4096 of the body, which has 4089: it is cut off" in ended.sentence


def test_a_populate_that_is_killed_leaves_nothing_but_staging_and_the_next_one_goes_on(hub, s3, tmp_path):
    world = Shipment(hub, s3, tmp_path, {**weights(), **MANY})
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
@pytest.mark.parametrize("one_pass", ["true", "false"])
def test_two_at_once_of_each_step_both_succeed_and_there_is_one_result(hub, s3, tmp_path, one_pass):
    world = Shipment(hub, s3, tmp_path, {**weights(), **dict(list(MANY.items())[:20])})
    told = {PREFIX + "ONE_PASS": one_pass}
    for step in (MIRROR, POPULATE):
        ended = [world.end(p) for p in [world.start(step, told), world.start(step, told)]]
        assert [e.code for e in ended] == [0, 0], [e.sentence for e in ended]
    assert world.store.get(world.model.manifest_key) == world.model.manifest.dump()
    assert [p.name for p in (world.volume / "org--stub").iterdir()] == [world.model.commit]
    assert world.debris() == []
    assert world.run(CHECKSUM).code == 0


def test_a_volume_that_ends_half_way_is_told_and_the_space_is_given_back(hub, s3, tmp_path):
    world = Shipment(hub, s3, tmp_path, {**weights(), "big.safetensors": bytes(3_000_000)})
    world.model.mirror_into(world.store)
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
