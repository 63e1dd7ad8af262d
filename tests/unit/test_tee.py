"""Mirror with the volume at hand: what it copies goes there too, and nothing that the volume does is its failure."""

import itertools
import logging
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from steps.clients.volume import Directory
from steps.contracts import MirrorInputs, PopulateInputs, PopulateOutputs
from steps.core import parts, shards, space
from steps.core.names import Layout
from steps.errors import Conflict, Corrupt, Missing, NoSpace, Transient
from steps.mirror import mirror
from steps.populate import populate
from tests.stubs.faulty import Faulty
from tests.stubs.hub import FakeHub
from tests.stubs.released import Released, weights
from tests.stubs.shipment import wait_until
from tests.stubs.store import FakeStore

LAYOUT = Layout("some/prefix")
BIG = bytes(range(251)) * (3 * parts.PREFERRED // 251) + b"the end"
"""Four parts, no two alike."""
SHARD = "model-00001-of-00002.safetensors"
LEFT = "the volume is left to populate"


class World:
    """A model on the Hub, resolved; neither store nor volume has anything of it."""

    def __init__(self, root: Path, content=None):
        self.root = root
        self.hub = FakeHub()
        self.store = FakeStore()
        self.volume = Directory(root)
        self.publish(content or weights())

    def publish(self, content):
        commit = self.hub.publish("org/stub", content)
        self.model = Released(content, commit=commit, layout=LAYOUT)
        self.model.resolve_into(self.store)
        return self.model

    @property
    def total(self):
        return self.model.manifest.total_bytes

    def mirror(self, shard=shards.ALONE, **ports):
        inputs = MirrorInputs(deployment="chat", release_id=self.model.release_id, shard=shard)
        ports = {"hub": self.hub, "store": self.store, "layout": LAYOUT, "volume": self.volume, **ports}
        return mirror(inputs, **ports)

    def populate(self, **ports):
        inputs = PopulateInputs(deployment="chat", release_id=self.model.release_id)
        return populate(inputs, **{"store": self.store, "volume": self.volume, "layout": LAYOUT, **ports})

    def is_mirrored(self):
        whole = {p: self.store.objects.get(self.model.key(p)) for p in self.model.content} == self.model.content
        return whole and self.store.get(self.model.manifest_key) == self.model.manifest.dump()

    @property
    def published(self):
        return self.root / "org--stub" / self.model.commit

    def content(self):
        return {str(p.relative_to(self.published)): p.read_bytes() for p in files(self.published)}

    def staging(self):
        return sorted(p.name for p in files(self.root / ".staging"))

    def fetched(self):
        """Files of the model that were read out of the store."""
        return {p for p in self.model.content if self.model.key(p) in self.store.reads}


def files(top: Path):
    return (p for p in sorted(top.rglob("*")) if not p.is_dir())


@pytest.fixture
def world(tmp_path):
    return World(tmp_path)


def test_one_pass_fills_both_and_populate_finds_it_published(world):
    done = world.mirror()
    assert (done.copied_bytes, done.reused_bytes, done.volume_bytes) == (world.total, 0, world.total)
    assert world.is_mirrored()
    assert world.content() == world.model.content
    assert world.volume.manifest("org/stub", world.model.commit) == world.model.manifest
    assert world.staging() == []
    assert world.populate() == PopulateOutputs(copied_bytes=0, reused_bytes=world.total)
    assert world.fetched() == set()


def test_a_large_file_comes_by_part_by_part(tmp_path):
    world = World(tmp_path, {"model.safetensors": BIG, "config.json": b"{}"})
    assert world.mirror().volume_bytes == world.total
    assert world.content() == world.model.content
    assert world.is_mirrored()


def test_without_the_volume_all_is_left_to_populate(world):
    assert world.mirror(volume=None).volume_bytes == 0
    assert list(world.root.iterdir()) == []
    assert world.populate().copied_bytes == world.total


def test_nothing_is_published_before_the_store_has_all_of_it(world):
    class Asked(Directory):
        def stage(self, manifest):
            return _Watched(super().stage(manifest))

    class _Watched:
        def __init__(self, context):
            self.context = context

        def __enter__(self):
            staging = self.context.__enter__()
            publish = staging.publish

            def watched():
                assert world.is_mirrored()
                seen.append(True)
                publish()

            staging.publish = watched
            return staging

        def __exit__(self, *raised):
            return self.context.__exit__(*raised)

    seen: list[bool] = []
    world.mirror(volume=Asked(world.root))
    assert seen == [True]


def test_what_was_in_the_store_already_populate_brings_and_the_rest_it_takes_over(world, caplog):
    world.mirror(volume=None)
    world.store.delete(world.model.key(SHARD))
    world.store.reads.clear()
    with caplog.at_level(logging.INFO):
        assert world.mirror().volume_bytes == len(world.model.content[SHARD])
    assert "populate brings them" in caplog.text
    assert world.staging() == [SHARD]
    assert not world.published.exists()
    assert world.populate().reused_bytes == len(world.model.content[SHARD])
    assert SHARD not in world.fetched()
    assert world.content() == world.model.content
    assert world.staging() == []


def test_what_a_killed_attempt_has_finished_makes_it_whole_after_it_was_read_again(world):
    world.mirror(volume=None)
    world.store.delete(world.model.key(SHARD))
    dead = world.root / ".staging" / "org--stub" / f"{world.model.commit}.dead"
    for path, body in world.model.content.items():
        if path != SHARD:
            (dead / path).parent.mkdir(parents=True, exist_ok=True)
            (dead / path).write_bytes(body)
    world.mirror()
    assert world.content() == world.model.content


def test_what_a_killed_attempt_only_seems_to_have_finished_is_left_to_populate(world):
    world.mirror(volume=None)
    world.store.delete(world.model.key(SHARD))
    dead = world.root / ".staging" / "org--stub" / f"{world.model.commit}.dead"
    for path, body in world.model.content.items():
        if path != SHARD:
            (dead / path).parent.mkdir(parents=True, exist_ok=True)
            (dead / path).write_bytes(bytes(len(body)))
    world.mirror()
    assert not world.published.exists()
    world.store.reads.clear()
    world.populate()
    assert SHARD not in world.fetched()  # it came by, and waited
    assert world.content() == world.model.content


def test_a_commit_that_is_published_is_not_touched(world):
    world.mirror()
    before = {p: p.stat().st_mtime_ns for p in [world.published, *files(world.root)]}
    world.store.delete(world.model.key(SHARD))
    assert world.mirror().volume_bytes == 0
    assert world.is_mirrored()
    assert {p: p.stat().st_mtime_ns for p in [world.published, *files(world.root)]} == before
    assert world.staging() == []


def test_what_another_commit_has_on_the_volume_is_shared_and_the_rest_comes_by(world):
    world.mirror()
    old = world.published
    world.publish({**world.model.content, SHARD: weights(seed=9)[SHARD]})
    assert world.mirror().volume_bytes == len(world.model.content[SHARD])
    assert world.content() == world.model.content
    assert (world.published / "config.json").samefile(old / "config.json")
    assert world.populate().copied_bytes == 0


ERRORS = [Conflict, Missing, NoSpace, Transient, OSError]


@pytest.mark.parametrize("error", ERRORS)
def test_whatever_call_to_the_volume_fails_the_store_is_complete_and_populate_does_the_rest(tmp_path, error, caplog):
    for number in itertools.count(1):
        root = tmp_path / str(number)
        root.mkdir()
        world = World(root, {"config.json": b"{}", "sub/a.txt": b"a", "model.safetensors": bytes(100)})
        fault = Faulty(number, lambda: error("out of order"))
        caplog.clear()
        world.mirror(volume=fault.before(world.volume))
        assert world.is_mirrored(), fault.failed
        if not fault.failed:
            break
        said = [r.message for r in caplog.records if r.name == "steps.tee"]
        assert said == [f"{LEFT}: out of order"], fault.failed
        if error is not Transient:
            assert world.staging() == [], fault.failed
        world.populate()
        assert world.content() == world.model.content
        assert world.staging() == []
    assert number > 20


def test_a_volume_that_goes_away_keeps_what_is_finished_for_populate_and_nothing_that_lacks_a_part(tmp_path):
    world = World(tmp_path, {"a.safetensors": BIG, "b.safetensors": BIG[::-1]})
    finished = {"a.safetensors": "b.safetensors", "b.safetensors": "a.safetensors"}

    class Away(Directory):
        """Of one file the first part is lost, once the other file is finished."""

        def stage(self, manifest):
            return _losing(super().stage(manifest), lost)

    for lost in world.model.content:
        world.store.delete(world.model.manifest_key)
        for path in world.model.content:
            world.store.delete(world.model.key(path))
        done = world.mirror(volume=Away(tmp_path))
        assert world.is_mirrored()
        assert world.staging() == [finished[lost]]
        assert done.volume_bytes == len(world.model.content[finished[lost]])
        world.store.reads.clear()
        world.populate()
        assert world.fetched() == {lost}
        assert world.content() == world.model.content
        shutil.rmtree(world.published)


@contextmanager
def _losing(context, lost):
    with context as staging:
        write, other = staging.write, threading.Event()

        @contextmanager
        def written(file):
            with write(file) as draft:
                if file.path == lost:
                    good = draft.write

                    def once(offset, body):
                        assert other.wait(30)
                        if offset == 0:
                            raise Transient("the volume is away")
                        good(offset, body)

                    draft.write = once
                yield draft
            if file.path != lost:
                other.set()

        staging.write = written
        yield staging


def test_a_volume_that_is_too_small_is_told_before_the_first_byte_and_the_store_is_filled(world, caplog):
    needed = int(world.total * space.HEADROOM)

    class Small(Directory):
        def free_bytes(self):
            return needed - 1

    assert world.mirror(volume=Small(world.root)).volume_bytes == 0
    assert f"{LEFT}: the volume has {needed - 1:,} bytes free" in caplog.text
    assert world.is_mirrored()
    assert list(world.root.iterdir()) == []
    with pytest.raises(NoSpace):
        world.populate(volume=Small(world.root))


def test_a_volume_that_fills_up_half_way_gets_its_room_back_and_populate_tells_it(tmp_path):
    world = World(tmp_path, {"model.safetensors": BIG, "second.safetensors": BIG[1:], "config.json": b"{}"})
    fault = Faulty(3, lambda: NoSpace("it is full"), "draft.write")
    assert world.mirror(volume=fault.before(world.volume)).volume_bytes == 0
    assert fault.failed == ["draft.write"]
    assert world.is_mirrored()
    assert world.staging() == []
    with pytest.raises(NoSpace):
        world.populate(volume=Faulty(3, lambda: NoSpace("it is full"), "draft.write").before(world.volume))
    assert world.staging() == []


def test_the_room_is_given_back_as_soon_as_nothing_is_written_any_more(tmp_path):
    """And not when the whole model is in the store, hours later."""
    world = World(tmp_path, {"a.safetensors": bytes(50), "b.safetensors": bytes(40), "c.safetensors": bytes(30)})
    fault = Faulty(2, lambda: NoSpace("it is full"), "write")
    seen = []

    class Looks(FakeHub):
        def open(self, model, commit, file):
            if file.path == "c.safetensors":
                wait_until(lambda: bool(fault.failed) and not any((tmp_path / ".staging" / "org--stub").iterdir()))
                seen.append(world.is_mirrored())
            return super().open(model, commit, file)

    hub = Looks()
    hub.publish("org/stub", world.model.content)
    world.mirror(hub=hub, volume=fault.before(world.volume))
    assert (seen, fault.failed) == ([False], ["write"])
    assert world.is_mirrored()


def test_a_volume_that_is_not_mounted_is_told_and_not_made_up_for(world, caplog):
    nowhere = world.root / "nowhere"
    assert world.mirror(volume=Directory(nowhere)).volume_bytes == 0
    assert f"{LEFT}: there is no volume at {nowhere}" in caplog.text
    assert world.is_mirrored()
    assert not nowhere.exists()


def test_a_published_directory_that_is_damaged_is_told_and_left(world, caplog):
    world.mirror()
    (world.published / "config.json").write_bytes(b"damaged")
    world.store.delete(world.model.key(SHARD))
    assert world.mirror().volume_bytes == 0
    assert "workflows.audit --all --repair` publishes it anew" in caplog.text
    assert world.is_mirrored()
    assert (world.published / "config.json").read_bytes() == b"damaged"


def test_a_bit_that_flips_once_on_the_way_is_on_neither(world):
    class Flips(FakeHub):
        left = 1

        def open(self, model, commit, file):
            good = super().open(model, commit, file)
            if file.path == SHARD and self.left:
                self.left = 0
                body = b"!" + world.model.content[SHARD][1:]
                return type("Wrong", (), {"read": lambda _, start, end: body[start:end]})()
            return good

    hub = Flips()
    hub.publish("org/stub", world.model.content)
    world.mirror(hub=hub)
    assert hub.left == 0
    assert world.is_mirrored()
    assert world.content() == world.model.content


def test_bytes_that_stay_wrong_leave_nothing_on_the_volume(world):
    world.hub.damage("org/stub", world.model.commit, SHARD, bytes(len(world.model.content[SHARD])))
    with pytest.raises(Corrupt):
        world.mirror()
    assert not world.published.exists()
    assert world.staging() == []


def test_after_a_passing_failure_what_is_finished_is_taken_over_and_published(world):
    class Fails(FakeHub):
        def open(self, model, commit, file):
            if file.path == SHARD:
                wait_until(lambda: any(not name.startswith(".partial") for name in world.staging()))
                raise Transient("the Hub is away")
            return super().open(model, commit, file)

    hub = Fails()
    hub.publish("org/stub", world.model.content)
    with pytest.raises(Transient):
        world.mirror(hub=hub)
    left = world.staging()
    assert left
    assert SHARD not in left
    assert not any(name.startswith(".partial") for name in left)
    done = world.mirror()
    assert done.volume_bytes < world.total
    assert world.content() == world.model.content
    assert world.populate().copied_bytes == 0
    assert world.staging() == []


def test_two_mirrors_at_once_both_succeed_and_populate_ends_it(tmp_path):
    world = World(tmp_path, {"model.safetensors": BIG, **weights()})
    both, attempts = threading.Barrier(2, timeout=30), set[str]()

    class Held(FakeHub):
        """What it sends of one file waits until the other mirror wants it, too."""

        def open(self, model, commit, file):
            if file.path == "model.safetensors":
                both.wait()
                attempts.update(p.name for p in tmp_path.glob(".staging/*/*"))
            return super().open(model, commit, file)

    hub = Held()
    hub.publish("org/stub", world.model.content)
    with ThreadPoolExecutor(2) as pool:
        for done in [pool.submit(world.mirror, hub=hub) for _ in range(2)]:
            done.result()
    assert len(attempts) == 2
    assert world.is_mirrored()
    world.populate()
    assert world.content() == world.model.content
    assert world.staging() == []


def test_a_populate_that_publishes_meanwhile_wins_and_nothing_of_ours_is_left(world):
    class Overtaken(FakeHub):
        """While the first file comes, another run has brought all of it."""

        def open(self, model, commit, file):
            if not world.published.exists():
                world.model.mirror_into(world.store)
                world.populate()
            return super().open(model, commit, file)

    hub = Overtaken()
    hub.publish("org/stub", world.model.content)
    world.mirror(hub=hub)
    assert world.is_mirrored()
    assert world.content() == world.model.content
    assert world.staging() == []


def test_another_mirror_that_publishes_while_ours_is_in_the_store_is_no_failure(world):
    class Overtaken(FakeStore):
        def create(self, key, body):
            created = super().create(key, body)
            if not world.published.exists():
                world.populate()
            return created

    store = world.store = Overtaken()
    world.model.resolve_into(store)
    world.mirror()
    assert world.content() == world.model.content
    assert world.staging() == []


def test_what_several_pods_bring_populate_takes_over_and_reads_nothing_out_of_the_store(world):
    shares = ("1-of-2", "2-of-2")
    done = [world.mirror(shard=share) for share in shares]
    assert sum(d.volume_bytes for d in done) == world.total
    assert world.is_mirrored()
    assert not world.published.exists()
    assert world.populate() == PopulateOutputs(copied_bytes=0, reused_bytes=world.total)
    assert world.fetched() == set()
    assert world.content() == world.model.content
    assert world.staging() == []
