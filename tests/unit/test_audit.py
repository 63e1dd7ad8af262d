"""What an audit finds and repairs, on a real directory and a store in memory."""

import itertools
import mmap
import shutil
from dataclasses import replace

import pytest

from steps.checksum import checksum
from steps.contracts import ChecksumInputs, PopulateInputs
from steps.core.audit import Subject, dump
from steps.errors import BadInput, Corrupt, Missing, Transient
from steps.populate import populate
from tests.stubs.audited import IN_STORE, ON_VOLUME, OTHER_SHARD, SHARD, Audited, flip, put
from tests.stubs.released import Released
from tests.stubs.store import FakeStore


@pytest.fixture
def world(tmp_path):
    return Audited(tmp_path)


def trash(world):
    return list((world.root / ".trash").glob("*/*"))


def test_what_is_right_is_read_and_left_as_it_is(world):
    before = world.everything()
    world.store.reads.clear()
    assert world.audit(repair=True).differences == 0
    assert world.told == [
        f"store: org/stub at {world.model.commit}: reading 5 files, 8.3 KiB",
        f"volume: org/stub at {world.model.commit}: reading 5 files, 8.3 KiB",
        "1 commit looked at: no difference",
    ]
    assert set(world.store.reads) == {world.model.key(path) for path in world.content}
    assert world.everything() == before


@pytest.mark.parametrize("name", ON_VOLUME)
def test_damage_of_the_volume_is_told_then_repaired_beside_what_is_there(world, name):
    words, damage = ON_VOLUME[name]
    damage(world)
    assert not world.volume_is_right()
    was = world.everything()

    with pytest.raises(Corrupt, match="nothing was changed"):
        world.audit()
    assert world.everything() == was
    assert any(line.startswith("volume: org/stub at ") and words in line for line in world.told)

    assert world.audit(repair=True).differences >= 1
    assert world.volume_is_right()
    assert world.store_is_right()
    assert len(trash(world)) == (name != "all of it")
    assert world.audit().differences == 0


@pytest.mark.parametrize("name", IN_STORE)
def test_damage_of_the_store_is_told_then_repaired_from_the_volume(world, name):
    words, damage = IN_STORE[name]
    damage(world)
    assert not world.store_is_right()
    was = world.everything()

    with pytest.raises(Corrupt, match="nothing was changed"):
        world.audit()
    assert world.everything() == was
    assert any(line.startswith("store: org/stub at ") and words in line for line in world.told)

    directory = world.published.stat().st_ino
    assert world.audit(repair=True).differences >= 1
    assert world.store_is_right()
    assert world.hub.calls["open"] == 0
    assert world.volume_is_right()
    assert world.published.stat().st_ino == directory
    assert world.audit().differences == 0


class Torn(FakeStore):
    """Does not give one object whole, until it is written anew."""

    torn: bytes | None = None

    def read(self, key, start, end):
        if self.torn is not None and self.objects.get(key) is self.torn:
            raise Transient("the store did not answer, or not in full")
        return super().read(key, start, end)


def test_an_object_that_the_store_does_not_give_hides_nothing_else_and_is_repaired(tmp_path):
    store = Torn()
    world = Audited(tmp_path, store=store)
    store.torn = store.objects[world.model.key(SHARD)]
    ON_VOLUME["extra"][1](world)

    with pytest.raises(Corrupt, match="2 differences, nothing was changed"):
        world.audit()
    assert any(f"{SHARD}: sha256 cannot be read" in line for line in world.told)

    assert world.audit(repair=True).differences == 2
    assert store.objects[world.model.key(SHARD)] is not store.torn
    assert world.store_is_right()
    assert world.volume_is_right()


def test_every_difference_is_told_and_not_only_the_first(world):
    for _, damage in (ON_VOLUME["flipped"], ON_VOLUME["missing"], ON_VOLUME["extra"], IN_STORE["missing"]):
        damage(world)
    with pytest.raises(Corrupt, match="4 differences, nothing was changed"):
        world.audit()
    assert len([line for line in world.told if "reading" not in line]) == 5


@pytest.mark.exhaustive
@pytest.mark.parametrize(("on_volume", "in_store"), list(itertools.product(ON_VOLUME, IN_STORE)))
def test_two_damaged_copies_mend_each_other_and_the_hub_gives_what_both_have_lost(tmp_path, on_volume, in_store):
    world = Audited(tmp_path)
    ON_VOLUME[on_volume][1](world)
    IN_STORE[in_store][1](world)
    world.audit(repair=True)
    assert world.volume_is_right()
    assert world.store_is_right()


def test_what_both_have_lost_comes_from_the_hub_and_nothing_else_does(world):
    flip(SHARD)(world)
    put(SHARD, lambda body: body[:-1] + b"?")(world)
    flip(OTHER_SHARD)(world)
    world.audit(repair=True)
    assert world.volume_is_right()
    assert world.store_is_right()
    assert world.hub.calls["open"] == 1


def test_without_the_hub_all_that_one_copy_has_is_repaired_and_the_rest_is_told(world):
    flip(SHARD)(world)
    put(SHARD, lambda body: body[:-1] + b"?")(world)
    world.store.delete(world.model.key("config.json"))

    world.hub.down = True
    with pytest.raises(Transient, match="the Hub cannot be reached"):
        world.audit(repair=True)
    assert world.store.get(world.model.key("config.json")) == world.content["config.json"]
    assert "2 left" in world.told[-1]
    assert sum(SHARD in line for line in world.told) == 4  # each copy, before and after


def test_files_that_are_right_are_shared_with_what_was_damaged_and_not_copied_again(world):
    kept = (world.published / OTHER_SHARD).stat().st_ino
    flip(SHARD)(world)
    damaged = (world.published / SHARD).stat().st_ino
    world.store.reads.clear()
    world.audit(repair=True, store=False)
    assert (world.published / OTHER_SHARD).stat().st_ino == kept
    assert (world.published / SHARD).stat().st_ino != damaged
    assert set(world.store.reads) == {world.model.key(SHARD)}


def test_a_server_that_has_the_damaged_file_mapped_keeps_what_it_has(world):
    flip(SHARD)(world)
    damaged = (world.published / SHARD).read_bytes()
    with (world.published / SHARD).open("rb") as file, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as mapped:
        world.audit(repair=True)
        assert world.volume_is_right()
        assert mapped[:] == damaged
    (moved,) = trash(world)
    assert (moved / SHARD).read_bytes() == damaged
    assert any("started while it was not" in line for line in world.told)


def test_only_what_is_asked_about_is_looked_at_and_changed(world):
    flip()(world)
    world.store.delete(world.model.key("config.json"))
    with pytest.raises(Corrupt, match=r"volume: .*sha256"):
        world.audit(store=False)
    with pytest.raises(Corrupt, match=r"store: .*config\.json: missing"):
        world.audit(volume=False)
    world.audit(volume=False, repair=True)
    assert world.store_is_right()
    assert not world.volume_is_right()
    with pytest.raises(BadInput, match="neither store nor volume"):
        world.audit(store=False, volume=False)


def test_the_volume_is_audited_while_the_store_is_away(world):
    class Away(FakeStore):
        def list(self, prefix):
            raise Transient("the store is away")

    world.means = replace(world.means, store=Away())
    assert world.audit(store=False).differences == 0
    with pytest.raises(Transient, match="the store is away"):
        world.audit()
    assert world.told[-1].endswith("; 1 not looked at to the end")


def test_a_volume_that_is_not_mounted_is_no_empty_volume(world):
    shutil.rmtree(world.root)
    for everything in (True, False):
        with pytest.raises(Missing, match="there is no volume"):
            world.audit(everything=everything, commits="" if everything else world.served)
    assert not world.root.exists()


def test_what_nobody_serves_is_looked_at_when_all_is_asked_for_and_may_lie_in_one_place_alone(world):
    old = Released({"config.json": b"{}", "model.safetensors": b"x"}, commit="d" * 40, layout=world.layout)
    old.mirror_into(world.store)
    assert world.audit(everything=True).differences == 0
    assert world.told[-1] == "2 commits looked at: no difference"
    world.store.delete(old.key("config.json"))
    assert world.audit().differences == 0
    with pytest.raises(Corrupt, match=r"store: org/stub at d{40}: config\.json: missing"):
        world.audit(everything=True)


def test_a_directory_of_which_nobody_knows_what_should_be_in_it_is_told_and_left(world):
    stray = world.root / "org--stray" / ("e" * 40)
    stray.mkdir(parents=True)
    (stray / "model.safetensors").write_bytes(b"x")
    with pytest.raises(Corrupt, match="nobody knows what should be in it"):
        world.audit(everything=True, repair=True)
    assert (stray / "model.safetensors").read_bytes() == b"x"


@pytest.mark.parametrize("name", ["missing", "extra", "cut off", "no manifest", "all files"])
def test_a_damaged_directory_that_nothing_serves_is_mended_by_the_command_that_populate_names(world, name):
    if name == "all files":
        shutil.rmtree(world.published)
        world.published.mkdir()
    else:
        ON_VOLUME[name][1](world)
    inputs = PopulateInputs(deployment="chat", release_id=world.model.release_id)
    with pytest.raises(Corrupt, match=r"`python -m workflows\.audit --all --repair` publishes it anew"):
        populate(inputs, world.store, world.means.volume, world.layout)

    world.audit(everything=True, commits="", repair=True)
    assert world.volume_is_right()
    assert populate(inputs, world.store, world.means.volume, world.layout).copied_bytes == 0


@pytest.mark.parametrize("name", ["flipped", "swapped", "no manifest"])
def test_what_checksum_finds_of_a_directory_that_nothing_serves_is_mended_by_the_command_that_it_names(world, name):
    ON_VOLUME[name][1](world)
    inputs = ChecksumInputs(
        model=world.model.model,
        commit=world.model.commit,
        manifest_sha256=world.model.manifest.sha256,
        previous_model="",
        previous_commit="",
        previous_manifest_sha256="",
    )
    with pytest.raises(Corrupt, match=r"`python -m workflows\.audit --all --repair`"):
        checksum(inputs, world.means.volume)

    world.audit(everything=True, commits="", repair=True)
    assert checksum(inputs, world.means.volume).checked_files == len(world.content)


def test_an_object_that_was_changed_and_that_nothing_serves_is_mended_by_the_command_that_populate_names(world):
    IN_STORE["flipped"][1](world)
    shutil.rmtree(world.published)
    inputs = PopulateInputs(deployment="chat", release_id=world.model.release_id)
    with pytest.raises(Corrupt, match=r"`python -m workflows\.audit --all --repair` writes it anew"):
        populate(inputs, world.store, world.means.volume, world.layout)

    world.audit(everything=True, commits="", repair=True)
    populate(inputs, world.store, world.means.volume, world.layout)
    assert world.volume_is_right()


def test_where_the_copies_disagree_and_nobody_serves_it_a_person_decides(world):
    IN_STORE["another manifest"][1](world)
    was = world.everything()
    with pytest.raises(Corrupt, match="no deployment says which is right"):
        world.audit(everything=True, commits="", repair=True)
    assert world.everything() == was
    assert world.audit(repair=True).differences > 0  # what serves says which
    assert world.store_is_right()


def test_where_both_manifests_are_lost_the_release_has_one(world):
    ON_VOLUME["no manifest"][1](world)
    IN_STORE["no manifest"][1](world)
    world.audit(repair=True)
    assert world.volume_is_right()
    assert world.store_is_right()


def test_a_key_that_may_not_delete_repairs_all_else(world):
    class Careful(FakeStore):
        def delete(self, key):
            raise Missing(f"no right to delete {key}")

    careful = Careful()
    careful.objects, careful.digests = world.store.objects, world.store.digests
    put(SHARD, lambda body: body[:10])(world)
    IN_STORE["extra"][1](world)
    world.means = replace(world.means, store=careful)
    with pytest.raises(Missing, match=r"no right to delete .*evil\.py"):
        world.audit(repair=True)
    assert world.told[-1] == "1 commit looked at: 2 differences, 1 left"
    world.store.delete(world.model.key("evil.py"))
    assert world.store_is_right()


@pytest.mark.parametrize("text", ["x", "org/x@main=y", f"org/x@{'a' * 40}", f"../x@{'a' * 40}={'b' * 64}"])
def test_what_names_no_commit_is_refused(world, text):
    with pytest.raises(BadInput):
        world.audit(commits=text)


def test_what_rots_in_a_file_that_two_commits_share_is_told_of_both_and_repaired_in_both(world):
    content = {**world.content, OTHER_SHARD: b"another"}
    upgrade = Released(content, commit="d" * 40, layout=world.layout)
    upgrade.resolve_into(world.store)
    upgrade.mirror_into(world.store)
    populate(
        PopulateInputs(deployment="chat", release_id=upgrade.release_id), world.store, world.means.volume, world.layout
    )
    both = (world.published / SHARD, world.published.with_name(upgrade.commit) / SHARD)
    assert both[0].samefile(both[1])
    flip(SHARD)(world)
    served = dump(Subject(m.model, m.commit, m.manifest.sha256) for m in (world.model, upgrade))
    world.store.reads.clear()

    assert world.audit(commits=served, store=False, repair=True).differences == 2

    assert world.volume_is_right()
    assert both[1].read_bytes() == content[SHARD]
    assert both[0].samefile(both[1])
    assert world.store.reads.count(world.model.key(SHARD)) == 1
    assert upgrade.key(SHARD) not in world.store.reads  # the second shares what the first fetched
