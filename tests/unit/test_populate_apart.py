"""Many small files are copied by several processes: every promise of populate holds, whatever one of them meets."""

import errno
import os
import signal

import pytest

from steps import in_one_piece
from steps.clients.volume import Directory
from steps.contracts import PopulateInputs
from steps.core.names import Layout
from steps.errors import Corrupt, NoSpace, Transient
from steps.populate import populate
from tests.stubs.local import until
from tests.stubs.released import Released, weights
from tests.stubs.store import FakeStore

CONTENT = {**weights(), **{f"sub/{n:04}.json": b"%d" % n * n for n in range(in_one_piece.MANY)}}
BAD = "sub/0100.json"


class World:
    """``meddle`` is called in whichever process fetches an object; ``processes`` has a line for each fetch."""

    def __init__(self, root):
        self.volume = root / "volume"
        self.volume.mkdir()
        self.processes = root / "processes"
        self.model = Released(CONTENT)
        self.store = _Store(self)
        self.model.resolve_into(self.store)
        self.model.mirror_into(self.store)
        self.meddle = lambda _key: None

    def populate(self, progress_file=None):
        inputs = PopulateInputs(deployment="chat", release_id=self.model.release_id)
        return populate(inputs, self.store, Directory(self.volume), Layout(), progress_file)

    @property
    def published(self):
        return self.volume / "org--stub" / self.model.commit

    def content(self):
        return {str(p.relative_to(self.published)): p.read_bytes() for p in self.published.rglob("*") if p.is_file()}

    def staged(self):
        return Directory(self.volume).staged(self.model.model, self.model.commit)

    def fetches(self):
        return self.processes.read_text().split()


class _Store(FakeStore):
    def __init__(self, world):
        super().__init__()
        self.world = world

    def read_into(self, key, start, body):
        with self.world.processes.open("a") as file:
            file.write(f"{os.getpid()}\n")
        self.world.meddle(key)
        super().read_into(key, start, body)


@pytest.fixture
def world(tmp_path, monkeypatch):
    monkeypatch.setattr(in_one_piece, "_processes", lambda: 2)
    return World(tmp_path)


def test_they_share_the_work_and_the_directory_is_whole(world, tmp_path):
    done = world.populate(tmp_path / "progress")
    assert done.copied_bytes == world.model.manifest.total_bytes
    assert world.content() == CONTENT
    assert len(world.fetches()) == len(CONTENT)
    assert len(set(world.fetches())) == 2
    assert str(os.getpid()) not in world.fetches()
    assert (tmp_path / "progress").read_text() == f"{done.copied_bytes}/{done.copied_bytes}\n"
    assert not [p for p in (world.volume / ".staging").rglob("*") if p.is_file()]


def test_one_core_copies_all_in_this_process(world, monkeypatch):
    monkeypatch.setattr(in_one_piece, "_processes", lambda: 1)
    world.populate()
    assert set(world.fetches()) == {str(os.getpid())}
    assert world.content() == CONTENT


def test_few_files_are_no_work_for_others(world):
    world.model = Released(weights())
    world.model.resolve_into(world.store)
    world.model.mirror_into(world.store)
    world.populate()
    assert set(world.fetches()) == {str(os.getpid())}


def test_a_file_that_stays_wrong_is_corrupt_with_its_key_and_nothing_is_left(world):
    world.store.objects[world.model.key(BAD)] = b"other bytes".ljust(len(CONTENT[BAD]))
    with pytest.raises(Corrupt, match=rf"{BAD} has sha256 .* 3 times over: object .*{BAD} was changed in the store"):
        world.populate()
    assert not world.published.exists()
    assert list((world.volume / ".staging" / "org--stub").iterdir()) == []


def test_a_file_that_comes_wrong_once_is_fetched_once_more(world, tmp_path):
    def meddle(key):
        if key.endswith(BAD) and not (tmp_path / "done").exists():
            (tmp_path / "done").touch()
            world.store.objects[key] = b"other bytes".ljust(len(CONTENT[BAD]))
        elif key.endswith(BAD):
            world.store.objects[key] = CONTENT[BAD]

    world.meddle = meddle
    world.populate()
    assert world.content() == CONTENT
    assert len(world.fetches()) == len(CONTENT) + 1


def test_a_full_disk_is_told_and_gets_its_space_back(world, monkeypatch):
    fsync, parent = os.fsync, os.getpid()

    def full(fd):
        if os.getpid() != parent:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        fsync(fd)

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(NoSpace):
        world.populate()
    assert list((world.volume / ".staging" / "org--stub").iterdir()) == []


@pytest.mark.parametrize("end", ["killed", "transient"])
def test_what_was_finished_waits_for_the_next_run_which_fetches_the_rest_alone(world, end):
    """A file of the middle, so that there is something to take over and something to fetch."""

    def meddle(key):
        if key.endswith(BAD):
            if end == "killed":
                os.kill(os.getpid(), signal.SIGKILL)
            raise Transient("the store is away")

    world.meddle = meddle
    with pytest.raises(Transient, match="killed by signal 9" if end == "killed" else "the store is away"):
        world.populate()
    assert not world.published.exists()
    left = world.staged()
    assert 0 < len(left) < len(CONTENT)
    world.meddle = lambda _key: None
    world.processes.write_text("")
    world.populate()
    assert world.content() == CONTENT
    assert len(world.fetches()) == len(CONTENT) - len(left)


def test_who_is_overtaken_in_both_processes_ends_well(world, tmp_path, monkeypatch):
    """Another run publishes the same, and sweeps this one's directory from under it."""
    (tmp_path / "other").mkdir()
    other = World(tmp_path / "other")
    other.volume = world.volume
    published = tmp_path / "published"

    def meddle(key):
        if key.endswith(BAD):
            monkeypatch.setattr(in_one_piece, "_processes", lambda: 1)  # here alone: nothing forks beside threads
            other.populate()
            published.touch()
        elif world.model.key("sub/") < key < world.model.key(BAD):  # smaller, so it is later
            until(published.exists)

    world.meddle = meddle
    assert world.populate().copied_bytes == world.model.manifest.total_bytes
    assert world.content() == CONTENT
    assert len(world.fetches()) < len(CONTENT)
