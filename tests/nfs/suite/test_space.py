"""Rows 43 and 44: a volume that is too small, and one that fills up meanwhile."""

import os
from collections.abc import Iterator

import pytest

from tests.nfs.suite.site import LARGE, POD, SMALL, HubGate, Site

LEFT = 1 << 20
"""Bytes; less than what the large file takes."""
LESS = 1 << 17
"""The same of a small one."""


class OtherWriter:
    """On the same disk."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._file = site.volume.path / "other"

    def fill(self, left: int = LEFT) -> None:
        """All but what is left."""
        with self._file.open("wb") as other:
            os.posix_fallocate(other.fileno(), 0, self._site.server.free_bytes() - left)

    def make_room(self) -> None:
        self._file.unlink(missing_ok=True)


@pytest.fixture
def other(site: Site) -> Iterator[OtherWriter]:
    made = OtherWriter(site)
    yield made
    made.make_room()


def test_a_volume_that_is_too_small_is_known_before_a_byte_is_fetched(site, model, a, other):
    other.fill()
    gate = site.gate(f"models/org--stub/{model.commit}/")
    done = site.populate(a, model, gate=gate).end()
    assert done.code == 15, done.stderr
    needed = int(model.manifest.total_bytes * 1.05)
    assert f" bytes free and org/stub needs {needed:,}; make room, or give it a larger volume" in done.sentence
    assert not gate.reached.is_set()
    assert site.staging() == []


@pytest.mark.parametrize(("held", "left", "told"), [(LARGE, LEFT, "pwrite64"), (SMALL, LESS, "fsync")])
def test_a_volume_that_fills_up_meanwhile_gets_its_space_back_and_the_next_run_ends_well(  # noqa: PLR0917  # fixtures
    site, model, a, other, tmp_path, held, left, told
):
    """A write past the cache is answered at once; one through it is taken, and only the sync is answered."""
    before = site.server.free_bytes()
    calls = tmp_path / "calls"
    gate = site.gate(held)
    watched = (
        "strace",
        "-f",
        "--seccomp-bpf",
        "-qq",
        "-e",
        "status=failed",
        "-e",
        "trace=pwrite64,fsync,close",
        "-o",
        str(calls),
    )
    step = site.populate(a, model, gate=gate, under=(*POD, *watched))
    site.wait_for_all_but(gate, model, held)
    other.fill(left)
    gate.open()
    done = step.end()
    failed = [line for line in calls.read_text().splitlines() if "ENOSPC" in line]
    assert failed, done.stderr
    assert told in failed[0]
    assert done.code == 15, done.stderr
    assert f"{held}: No space left on device; make room on the volume or raise its quota" in done.sentence
    assert site.staging() == [], done.stderr
    assert not site.published(model).exists()
    other.make_room()
    assert before - site.server.free_bytes() < LEFT
    again = site.populate(a, model).end()
    assert again.code == 0, again.stderr
    assert site.is_whole(model)


def test_a_volume_that_fills_up_while_mirror_brings_it_costs_the_store_nothing_and_gets_its_space_back(
    site, coming, hub, a, other
):
    before = site.server.free_bytes()
    gate = HubGate(hub)
    step = site.mirror(a, coming, hub)
    gate.wait()
    other.fill()
    gate.open()
    done = step.end()
    assert done.code == 0, done.stderr
    assert (done.outputs["copied_bytes"], done.outputs["volume_bytes"]) == (str(coming.manifest.total_bytes), "0")
    assert "the volume is left to populate: cannot write" in done.stderr
    assert f"{LARGE}: No space left on device" in done.stderr
    assert site.staging() == [], done.stderr
    assert site.populate(a, coming).end().code == 15
    other.make_room()
    assert before - site.server.free_bytes() < LEFT
    assert site.populate(a, coming).end().code == 0
    assert site.is_whole(coming)
