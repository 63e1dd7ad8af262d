"""How the local adapter writes its files, and what it says when it cannot."""

import errno
import os
from pathlib import Path

import pytest

from steps.clients.local import daemon, files
from steps.clients.local.command import Command
from steps.clients.local.process import Servers, Wanted
from steps.clients.local.replica import Replica
from steps.errors import BadInput, NoSpace, Transient
from tests.stubs.local import a_release


@pytest.fixture
def servers(tmp_path):
    return Servers(tmp_path, Command(replaced="sleep 600", volume=tmp_path, environ={}), grace_seconds=1.0)


def test_what_is_wanted_is_on_the_disk_before_it_has_its_name(servers, tmp_path, monkeypatch):
    """A power cut between a rename and the disk leaves an empty file under a good name."""
    release = a_release(1)
    synced = []

    def fsync(fd: int) -> None:
        synced.append(
            (Path(f"/proc/self/fd/{fd}").readlink(), os.fstat(fd).st_size > 0, servers.wanted(release.release_id))
        )

    monkeypatch.setattr(os, "fsync", fsync)
    wanted = Wanted(release, 1)
    servers.want(wanted)
    aside = tmp_path / f"{release.release_id}.aside"
    assert synced == [(aside, True, None), (tmp_path, True, wanted)]


@pytest.mark.parametrize(
    ("number", "ours"),
    [
        (errno.ENOSPC, NoSpace),
        (errno.EDQUOT, NoSpace),
        (errno.EACCES, BadInput),
        (errno.EROFS, BadInput),
        (errno.EMFILE, Transient),
        (errno.ENOMEM, Transient),
        (errno.EIO, Transient),
    ],
)
def test_what_the_machine_lacks_is_never_a_fault_of_the_release(servers, monkeypatch, number, ours):
    monkeypatch.setattr(os, "fsync", lambda _fd: raise_os_error(number))
    with pytest.raises(ours, match=f"cannot be used: {os.strerror(number)}"), files.translated():
        servers.want(Wanted(a_release(1), 1))


def raise_os_error(number: int) -> None:
    raise OSError(number, os.strerror(number))


def test_servers_are_ended_by_index_although_an_earlier_one_never_ran(servers, tmp_path):
    second = Replica(tmp_path, "a" * 12, 1)
    daemon.start(second.daemon, ("sleep", "600"), {"PATH": os.environ["PATH"]})
    servers.end("a" * 12, beyond=2)
    assert second.running
    servers.end("a" * 12, beyond=1)
    assert not second.running
