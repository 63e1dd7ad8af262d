"""Rows 31 to 42: mirror and populate on a real store behind a network, or a gateway, that goes wrong."""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from steps.clients import store as stores
from steps.contracts import CHECKSUM, MIRROR, POPULATE, MirrorInputs, MirrorOutputs
from steps.core import parts
from steps.errors import Corrupt
from steps.mirror import mirror
from steps.ports.store import Store
from steps.settings import PREFIX
from steps.step import Step
from tests.faults import volume_state
from tests.stubs.hub import FakeHub
from tests.stubs.proxy import Proxy, proxy, s3_error
from tests.stubs.released import Released, weights
from tests.stubs.s3 import S3, unfinished
from tests.stubs.shipment import SHARD, Shipment

MARKER = b"<a marker that no header holds>"
BIG = "big.bytes"
CONTENT = {**weights(), BIG: os.urandom(parts.PREFERRED) + MARKER}
"""Its large file is two parts; the marker is in the second one, where boto3's own transfers verify nothing."""


@pytest.fixture
def network(s3: S3) -> Iterator[Proxy]:
    with proxy(s3.endpoint) as between:
        yield between


@pytest.fixture
def shipment(hub, s3, tmp_path) -> Shipment:
    return Shipment(hub, s3, tmp_path, CONTENT)


def through(network: Proxy, **settings: str) -> dict[str, str]:
    return {"AWS_ENDPOINT_URL": network.endpoint, **{PREFIX + name: value for name, value in settings.items()}}


def check_mirrored(shipment: Shipment) -> None:
    assert shipment.store.get(shipment.model.manifest_key) == shipment.model.manifest.dump()
    assert unfinished(shipment.s3) == []
    assert shipment.run(POPULATE).code == 0
    assert shipment.run(CHECKSUM).code == 0
    volume_state.check(shipment.volume)


def writes(request: bytes) -> bool:
    """Of a model's file, not of a document."""
    return request.startswith((b"PUT ", b"POST ")) and b"/models/org--stub/" in request.partition(b"\r\n")[0]


def reads(request: bytes) -> bool:
    return request.startswith(b"GET ") and b"/models/org--stub/" in request.partition(b"\r\n")[0]


TROUBLE = {
    "500": s3_error(500, "InternalError"),
    "503": s3_error(503, "SlowDown"),
    "a digest that is not the body's": s3_error(400, "BadDigest"),
}


@pytest.mark.exhaustive
@pytest.mark.parametrize("case", TROUBLE)
def test_a_store_that_takes_nothing_is_transient_and_the_next_run_goes_on(shipment: Shipment, network, case: str):
    network.refuse = lambda request: TROUBLE[case] if writes(request) else None
    ended = shipment.run(MIRROR, through(network))
    assert ended.code == 75, ended.sentence
    assert "cannot write s3://" in ended.sentence
    assert network.hits > 0
    assert shipment.store.get(shipment.model.manifest_key) is None

    network.refuse = lambda _request: None
    assert shipment.run(MIRROR, through(network)).code == 0
    check_mirrored(shipment)


@pytest.mark.exhaustive
@pytest.mark.parametrize("step", [MIRROR, POPULATE], ids=["mirror", "populate"])
def test_a_store_that_is_busy_now_and_then_costs_time_alone(shipment: Shipment, network, step: Step[Any, Any]):
    if step is POPULATE:
        shipment.model.mirror_into(shipment.store)
    asked = iter(range(10**6))
    network.refuse = lambda request: s3_error(503, "SlowDown") if next(asked) % 4 == 1 else None
    ended = shipment.run(step, through(network))
    assert ended.code == 0, ended.sentence
    assert network.hits > 1
    check_mirrored(shipment)


@pytest.mark.exhaustive
def test_a_store_that_gives_nothing_is_transient_and_the_next_populate_goes_on(shipment: Shipment, network):
    shipment.model.mirror_into(shipment.store)
    network.refuse = lambda request: TROUBLE["500"] if reads(request) and SHARD.encode() in request else None
    ended = shipment.run(POPULATE, through(network))
    assert ended.code == 75, ended.sentence
    assert "cannot read s3://" in ended.sentence
    assert network.hits > 0
    assert not shipment.published.exists()
    volume_state.check(shipment.volume)

    again = shipment.run(POPULATE)
    assert again.code == 0
    check_mirrored(shipment)


@pytest.mark.exhaustive
@pytest.mark.parametrize("step", [MIRROR, POPULATE], ids=["mirror", "populate"])
def test_a_connection_that_is_cut_once_is_no_failure(shipment: Shipment, network, step: Step[Any, Any]):
    if step is POPULATE:
        shipment.model.mirror_into(shipment.store)
        network.down = network.cut_once(lambda data: MARKER in data)
    else:
        network.up = network.cut_once(lambda data: MARKER in data)
    ended = shipment.run(step, through(network))
    assert ended.code == 0, ended.sentence
    assert network.hits == 1
    check_mirrored(shipment)


@pytest.mark.exhaustive
@pytest.mark.parametrize("checksums", ["when_supported", "when_required"])
def test_a_bit_that_flips_on_the_way_up_ends_the_attempt_and_the_next_one_heals(shipment, network, checksums: str):
    network.up = network.flip(MARKER)
    environ = through(network, S3_CHECKSUMS=checksums)
    ended = shipment.run(MIRROR, environ)
    assert (ended.code, network.hits) == (75, 1), ended.sentence
    assert "what arrived is not what was sent" in ended.sentence
    assert shipment.store.stat(shipment.model.key(BIG)) is None
    assert shipment.store.get(shipment.model.manifest_key) is None
    assert unfinished(shipment.s3) == []
    assert shipment.run(MIRROR, environ).code == 0
    check_mirrored(shipment)


def test_a_bit_that_flips_beyond_eight_mebibytes_on_the_way_down_is_read_again(shipment: Shipment, network):
    shipment.model.mirror_into(shipment.store)
    network.down = network.flip(MARKER)
    ended = shipment.run(POPULATE, through(network))
    assert (ended.code, network.hits) == (0, 1), ended.sentence
    assert (shipment.published / BIG).read_bytes() == CONTENT[BIG]


@pytest.mark.exhaustive
def test_bits_that_flip_each_time_are_corrupt_and_nothing_is_published(shipment: Shipment, network):
    shipment.model.mirror_into(shipment.store)
    network.down = network.flip(MARKER, times=99)
    ended = shipment.run(POPULATE, through(network))
    assert (ended.code, network.hits) == (13, 3), ended.sentence
    assert f"{BIG} has sha256" in ended.sentence
    assert "`python -m workflows.audit --all --repair` writes it anew" in ended.sentence
    assert (shipment.published.exists(), shipment.debris()) == (False, [])


@pytest.mark.exhaustive
def test_a_store_that_knows_no_checksums_names_the_setting_and_works_with_it(shipment: Shipment, network):
    network.refuse = lambda request: s3_error(400, "InvalidArgument") if b"x-amz-checksum-" in request.lower() else None
    ended = shipment.run(MIRROR, through(network))
    assert (ended.code, network.hits > 0) == (10, True), ended.sentence
    assert "VLLM_PROMOTE_S3_CHECKSUMS=when_required" in ended.sentence
    before = network.hits
    assert shipment.run(MIRROR, through(network, S3_CHECKSUMS="when_required")).code == 0
    assert network.hits == before
    check_mirrored(shipment)


@pytest.mark.exhaustive
@pytest.mark.parametrize(("status", "code"), [(507, "InsufficientStorage"), (403, "QuotaExceeded")])
def test_a_store_that_is_full_is_exit_15_and_keeps_no_half_of_an_upload(shipment: Shipment, network, status, code):
    network.refuse = lambda request: s3_error(status, code) if b"partNumber=2" in request[:400] else None
    ended = shipment.run(MIRROR, through(network))
    assert (ended.code, network.hits > 0) == (15, True), ended.sentence
    assert "make room in the bucket or raise its quota" in ended.sentence
    assert unfinished(shipment.s3) == []
    assert shipment.store.get(shipment.model.manifest_key) is None


MODEL = Released({"config.json": b"{}", "model.safetensors": os.urandom(parts.PREFERRED + 1)})


def mirrored_at_once(s3: S3, runs: int, *, ignoring: list[str] | None = None) -> list[MirrorOutputs]:
    """Each with clients of its own; what a gateway ignores is counted."""
    hub = FakeHub()
    model = Released(MODEL.content, commit=hub.publish(MODEL.model, MODEL.content))
    model.resolve_into(stores.connect(s3.settings()))

    def run(_number: int) -> MirrorOutputs:
        store = stores.connect(s3.settings())
        if ignoring is not None:
            ignore_conditions(store, ignoring)
        return mirror(MirrorInputs(deployment="chat", release_id=model.release_id), hub, store, model.layout)

    with ThreadPoolExecutor(runs) as pool:
        ended = list(pool.map(run, range(runs)))
    store = stores.connect(s3.settings())
    assert store.get(model.manifest_key) == model.manifest.dump()
    for path, body in model.content.items():
        assert b"".join(store.read(model.key(path), 0, len(body))) == body
    assert unfinished(s3) == []
    return ended


def ignore_conditions(store: Store, ignored: list[str]) -> None:
    """As gateways do that are older than conditional writes: before the request is signed, the header is gone."""

    assert isinstance(store, stores.S3)

    def drop(request, **_: object) -> None:
        if request.headers.get("If-None-Match"):
            ignored.append(request.url)
            del request.headers["If-None-Match"]

    store._client.meta.events.register("before-sign.s3.PutObject", drop)


@pytest.mark.exhaustive
def test_eight_mirrors_of_one_commit_at_once_all_succeed_and_there_is_one_manifest(s3: S3):
    assert len(mirrored_at_once(s3, 8)) == 8


def test_a_gateway_that_ignores_conditions_still_ends_with_the_one_right_manifest(s3: S3):
    ignored: list[str] = []
    assert len(mirrored_at_once(s3, 2, ignoring=ignored)) == 2
    assert ignored


def test_on_such_a_gateway_another_manifest_is_still_never_replaced(s3: S3):
    store = stores.connect(s3.settings())
    ignored: list[str] = []
    ignore_conditions(store, ignored)
    hub = FakeHub()
    model = Released(MODEL.content, commit=hub.publish(MODEL.model, MODEL.content))
    model.resolve_into(store)
    store.put(model.manifest_key, b"another one")
    with pytest.raises(Corrupt, match="is not the manifest of this release"):
        mirror(MirrorInputs(deployment="chat", release_id=model.release_id), hub, store, model.layout)
    assert store.get(model.manifest_key) == b"another one"


@pytest.mark.exhaustive
def test_of_sixteen_who_create_one_object_one_is_told_that_it_did(s3: S3):
    clients = [stores.connect(s3.settings()) for _ in range(16)]
    with ThreadPoolExecutor(16) as pool:
        won = list(pool.map(lambda n: clients[n].create("a", b"%d" % n), range(16)))
    assert won.count(True) == 1
    assert stores.connect(s3.settings()).get("a") == b"%d" % won.index(True)
