"""Rows 47, 49 and 50 of the matrix of faults: who may write, and two that write the same."""

import os
import signal

import pytest

from tests.nfs.server import CONTROL, OWNER, until
from tests.nfs.suite.site import LARGE, POD


def test_the_server_takes_the_two_for_two(a, b, server):
    """Over NFSv3 it knows of no clients; that each has a cache of its own is seen in test_caches."""
    assert len(list((CONTROL / "clients").iterdir())) == (0 if server.version == "3" else 2)


def test_what_one_client_publishes_another_one_proves(site, model, a, b):
    done = site.populate(a, model).end()
    assert done.code == 0, done.stderr
    assert done.outputs == {"copied_bytes": str(model.manifest.total_bytes), "reused_bytes": "0"}
    assert site.is_whole(model)
    assert site.staging() == []
    assert {(p.stat().st_uid, p.stat().st_gid) for p in site.published(model).rglob("*")} == {(OWNER, OWNER)}
    proved = site.checksum(b, model).end()
    assert (proved.code, proved.outputs["checked_bytes"]) == (0, str(model.manifest.total_bytes)), proved.stderr


def test_what_mirror_publishes_in_one_pass_another_client_proves(site, coming, hub, a, b):
    done = site.mirror(a, coming, hub).end()
    assert done.code == 0, done.stderr
    assert done.outputs["volume_bytes"] == str(coming.manifest.total_bytes), done.stderr
    assert site.is_whole(coming)
    assert site.staging() == []
    assert {(p.stat().st_uid, p.stat().st_gid) for p in site.published(coming).rglob("*")} == {(OWNER, OWNER)}
    assert site.populate(b, coming).end().outputs["copied_bytes"] == "0"
    assert site.checksum(b, coming).end().code == 0


def test_two_clients_that_populate_the_same_at_once_both_succeed_and_it_is_whole(site, model, a, b):
    gates = [site.gate(), site.gate()]
    both = [site.populate(mount, model, gate=gate) for mount, gate in zip((a, b), gates, strict=True)]
    for gate in gates:
        gate.wait()
    assert site.attempts() == 2
    for gate in gates:
        gate.open()
    ended = [step.end() for step in both]
    assert [step.code for step in ended] == [0, 0], [step.stderr for step in ended]
    assert site.is_whole(model)
    assert site.staging() == []
    assert [site.checksum(mount, model).end().code for mount in (a, b)] == [0, 0]


def test_who_is_overtaken_in_the_middle_of_a_file_succeeds_and_what_is_published_is_not_touched(site, model, a, b):
    """The zombie of row 50: its directory is swept by another client while it has a file in it open."""
    gate = site.gate()
    zombie = site.populate(a, model, gate=gate)
    site.wait_for_all_but(gate, model)
    until(lambda: [p for p in site.volume.path.rglob(".partial-*") if p.is_file()])
    winner = site.populate(b, model).end()
    assert winner.code == 0, winner.stderr
    before = {p: (p.stat().st_ino, p.stat().st_mtime_ns) for p in site.published(model).rglob("*")}
    assert site.staging() == []
    gate.open()
    overtaken = zombie.end()
    assert overtaken.code == 0, overtaken.stderr
    assert {p: (p.stat().st_ino, p.stat().st_mtime_ns) for p in site.published(model).rglob("*")} == before
    assert site.is_whole(model)
    assert site.staging() == []


def test_what_a_killed_client_has_finished_another_one_takes_over(site, model, a, b):
    gate = site.gate()
    killed = site.populate(a, model, gate=gate)
    site.wait_for_all_but(gate, model)
    site.signal(killed, signal.SIGKILL)
    killed.popen.wait(10)
    assert site.attempts() == 1
    finished = sum(len(body) for path, body in model.content.items() if path != LARGE)
    done = site.populate(b, model).end()
    assert (done.code, done.outputs["reused_bytes"]) == (0, str(finished)), done.stderr
    assert site.is_whole(model)
    assert site.staging() == []


@pytest.mark.parametrize("who", ["root", "another user"])
def test_who_may_not_write_is_refused_before_a_byte_and_never_changes_rights(site, model, a, who, tmp_path):
    """Root, squashed, is nobody there."""
    before = site.volume.path.stat()
    calls = tmp_path / "calls"
    watched = ("strace", "-f", "-qq", "-o", str(calls), "-e", "trace=/ch(own|mod)|mkdir")
    under = () if who == "root" else tuple(word.replace(str(OWNER), "1001") for word in POD)
    done = site.populate(a, model, under=(*under, *watched)).end()
    assert done.code == 12, done.stderr
    uid = os.geteuid() if who == "root" else 1001
    assert f"Permission denied; the volume must be mounted so that uid {uid} may write there" in done.sentence
    made = [line for line in calls.read_text().splitlines() if str(a) in line]
    assert len(made) == 1, made
    assert "mkdir" in made[0]
    assert "EACCES" in made[0]
    assert site.volume.path.stat() == before
    assert list(site.volume.path.iterdir()) == []


def test_a_volume_that_is_mounted_read_only_is_refused(site, model, volume, server):
    done = site.populate(volume.mount(server.clients[0], "hard,ro"), model).end()
    assert done.code == 12, done.stderr
    assert "Read-only file system; the volume must be mounted so that uid 1000 may write there" in done.sentence
