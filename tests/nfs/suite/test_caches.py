"""Rows 51 and 55: what a client remembers, and what is true."""

import fcntl
import os
import struct

from steps.clients.volume import Directory
from tests.nfs.server import BLOCK, DISK
from tests.nfs.suite.site import LARGE, as_pod, names

FIBMAP = 1


def test_what_a_client_saw_missing_it_sees_as_soon_as_another_one_has_published_it(site, model, a, b):
    """A look alone would say for half a minute that it is not there."""
    look = Directory(b)
    with as_pod():
        assert look.manifest(*names(model)) is None
    assert site.populate(a, model).end().code == 0
    with as_pod():
        assert not (b / "org--stub" / model.commit).exists()  # so it is remembered
        assert look.manifest(*names(model)) == model.manifest
    assert site.checksum(b, model).end().code == 0


def test_a_checksum_step_that_runs_where_preflight_looked_finds_it(site, model, a, b):
    before = site.checksum(b, model).end()
    assert before.code == 13, before.stderr
    assert "is not published on the volume; promoting it brings it back" in before.sentence
    assert site.populate(a, model).end().code == 0
    after = site.checksum(b, model).end()
    assert after.code == 0, after.stderr


def test_bits_that_rot_on_the_servers_disk_are_found_though_the_client_has_them_right_in_its_cache(site, model, a):
    """No time, size or change counter tells of it."""
    assert site.populate(a, model).end().code == 0
    assert site.checksum(a, model).end().code == 0
    ours, theirs = (top / "org--stub" / model.commit / LARGE for top in (a, site.volume.path))
    with as_pod():
        ours.read_bytes()  # as a model server does; the steps leave nothing in the cache
    offset = 5 * BLOCK
    rot(theirs, offset)
    assert theirs.read_bytes() != model.content[LARGE]
    with as_pod(), ours.open("rb") as cached:
        assert os.pread(cached.fileno(), BLOCK, offset) == model.content[LARGE][offset : offset + BLOCK]
    found = site.checksum(a, model).end()
    assert found.code == 13, found.stderr
    assert f"{LARGE}: sha256 " in found.sentence


def rot(path, offset: int) -> None:
    """Change a byte below the file system."""
    os.sync()
    with path.open("rb") as file:
        block = struct.unpack("i", fcntl.ioctl(file, FIBMAP, struct.pack("i", offset // BLOCK)))[0]
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    assert block
    with DISK.open("r+b") as disk:
        disk.seek(block * BLOCK)
        byte = disk.read(1)[0]
        disk.seek(block * BLOCK)
        disk.write(bytes([byte ^ 1]))
