import json
import os
from pathlib import Path

import pytest

from steps.checksum import checksum
from steps.clients.volume import Directory
from steps.contracts import ChecksumInputs, ChecksumOutputs
from steps.errors import BadInput, Corrupt
from tests.stubs.released import Released, weights

FIRST, SECOND = "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"
INDEX = "model.safetensors.index.json"


def publish(root: Path, model: Released) -> Path:
    """What populate leaves."""
    directory = root / model.model.replace("/", "--") / model.commit
    for path, body in model.content.items():
        (directory / path).parent.mkdir(parents=True, exist_ok=True)
        (directory / path).write_bytes(body)
    manifest = root / ".manifests" / directory.parent.name / f"{model.commit}.json"
    manifest.parent.mkdir(parents=True, exist_ok=True)
    manifest.write_bytes(model.manifest.dump())
    return directory


class World:
    """A candidate and a rollback target, both published."""

    def __init__(self, root: Path):
        self.root = root
        self.model = Released(weights(seed=1), commit="a" * 40)
        self.previous = Released(weights(seed=7), commit="b" * 40)
        self.directory = publish(root, self.model)
        self.previous_directory = publish(root, self.previous)

    def inputs(self, model: Released, previous: Released | None = None) -> ChecksumInputs:
        return ChecksumInputs(
            model=model.model,
            commit=model.commit,
            manifest_sha256=model.manifest.sha256,
            previous_model=previous.model if previous else "",
            previous_commit=previous.commit if previous else "",
            previous_manifest_sha256=previous.manifest.sha256 if previous else "",
        )

    def checksum(self, *, previous: bool = False, progress_file: Path | None = None):
        inputs = self.inputs(self.model, self.previous if previous else None)
        return checksum(inputs, Directory(self.root), progress_file)

    def refused(self) -> str:
        with pytest.raises(Corrupt) as failure:
            self.checksum()
        return str(failure.value)


@pytest.fixture
def world(tmp_path):
    return World(tmp_path)


def test_a_directory_that_is_as_it_should_be_passes(world):
    total = world.model.manifest.total_bytes
    assert world.checksum() == ChecksumOutputs(checked_files=5, checked_bytes=total)


def test_the_rollback_target_is_read_too(world):
    both = world.model.manifest.total_bytes + world.previous.manifest.total_bytes
    assert world.checksum(previous=True) == ChecksumOutputs(checked_files=10, checked_bytes=both)


def test_a_damaged_rollback_target_is_refused_by_its_commit(world):
    (world.previous_directory / FIRST).unlink()
    with pytest.raises(Corrupt, match=f"at {world.previous.commit}: {FIRST}: missing"):
        world.checksum(previous=True)


def test_a_candidate_that_is_its_own_rollback_target_is_read_once(world):
    found = checksum(world.inputs(world.model, world.model), Directory(world.root))
    assert found.checked_files == 5


def test_one_flipped_bit_is_refused_with_both_digests(world):
    body = bytearray(world.model.content[FIRST])
    body[-1] ^= 1
    (world.directory / FIRST).write_bytes(body)
    message = world.refused()
    wanted = next(f.sha256 for f in world.model.manifest.files if f.path == FIRST)
    assert f"{FIRST}: sha256 " in message
    assert wanted in message


def test_a_truncated_shard_is_refused(world):
    os.truncate(world.directory / FIRST, 100)
    assert f"{FIRST}: 100 bytes, the manifest says" in world.refused()


def test_a_file_that_is_longer_is_refused(world):
    with (world.directory / FIRST).open("ab") as f:
        f.write(b"x")
    assert FIRST in world.refused()


def test_an_extra_file_is_refused(world):
    (world.directory / "evil.py").write_text("")
    assert "evil.py: not in the manifest" in world.refused()


def test_two_swapped_shards_are_both_refused(world):
    (world.directory / FIRST).rename(world.directory / "x")
    (world.directory / SECOND).rename(world.directory / FIRST)
    (world.directory / "x").rename(world.directory / SECOND)
    message = world.refused()
    assert f"{FIRST}: sha256" in message
    assert f"{SECOND}: sha256" in message


def test_a_link_is_refused_even_to_the_right_bytes(world, tmp_path_factory):
    target = tmp_path_factory.mktemp("elsewhere") / "config.json"
    target.write_bytes(world.model.content["config.json"])
    (world.directory / "config.json").unlink()
    (world.directory / "config.json").symlink_to(target)
    assert "config.json: not a regular file" in world.refused()


def test_every_difference_is_in_the_log_and_ten_are_in_the_message(world, caplog):
    for n in range(12):
        (world.directory / f"extra-{n:02}").write_text("")
    message = world.refused()
    assert "extra-09" in message
    assert "extra-10" not in message
    assert "and 2 more" in message
    assert all(f"extra-{n:02}" in caplog.text for n in range(12))


def broken(root: Path, path: str, body: bytes) -> str:
    """What is said of a model whose publisher's own file is broken: every digest is right."""
    model = Released({**weights(), path: body}, commit="d" * 40)
    publish(root, model)
    inputs = ChecksumInputs(model=model.model, commit=model.commit, manifest_sha256=model.manifest.sha256)
    with pytest.raises(Corrupt) as failure:
        checksum(inputs, Directory(root))
    return str(failure.value)


def test_a_shard_that_was_published_truncated_never_passes(tmp_path):
    message = broken(tmp_path, FIRST, weights()[FIRST][:-1])
    assert f"{FIRST}: its tensors end at byte 4096 of the body, which has 4095: it is cut off" in message
    assert INDEX not in message


def test_a_git_lfs_pointer_in_place_of_a_shard_never_passes(tmp_path):
    message = broken(tmp_path, FIRST, b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")
    assert f"{FIRST}: not a safetensors file: it is a git-lfs pointer" in message
    assert INDEX not in message


def test_an_index_that_names_a_missing_shard_never_passes(tmp_path):
    body = json.dumps({"weight_map": {"a": FIRST, "b": SECOND, "c": "third.safetensors"}}).encode()
    assert f"{INDEX}: it names third.safetensors, which is not there" in broken(tmp_path, INDEX, body)


def test_an_index_is_held_against_the_shards_of_its_own_folder(tmp_path):
    body = json.dumps({"weight_map": {"a": FIRST}}).encode()
    assert f"sub/{INDEX}: it names {FIRST}, which is not there" in broken(tmp_path, f"sub/{INDEX}", body)


def test_a_directory_that_is_not_published_is_refused(world):
    unpublished = Released(weights(seed=3), commit="e" * 40)
    with pytest.raises(Corrupt, match="not published"):
        checksum(world.inputs(unpublished), Directory(world.root))


def test_a_volume_whose_manifest_is_not_the_one_that_is_meant_is_refused(world):
    other = Released(weights(seed=3), commit=world.model.commit)
    with pytest.raises(Corrupt, match=other.manifest.sha256):
        checksum(world.inputs(other), Directory(world.root))


def test_a_manifest_and_a_directory_changed_together_do_not_pass(world):
    """Who can write to the volume cannot make the manifest vouch for it: its digest comes from elsewhere."""
    publish(world.root, Released({**world.model.content, "evil.py": b""}, commit=world.model.commit))
    assert "is meant" in world.refused()


@pytest.mark.parametrize(("model", "commit"), [("../../etc", "a" * 40), ("org/stub", "../../../etc")])
def test_names_that_lead_elsewhere_are_bad_input(world, model, commit):
    inputs = ChecksumInputs(model=model, commit=commit, manifest_sha256="0" * 64)
    with pytest.raises(BadInput):
        checksum(inputs, Directory(world.root))


def test_checking_changes_nothing(world):
    before = {p: p.stat().st_mtime_ns for p in world.root.rglob("*")}
    world.checksum(previous=True)
    assert {p: p.stat().st_mtime_ns for p in world.root.rglob("*")} == before


def test_progress_counts_both_directories(world, tmp_path_factory):
    file = tmp_path_factory.mktemp("progress") / "progress"
    world.checksum(previous=True, progress_file=file)
    total = world.model.manifest.total_bytes + world.previous.manifest.total_bytes
    assert file.read_text() == f"{total}/{total}\n"
