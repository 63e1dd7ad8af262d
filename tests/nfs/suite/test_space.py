"""Rows 43 and 44: a volume that is too small, and one that fills up meanwhile."""

import os

from tests.nfs.suite.site import LARGE, POD

LEFT = 1 << 20
"""Bytes; less than what the held file takes."""


def fill(site, left: int) -> None:
    """As another writer on the same volume does."""
    with (site.volume.path / "other").open("wb") as other:
        os.posix_fallocate(other.fileno(), 0, site.server.free_bytes() - left)


def make_room(site) -> None:
    (site.volume.path / "other").unlink()


def test_a_volume_that_is_too_small_is_known_before_a_byte_is_fetched(site, model, a):
    fill(site, LEFT)
    gate = site.gate(f"models/org--stub/{model.commit}/")
    done = site.populate(a, model, gate=gate).end()
    assert done.code == 15, done.stderr
    needed = int(model.manifest.total_bytes * 1.05)
    assert f" bytes free and org/stub needs {needed:,}; make room, or give it a larger volume" in done.sentence
    assert not gate.reached.is_set()
    assert site.staging() == []


def test_a_volume_that_fills_up_meanwhile_gets_its_space_back_and_the_next_run_finishes(site, model, a, tmp_path):
    """Every write is taken; the server says so at the sync or the close."""
    before = site.server.free_bytes()
    calls = tmp_path / "calls"
    gate = site.gate()
    watched = ("strace", "-f", "-qq", "-z", "-e", "status=failed", "-e", "trace=pwrite64,fsync,close", "-o", str(calls))
    step = site.populate(a, model, gate=gate, under=(*POD, *watched))
    gate.wait()
    fill(site, LEFT)
    gate.open()
    done = step.end()
    failed = [line for line in calls.read_text().splitlines() if "ENOSPC" in line]
    assert failed, done.stderr
    assert not [line for line in failed if "pwrite" in line]
    assert done.code == 15, done.stderr
    assert f"{LARGE}: No space left on device; make room on the volume or raise its quota" in done.sentence
    assert site.staging() == []
    assert not site.published(model).exists()
    make_room(site)
    assert before - site.server.free_bytes() < LEFT
    again = site.populate(a, model).end()
    assert again.code == 0, again.stderr
    assert site.is_whole(model)
