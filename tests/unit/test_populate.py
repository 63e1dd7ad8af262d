import errno
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from steps.clients.volume import Directory
from steps.contracts import PopulateInputs, PopulateOutputs
from steps.core import parts, space
from steps.core.names import Layout
from steps.errors import Corrupt, Missing, NoSpace, Transient
from steps.populate import populate
from tests.stubs.released import Released, weights
from tests.stubs.store import FakeStore

LAYOUT = Layout("some/prefix")
BIG = bytes(range(251)) * (3 * parts.PREFERRED // 251) + b"the end"


class World:
    """A model that is mirrored, and an empty volume."""

    def __init__(self, root: Path, content=None):
        self.root = root
        self.store = FakeStore()
        self.model = Released(content or weights(), layout=LAYOUT)
        self.model.resolve_into(self.store)
        self.model.mirror_into(self.store)
        self.volume = Directory(root)

    def populate(self, **parts_of_it):
        inputs = PopulateInputs(deployment="chat", release_id=self.model.release_id)
        ports = {"store": self.store, "volume": self.volume, "layout": LAYOUT, **parts_of_it}
        return populate(inputs, **ports)

    @property
    def published(self):
        return self.root / "org--stub" / self.model.commit

    def content(self):
        return {str(p.relative_to(self.published)): p.read_bytes() for p in files(self.published)}

    def staging(self):
        """Files in it, wherever they are."""
        return sorted(p.name for p in files(self.root / ".staging"))


def files(top: Path) -> Iterator[Path]:
    return (p for p in sorted(top.rglob("*")) if not p.is_dir())


@pytest.fixture
def world(tmp_path):
    return World(tmp_path)


def test_a_model_is_published_whole_with_its_manifest_and_nothing_else(world):
    total = world.model.manifest.total_bytes
    assert world.populate() == PopulateOutputs(copied_bytes=total, reused_bytes=0)
    assert world.content() == world.model.content
    assert world.volume.manifest("org/stub", world.model.commit) == world.model.manifest
    assert world.staging() == []


def test_a_large_file_is_put_together_from_its_parts(tmp_path):
    world = World(tmp_path, {"model.safetensors": BIG})
    world.populate()
    assert world.content() == {"model.safetensors": BIG}


def test_a_published_directory_is_not_written_again(world):
    world.populate()
    before = {p: p.stat().st_mtime_ns for p in [world.published, *files(world.root)]}
    world.store.reads.clear()
    assert world.populate() == PopulateOutputs(copied_bytes=0, reused_bytes=world.model.manifest.total_bytes)
    assert {p: p.stat().st_mtime_ns for p in [world.published, *files(world.root)]} == before
    assert world.store.reads == []


def test_the_rest_of_the_volume_is_left_alone(world):
    others = [world.root / p for p in ("org--other/x", ".staging/org--stub/other.1/x", ".trash/x", "org--stub/1/x")]
    for path in others:
        path.parent.mkdir(parents=True)
        path.write_text("precious")
    world.populate()
    assert [p.read_text() for p in others] == ["precious"] * 4


def test_finished_files_of_a_killed_attempt_are_taken_over(world):
    dead = world.root / ".staging" / "org--stub" / f"{world.model.commit}.dead"
    dead.mkdir(parents=True)
    first, second = sorted(p for p in world.model.content if p.endswith(".safetensors"))
    (dead / first).write_bytes(world.model.content[first])
    (dead / second).write_bytes(bytes(len(world.model.content[second])))  # finished by name, and wrong
    (dead / ".partial-0-x").write_bytes(b"half")
    done = world.populate()
    assert done.reused_bytes == len(world.model.content[first])
    assert world.model.key(first) not in world.store.reads
    assert world.content() == world.model.content
    assert world.staging() == []


def test_a_link_in_a_killed_attempt_is_not_taken_over(world, tmp_path_factory):
    secret = tmp_path_factory.mktemp("elsewhere") / "config.json"
    secret.write_bytes(world.model.content["config.json"])
    dead = world.root / ".staging" / "org--stub" / f"{world.model.commit}.dead"
    dead.mkdir(parents=True)
    (dead / "config.json").symlink_to(secret)
    world.populate()
    assert not (world.published / "config.json").is_symlink()
    assert secret.exists()


def test_a_volume_that_is_too_small_is_told_before_the_first_byte(world):
    needed = int(world.model.manifest.total_bytes * space.HEADROOM)

    class Small(Directory):
        def free_bytes(self):
            return needed - 1

    with pytest.raises(NoSpace) as failure:
        world.populate(volume=Small(world.root))
    assert f"{needed - 1:,}" in str(failure.value)
    assert f"{needed:,}" in str(failure.value)
    assert world.store.reads == []
    assert world.staging() == []


def test_changed_bytes_in_the_store_are_corrupt_and_give_the_space_back(world):
    key = world.model.key("config.json")
    world.store.objects[key] = b"[}"
    with pytest.raises(Corrupt, match=key):
        world.populate()
    assert not world.published.exists()
    assert world.staging() == []


def test_bytes_that_change_once_on_the_way_are_read_again(world):
    class Flips(FakeStore):
        left = 1

        def read(self, key, start, end):
            pieces = list(super().read(key, start, end))
            if key.endswith("config.json") and self.left:
                self.left = 0
                return [b"!" + pieces[0][1:], *pieces[1:]]
            return pieces

    store = Flips()
    store.objects = world.store.objects
    world.populate(store=store)
    assert store.left == 0
    assert world.content() == world.model.content


def test_an_object_that_was_deleted_is_corrupt(world):
    world.store.delete(world.model.key("config.json"))
    with pytest.raises(Corrupt, match=r"config\.json"):
        world.populate()
    assert not world.published.exists()


def test_after_a_passing_failure_what_is_finished_waits_for_the_next_attempt(world):
    class Fails(FakeStore):
        def read(self, key, start, end):
            if key.endswith("-00002-of-00002.safetensors"):
                raise Transient("the store is away")
            return super().read(key, start, end)

    store = Fails()
    store.objects = world.store.objects
    with pytest.raises(Transient):
        world.populate(store=store)
    kept = set(world.staging())
    assert "model-00001-of-00002.safetensors" in kept
    assert not any(name.startswith(".partial") for name in kept)
    assert world.populate().reused_bytes > 0
    assert world.staging() == []


def test_another_attempt_that_publishes_first_wins_and_both_succeed(world):
    class Overtaken(Directory):
        """While we stage, another attempt goes all the way."""

        def free_bytes(self):
            if not world.published.exists():
                populate(
                    PopulateInputs(deployment="chat", release_id=world.model.release_id),
                    world.store,
                    Directory(world.root),
                    LAYOUT,
                )
            return super().free_bytes()

    world.populate(volume=Overtaken(world.root))
    assert world.content() == world.model.content
    assert world.staging() == []


def test_a_staging_directory_that_vanishes_without_a_winner_is_transient(world):
    class Vanishes(FakeStore):
        def read(self, key, start, end):
            for attempt in (world.root / ".staging" / "org--stub").iterdir():
                shutil.rmtree(attempt, ignore_errors=True)
            return super().read(key, start, end)

    store = Vanishes()
    store.objects = world.store.objects
    with pytest.raises(Transient, match="another attempt"):
        world.populate(store=store)


def test_debris_of_a_killed_attempt_is_swept_although_the_model_is_published(world):
    world.populate()
    dead = world.root / ".staging" / "org--stub" / f"{world.model.commit}.dead"
    dead.mkdir()
    (dead / ".partial-0-x").write_bytes(b"half")
    world.populate()
    assert world.staging() == []


def test_a_directory_that_differs_from_its_manifest_is_corrupt_and_never_mended_in_place(world):
    world.populate()
    (world.published / "config.json").write_bytes(b"longer than before")
    with pytest.raises(Corrupt, match=r"config\.json: 18 bytes, the manifest says 2"):
        world.populate()
    assert (world.published / "config.json").read_bytes() == b"longer than before"


def test_a_directory_from_another_manifest_is_corrupt(world):
    world.populate()
    other = Released({**world.model.content, "more.json": b"{}"}, layout=LAYOUT)
    other.resolve_into(world.store)
    other.mirror_into(world.store)
    with pytest.raises(Corrupt, match="another manifest"):
        populate(PopulateInputs(deployment="chat", release_id=other.release_id), world.store, world.volume, LAYOUT)


def test_a_volume_that_is_not_mounted_is_missing_and_not_made_up_for(world):
    nowhere = world.root / "nowhere"
    with pytest.raises(Missing, match="no volume"):
        world.populate(volume=Directory(nowhere))
    assert not nowhere.exists()


def test_progress_counts_what_is_copied(world, tmp_path_factory):
    file = tmp_path_factory.mktemp("progress") / "progress"
    world.populate(progress_file=file)
    total = world.model.manifest.total_bytes
    assert file.read_text() == f"{total}/{total}\n"


def test_every_file_and_directory_is_on_the_disk_before_the_name_is(world, monkeypatch):
    """The order on which a crash of the machine depends: sync what the rename will show, then rename."""
    synced: set[str] = set()
    sync, rename = os.fsync, os.rename

    def fsync(fd):
        synced.add(str(Path(f"/proc/self/fd/{fd}").readlink()))
        sync(fd)

    def watched(source, target):
        folders = {str(p) for p in Path(source).rglob("*") if p.is_dir()}
        assert folders | {str(source)} <= synced
        rename(source, target)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "rename", watched)
    world.populate()
    assert {str(world.published.parent), str(world.root)} <= synced


CHANGED = "model-00002-of-00002.safetensors"


def upgraded(world):
    """A published model, and the next commit of it mirrored: one shard is another one."""
    world.populate()
    old, content = world.model, {**world.model.content, CHANGED: weights(seed=7)[CHANGED]}
    world.model = Released(content, commit="d" * 40, layout=LAYOUT)
    world.model.resolve_into(world.store)
    world.model.mirror_into(world.store)
    world.store.reads.clear()
    return world.root / "org--stub" / old.commit


def inodes(directory):
    return {str(p.relative_to(directory)): p.stat().st_ino for p in files(directory)}


def test_what_another_commit_has_gets_a_second_name_and_the_rest_is_fetched(world):
    old = upgraded(world)
    before = inodes(old)
    done = world.populate()
    assert done.copied_bytes == len(world.model.content[CHANGED])
    assert set(world.store.reads) == {world.model.key(CHANGED)}
    assert world.content() == world.model.content
    shared = {path for path, number in inodes(world.published).items() if before[path] == number}
    assert shared == world.model.content.keys() - {CHANGED}
    assert inodes(old) == before


def test_what_rots_in_the_other_commit_is_not_shared(world):
    old = upgraded(world)
    with (old / "config.json").open("r+b") as rotten:
        rotten.write(b"[")
    world.populate()
    assert world.content() == world.model.content
    assert (old / "config.json").read_bytes() == b"[}"
    assert (old / "config.json").stat().st_nlink == 1


def test_a_directory_that_somebody_linked_there_is_nothing_to_share_with(world, tmp_path_factory):
    old = upgraded(world)
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "x"
    shutil.move(old, elsewhere)
    old.symlink_to(elsewhere)
    world.populate()
    assert world.content() == world.model.content
    assert all(p.stat().st_nlink == 1 for p in files(elsewhere))


@pytest.mark.parametrize("code", [errno.EPERM, errno.EOPNOTSUPP, errno.EMLINK])
def test_where_a_file_cannot_have_two_names_it_is_copied_on_the_volume(world, monkeypatch, code):
    old = upgraded(world)
    refused = []

    def link(source, target, **_):
        refused.append(source)
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "link", link)
    with (old / "config.json").open("r+b") as rotten:
        rotten.write(b"[")
    world.populate()
    assert refused
    assert set(world.store.reads) == {world.model.key(p) for p in (CHANGED, "config.json")}
    assert world.content() == world.model.content
    assert not set(inodes(old).values()) & set(inodes(world.published).values())
    assert world.staging() == []


def test_another_models_files_are_not_looked_at(world):
    world.populate()
    other = Released(world.model.content, model="org/other", layout=LAYOUT)
    other.resolve_into(world.store)
    other.mirror_into(world.store)
    world.store.reads.clear()
    inputs = PopulateInputs(deployment="chat", release_id=other.release_id)
    populate(inputs, world.store, world.volume, LAYOUT)
    assert set(world.store.reads) == {other.key(path) for path in other.content}


def test_a_manifest_that_cannot_be_read_shares_nothing_and_hinders_nobody(world):
    upgraded(world)
    (manifest,) = (world.root / ".manifests" / "org--stub").iterdir()
    manifest.write_text("{")
    world.populate()
    assert world.content() == world.model.content


@pytest.mark.parametrize("manifest", [None, b"{}"])
def test_a_store_that_does_not_say_that_it_has_all_is_not_published_from(world, manifest):
    """The last of several pods found an object of another one gone: nobody has written the manifest."""
    world.store.objects.pop(world.model.manifest_key)
    if manifest:
        world.store.put(world.model.manifest_key, manifest)
    with pytest.raises(Corrupt, match=r"the store does not have all of org/stub at .* promote it again"):
        world.populate()
    assert not world.published.exists()
