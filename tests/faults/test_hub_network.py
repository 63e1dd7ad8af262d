"""Rows 15 and 23 to 29: mirror as a process, on a Hub that refuses, breaks off, stalls, lies or changes meanwhile."""

from collections.abc import Iterable, Iterator
from dataclasses import replace

import pytest

from steps.contracts import MIRROR, POPULATE
from steps.core import parts
from steps.settings import PREFIX
from tests.faults import volume_state
from tests.stubs.hub import Change, failing, flipped, reset, short, too_many
from tests.stubs.process import Ended
from tests.stubs.released import weights
from tests.stubs.shipment import SHARD, Shipment
from workflows.local.services.hub_answers import Response

MiB = parts.MiB


@pytest.fixture
def shipment(hub, s3, tmp_path) -> Shipment:
    return Shipment(hub, s3, tmp_path)


def check_nothing_is_called_a_model(shipment: Shipment) -> None:
    """No manifest is in the store, and no object under the key of a file holds other bytes than that file's."""
    assert shipment.store.get(shipment.model.manifest_key) is None
    for file in shipment.model.manifest.files:
        key = shipment.model.key(file.path)
        if shipment.store.stat(key) is not None:
            assert b"".join(shipment.store.read(key, 0, file.size)) == shipment.content[file.path]


def check_mirrored(shipment: Shipment, ended: Ended) -> None:
    assert ended.code == 0, ended.sentence
    assert shipment.store.get(shipment.model.manifest_key) == shipment.model.manifest.dump()
    for path, body in shipment.content.items():
        assert b"".join(shipment.store.read(shipment.model.key(path), 0, len(body))) == body


GONE = {
    "gated, no token": (failing(401, "GatedRepo", "restricted"), "is gated"),
    "gated, a token without the right": (failing(403, "GatedRepo", "restricted"), "accept its terms"),
    "a token that was revoked": (failing(401), "set a valid one"),
    "no rights": (failing(403), "does not let the token in HF_TOKEN read"),
    "a repository that is gone": (failing(404, "RepoNotFound"), "does not exist on"),
    "a commit that vanished": (failing(404, "RevisionNotFound"), "has no branch, tag or commit"),
    "a file that vanished": (failing(404, "EntryNotFound"), "does not exist at"),
}
OFTEN = ("a token that was revoked",)


@pytest.mark.parametrize("case", [c if c in OFTEN else pytest.param(c, marks=pytest.mark.exhaustive) for c in GONE])
def test_what_the_hub_no_longer_gives_is_exit_12_whatever_older_versions_lie_here(hub, s3, tmp_path, case: str):
    older = Shipment(hub, s3, tmp_path)
    older.model.mirror_into(older.store)
    assert older.run(POPULATE).code == 0
    before = volume_state.stamp(older.published)
    newer = Shipment(hub, s3, tmp_path, weights(seed=7))
    change, words = GONE[case]
    fault = hub.inject("file", change, times=99)

    ended = newer.run(MIRROR)

    assert (ended.code, fault.hit > 0) == (12, True), ended.sentence
    assert words in ended.sentence
    check_nothing_is_called_a_model(newer)
    assert volume_state.stamp(older.published) == before
    assert older.store.get(older.model.manifest_key) == older.model.manifest.dump()


PASSING: dict[str, tuple[str, Change]] = {
    "500": ("file", failing(500)),
    "502": ("download", failing(502)),
    "503": ("download", failing(503)),
    "a signed address that is refused": ("download", failing(403)),
    "a connection that is reset": ("download", reset(10)),
    "a body that is short": ("download", short(10)),
    "a flipped bit": ("download", flipped),
}


@pytest.mark.exhaustive
@pytest.mark.parametrize("case", PASSING)
def test_what_passes_in_a_moment_costs_no_more_than_the_file_that_it_befell(shipment: Shipment, case: str):
    kind, change = PASSING[case]
    fault = shipment.hub.inject(kind, change, path=SHARD)

    check_mirrored(shipment, shipment.run(MIRROR))

    assert fault.hit == 1
    fetched = [r.path for r in shipment.hub.seen if r.kind == "download"]
    assert sorted({*fetched}) == sorted(p for p in shipment.content if p.endswith(".safetensors"))
    assert len(fetched) - len({*fetched}) <= 1


@pytest.mark.exhaustive
@pytest.mark.parametrize("change", [failing(503), reset(10)], ids=["503", "reset"])
def test_a_hub_that_stays_in_trouble_is_transient_and_the_next_run_fetches_only_what_is_missing(
    shipment: Shipment, change: Change
):
    fault = shipment.hub.inject("download", change, path=SHARD, times=99)
    ended = shipment.run(MIRROR)
    assert ended.code == 75, ended.sentence
    assert shipment.hub.endpoint in ended.sentence
    assert fault.hit > 1
    check_nothing_is_called_a_model(shipment)

    fault.times = 0
    seen = len(shipment.hub.seen)
    again = shipment.run(MIRROR)
    check_mirrored(shipment, again)
    assert int(again.outputs["reused_bytes"]) > 0
    assert len({r.path for r in shipment.hub.seen[seen:]}) < len(shipment.content)


def test_a_limit_is_waited_out_as_the_hub_says_and_the_log_says_so(shipment: Shipment):
    fault = shipment.hub.inject("file", too_many(1))
    ended = shipment.run(MIRROR)
    check_mirrored(shipment, ended)
    assert fault.hit == 1
    assert "the Hub answered 429; asking again in 1 s, as it wishes" in ended.stderr


@pytest.mark.exhaustive
def test_a_hub_that_stalls_is_told_with_the_setting(shipment: Shipment):
    fault = shipment.hub.inject("download", shipment.hub.stalled(10), path=SHARD, times=9)
    ended = shipment.run(MIRROR, {PREFIX + "STALL_SECONDS": "1"})
    assert ended.code == 75
    assert f"no byte of {SHARD}" in ended.sentence
    assert "VLLM_PROMOTE_STALL_SECONDS" in ended.sentence
    assert fault.hit > 0
    check_nothing_is_called_a_model(shipment)


@pytest.mark.exhaustive
def test_a_range_that_breaks_off_at_sixty_per_cent_is_all_that_is_fetched_again(hub, s3, tmp_path):
    big = bytes(range(256)) * (3 * parts.PREFERRED // 256)
    shipment = Shipment(hub, s3, tmp_path, {**weights(), "big.safetensors": big})
    fault = hub.inject("download", reset(int(0.6 * parts.PREFERRED)), path="big.safetensors")

    check_mirrored(shipment, shipment.run(MIRROR))

    assert fault.hit == 1
    ranges = [r.headers["range"] for r in hub.seen if r.kind == "download" and r.path == "big.safetensors"]
    assert (len(ranges), len({*ranges})) == (4, 3)
    sent = 3.6 * parts.PREFERRED
    assert sent / len(big) <= 1.2


def test_a_branch_that_moves_meanwhile_changes_no_byte_of_what_was_resolved(shipment: Shipment):
    """And the new commit has one file less."""
    moved: list[str] = []

    def move(answer: Response) -> Response:
        fewer = {path: body[::-1] for path, body in shipment.content.items() if path != "config.json"}
        moved.append(shipment.hub.publish("org/stub", fewer))
        return answer

    fault = shipment.hub.inject("file", move)
    check_mirrored(shipment, shipment.run(MIRROR))
    assert fault.hit == 1
    assert moved != [shipment.model.commit]
    assert {r.revision for r in shipment.hub.seen} == {shipment.model.commit}


@pytest.mark.exhaustive
def test_a_file_that_a_newer_commit_dropped_is_in_the_old_directory_and_not_in_the_new_one(hub, s3, tmp_path):
    first = Shipment(hub, s3, tmp_path)
    second = Shipment(hub, s3, tmp_path, {p: b for p, b in first.content.items() if p != "sub/notes.txt"})
    for shipment in (first, second):
        for step in (MIRROR, POPULATE):
            assert shipment.run(step).code == 0
    for shipment in (first, second):
        assert volume_state.content(shipment.published) == shipment.content
    volume_state.check(first.volume)


@pytest.mark.exhaustive
def test_a_small_body_that_stays_wrong_is_corrupt_with_path_and_both_digests(shipment: Shipment):
    fault = shipment.hub.inject("file", changed, path="config.json", times=99)
    ended = shipment.run(MIRROR)
    assert ended.code == 13
    wanted = next(f.sha256 for f in shipment.model.manifest.files if f.path == "config.json")
    for word in ("config.json has sha256", f"expected {wanted}", "try later or another commit"):
        assert word in ended.sentence
    assert fault.hit > 0
    assert [r.method for r in shipment.hub.seen if r.path == "config.json"].count("GET") == 3
    check_nothing_is_called_a_model(shipment)


def changed(answer: Response) -> Response:
    """Other bytes, as many as there were."""

    def other(body: Iterable[bytes]) -> Iterator[bytes]:
        yield from (piece[::-1].swapcase() for piece in body)

    return replace(answer, body=other(answer.body))
