import hashlib
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from steps import copying
from steps.contracts import MirrorInputs, MirrorOutputs
from steps.core import parts, shards
from steps.core.names import Layout
from steps.errors import BadInput, Corrupt, Missing, Transient
from steps.mirror import expected, mirror, survey
from tests.stubs.hub import FakeHub
from tests.stubs.released import Released, weights
from tests.stubs.store import FakeStore, FakeUpload, digest

LAYOUT = Layout("some/prefix")
BIG = bytes(range(251)) * (3 * parts.PREFERRED // 251) + b"the end"
"""Four parts, no two alike."""
INDEX = "model.safetensors.index.json"


class World:
    """A model on the Hub, resolved, and a store that has nothing else of it."""

    def __init__(self, content=None):
        self.hub = FakeHub()
        self.store = FakeStore()
        content = content or weights()
        commit = self.hub.publish("org/stub", content)
        self.model = Released(content, commit=commit, layout=LAYOUT)
        self.model.resolve_into(self.store)

    def mirror(self, shard=shards.ALONE, **parts_of_it):
        inputs = MirrorInputs(deployment="chat", release_id=self.model.release_id, shard=shard)
        ports = {"hub": self.hub, "store": self.store, "layout": LAYOUT, **parts_of_it}
        return mirror(inputs, **ports)

    def mirrored(self):
        return {p: self.store.objects.get(self.model.key(p)) for p in self.model.content}


@pytest.fixture
def world():
    return World()


def test_everything_is_copied_and_the_manifest_says_so(world):
    done = world.mirror()
    assert done == MirrorOutputs(copied_bytes=world.model.manifest.total_bytes, reused_bytes=0, volume_bytes=0)
    assert world.mirrored() == world.model.content
    assert world.store.get(world.model.manifest_key) == world.model.manifest.dump()


def test_a_large_file_arrives_part_by_part_with_its_digest():
    world = World({"model.safetensors": BIG})
    world.mirror()
    assert world.mirrored() == {"model.safetensors": BIG}
    assert world.store.digests[world.model.key("model.safetensors")] == hashlib.sha256(BIG).hexdigest()


def test_a_second_run_copies_nothing_and_changes_nothing(world):
    world.mirror()
    before, world.hub.down = dict(world.store.objects), True
    assert world.mirror() == MirrorOutputs(
        copied_bytes=0, reused_bytes=world.model.manifest.total_bytes, volume_bytes=0
    )
    assert world.store.objects == before


def test_what_an_interrupted_run_proved_is_not_copied_again(world):
    world.mirror()
    world.store.delete(world.model.manifest_key)
    world.store.delete(world.model.key(INDEX))
    size = len(world.model.content[INDEX])
    assert world.mirror() == MirrorOutputs(
        copied_bytes=size, reused_bytes=world.model.manifest.total_bytes - size, volume_bytes=0
    )


def test_an_object_of_which_nobody_said_what_it_is_is_copied_again(world):
    world.store.put(world.model.key(INDEX), bytes(len(world.model.content[INDEX])))
    world.mirror()
    assert world.mirrored() == world.model.content


def test_a_deleted_object_is_healed_although_the_manifest_is_there(world):
    world.mirror()
    world.store.delete(world.model.key("config.json"))
    assert world.mirror().copied_bytes == 2
    assert world.mirrored() == world.model.content


def test_the_plan_of_a_dry_run_writes_nothing(world):
    before = dict(world.store.objects)
    plan = survey(world.store, LAYOUT, world.model.manifest)
    assert plan.copy_bytes == world.model.manifest.total_bytes
    assert world.store.objects == before
    assert world.hub.calls["open"] == 0


def test_bytes_that_stay_wrong_are_corrupt_and_never_become_an_object():
    world = World({"model.safetensors": BIG, "config.json": b"{}"})
    wrong = b"!" + BIG[1:]
    world.hub.damage("org/stub", world.model.commit, "model.safetensors", wrong)
    with pytest.raises(Corrupt) as failure:
        world.mirror()
    for part_of_the_message in (
        "model.safetensors",
        hashlib.sha256(wrong).hexdigest(),
        hashlib.sha256(BIG).hexdigest(),
    ):
        assert part_of_the_message in str(failure.value)
    assert world.store.stat(world.model.key("model.safetensors")) is None
    assert world.store.stat(world.model.manifest_key) is None
    assert world.store.uploads == []


def test_a_bit_that_flips_once_costs_one_more_fetch(world):
    class Flips(FakeHub):
        left = 1

        def open(self, model, commit, file):
            good = super().open(model, commit, file)
            if file.path == "config.json" and self.left:
                self.left = 0
                return type("Wrong", (), {"read": lambda _, start, end: b"[}"[start:end]})()
            return good

    hub = Flips()
    hub.publish("org/stub", world.model.content)
    world.mirror(hub=hub)
    assert hub.left == 0
    assert world.mirrored() == world.model.content


def test_a_file_is_fetched_a_bounded_number_of_times(world):
    world.hub.damage("org/stub", world.model.commit, "config.json", b"[}")
    with pytest.raises(Corrupt, match=f"{copying.FETCHES} times over"):
        world.mirror()


def test_another_manifest_for_the_same_commit_is_corrupt_before_a_byte_moves(world):
    world.store.put(world.model.manifest_key, replace(world.model.manifest, files=()).dump())
    with pytest.raises(Corrupt, match=world.model.manifest_key):
        world.mirror()
    assert world.hub.calls["open"] == 0


def test_another_manifest_that_appears_meanwhile_is_corrupt_and_stays(world):
    other = replace(world.model.manifest, files=()).dump()

    class Meddled(FakeStore):
        def create(self, key, body):
            self.objects[key] = other
            return super().create(key, body)

    store = Meddled()
    world.model.resolve_into(store)
    with pytest.raises(Corrupt):
        world.mirror(store=store)
    assert store.get(world.model.manifest_key) == other


def test_a_faster_run_of_the_same_commit_is_no_failure():
    world = World({"model.safetensors": BIG})

    class Overtaken(FakeUpload):
        """Before ours is completed, another run completes its own."""

        def complete(self):
            other = FakeUpload(self.store, self.key, self.sha256, dict(self.parts))
            self.store.uploads.append(other)
            other.complete()
            super().complete()

    store = FakeStore()
    store.upload_type = Overtaken
    world.model.resolve_into(store)
    world.mirror(store=store)
    assert store.objects[world.model.key("model.safetensors")] == BIG


def test_an_upload_that_somebody_ended_without_leaving_the_object_is_tried_again_later():
    world = World({"model.safetensors": BIG})

    class Ended(FakeUpload):
        def complete(self):
            self.end()
            super().complete()

    store = FakeStore()
    store.upload_type = Ended
    world.model.resolve_into(store)
    with pytest.raises(Transient, match="another run"):
        world.mirror(store=store)
    assert store.stat(world.model.manifest_key) is None


def test_a_hub_that_goes_away_is_transient_and_leaves_no_upload(world):
    world.hub.down = True
    with pytest.raises(Transient):
        world.mirror()
    assert world.store.uploads == []
    assert world.store.stat(world.model.manifest_key) is None


def test_a_store_that_may_only_be_read_is_missing(world):
    world.store.writable = False
    with pytest.raises(Missing):
        world.mirror()


def test_progress_is_told_in_bytes(world, tmp_path):
    world.mirror(progress_file=tmp_path / "progress")
    total = world.model.manifest.total_bytes
    assert (tmp_path / "progress").read_text() == f"{total}/{total}\n"


def upgraded(world, **changed):
    """Another commit: the first world's model is mirrored, and a new one resolved."""
    world.mirror()
    content = {**world.model.content, **changed}
    commit = world.hub.publish("org/stub", content)
    world.model = Released(content, commit=commit, layout=LAYOUT)
    world.model.resolve_into(world.store)
    world.hub.calls.clear()
    world.store.copies.clear()
    return world


def test_what_another_commit_has_is_copied_within_the_store_and_the_rest_fetched(world):
    old = world.model
    upgraded(world, **{INDEX: b"new"})
    done = world.mirror()
    assert done == MirrorOutputs(copied_bytes=3, reused_bytes=world.model.manifest.total_bytes - 3, volume_bytes=0)
    assert world.hub.calls["open"] == 1
    kept = sorted(p for p in world.model.content if p != INDEX)
    assert sorted(world.store.copies) == [(old.key(p), world.model.key(p)) for p in kept]
    assert world.mirrored() == world.model.content
    assert world.store.get(world.model.manifest_key) == world.model.manifest.dump()
    assert {p: world.store.digests[world.model.key(p)] for p in kept} == {
        p: digest(world.model.content[p]) for p in kept
    }


def test_a_file_that_was_renamed_is_copied_too(world):
    upgraded(world, **{"renamed.json": world.model.content[INDEX]})
    assert world.mirror().copied_bytes == 0
    assert world.mirrored() == world.model.content


def test_what_the_other_commit_has_lost_meanwhile_is_fetched(world):
    old = world.model
    upgraded(world, **{INDEX: b"new"})
    world.store.delete(old.key("config.json"))
    world.store.put(old.key("sub/notes.txt"), b"")  # written by nobody who says what it is
    world.mirror()
    assert world.hub.calls["open"] == 2  # an empty file needs none
    assert world.mirrored() == world.model.content


def test_a_damaged_manifest_of_another_commit_is_passed_over(world):
    upgraded(world, **{INDEX: b"new"})
    damaged = Released({"x": b"y"}, commit="d" * 40, layout=LAYOUT)
    world.store.put(damaged.manifest_key, b"{")
    assert world.mirror().copied_bytes == 3


def test_a_commit_that_was_complete_once_is_healed_from_the_hub_because_its_copies_may_be_what_was_wrong(world):
    upgraded(world, **{INDEX: b"new"})
    world.mirror()
    world.store.delete(world.model.key("config.json"))
    world.store.copies.clear()
    world.hub.calls.clear()
    assert world.mirror().copied_bytes == 2
    assert world.store.copies == []
    assert world.hub.calls["open"] == 1


def test_a_run_that_was_killed_among_its_copies_goes_on(world):
    upgraded(world, **{INDEX: b"new"})
    world.hub.down = True
    with pytest.raises(Transient):
        world.mirror()
    assert world.store.get(world.model.manifest_key) is None
    copied = len(world.store.copies)
    assert copied == len(world.model.content) - 1
    world.hub.down = False
    world.mirror()
    assert len(world.store.copies) == copied
    assert world.mirrored() == world.model.content


def test_a_plan_counts_what_another_commit_has_as_there_already(world):
    upgraded(world, **{INDEX: b"new"})
    before = dict(world.store.objects)
    planned = expected(world.store, LAYOUT, world.model.manifest)
    assert [f.path for f in planned.copy] == [INDEX]
    assert world.store.objects == before
    world.mirror()
    world.store.delete(world.model.key("config.json"))
    healed = expected(world.store, LAYOUT, world.model.manifest)
    assert [f.path for f in healed.copy] == ["config.json"]


SHARES = ("1-of-3", "2-of-3", "3-of-3")


def test_several_pods_bring_their_own_share_and_the_last_one_to_end_writes_the_manifest(world):
    done = []
    for share in SHARES:
        assert world.store.get(world.model.manifest_key) is None
        done.append(world.mirror(shard=share).copied_bytes)
    assert sum(done) == world.model.manifest.total_bytes
    assert world.hub.calls["open"] == len([body for body in world.model.content.values() if body])
    assert world.mirrored() == world.model.content
    assert world.store.get(world.model.manifest_key) == world.model.manifest.dump()


def test_a_share_that_did_not_come_keeps_the_manifest_away_and_its_next_attempt_brings_it(world):
    for share in SHARES[1:]:
        world.mirror(shard=share)
    world.hub.down = True
    with pytest.raises(Transient):
        world.mirror(shard=SHARES[0])
    for share in SHARES[1:]:
        assert world.mirror(shard=share).copied_bytes == 0
    assert world.store.get(world.model.manifest_key) is None
    world.hub.down = False
    world.mirror(shard=SHARES[0])
    assert world.store.get(world.model.manifest_key) == world.model.manifest.dump()


def test_an_object_that_is_no_proof_keeps_the_manifest_away(world):
    for share in SHARES[1:]:
        world.mirror(shard=share)
    of_another = shards.share(world.model.manifest, SHARES[1]).files[0]
    world.store.put(world.model.key(of_another.path), bytes(of_another.size))  # nobody says what it is
    world.mirror(shard=SHARES[0])
    assert world.store.get(world.model.manifest_key) is None


class AtTheSameMoment(FakeStore):
    """Each pod takes its last look when all have brought their share, and writes when all have looked."""

    def __init__(self, pods):
        super().__init__()
        self.all_of_them = threading.Barrier(pods, timeout=30)
        self.looks = threading.local()
        self.tried = 0

    def list(self, prefix):
        if prefix.endswith("/") and "models/" in prefix:
            self.looks.count = getattr(self.looks, "count", 0) + 1
            if self.looks.count == 2:
                self.all_of_them.wait()
        return super().list(prefix)

    def create(self, key, body):
        self.all_of_them.wait()
        self.tried += 1
        return super().create(key, body)


def test_pods_that_end_at_the_same_moment_leave_one_manifest(world):
    world.store = AtTheSameMoment(len(SHARES))
    world.model.resolve_into(world.store)
    with ThreadPoolExecutor(len(SHARES)) as pods:
        list(pods.map(lambda share: world.mirror(shard=share), SHARES))
    assert world.store.tried == len(SHARES)
    assert world.mirrored() == world.model.content
    assert world.store.get(world.model.manifest_key) == world.model.manifest.dump()


def test_a_share_of_a_mirrored_model_is_healed_and_no_other(world):
    world.mirror()
    ours, other = (shards.share(world.model.manifest, share).files[0].path for share in SHARES[:2])
    world.store.delete(world.model.key(ours))
    world.store.delete(world.model.key(other))
    world.mirror(shard=SHARES[0])
    assert world.mirrored() == {**world.model.content, other: None}


def test_what_is_no_share_is_refused_before_anything_is_asked(world):
    with pytest.raises(BadInput, match="2-of-3"):
        world.mirror(shard="three")
    assert world.hub.calls["open"] == 0
