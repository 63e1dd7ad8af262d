"""`workflows.audit` on one machine: what it says, its exit code, and that a promotion goes on afterwards.

A small model, SeaweedFS, a real directory, and a model server that has its files open.
"""

import shutil

import pytest

from steps.clients import store
from steps.core.names import Layout

CONFIG = "config.json"


@pytest.fixture
def shard(served):
    """A weight file's name, and its good bytes."""
    path = next(served.source("main").rglob("*.safetensors"))
    return path.name, path.read_bytes()


def live_directory(served):
    commit = served.status()["live"]["commit"]
    return served.volume / served.slug / commit, commit


def audit(served, *args, **environ):
    return served.machine.run("audit", "--local", *args, **environ)


def flip(path):
    body = path.read_bytes()
    with path.open("r+b") as file:  # the same file, as rot does
        file.seek(len(body) - 1)
        file.write(bytes([body[-1] ^ 1]))
    assert path.read_bytes() != body


def test_what_is_right_is_said_to_be(served):
    ended = audit(served)
    assert (ended.code, ended.text.splitlines()[-1]) == (0, "1 commit looked at: no difference")
    assert [line.partition(":")[0] for line in ended.text.splitlines()[:-1]] == ["store", "volume"]
    assert all(": reading 6 files, " in line for line in ended.text.splitlines()[:-1])


def test_both_copies_are_told_of_before_anything_is_changed_and_repaired_while_the_model_serves(served, shard):
    directory, commit = live_directory(served)
    name, good = shard
    served.tamper(commit, CONFIG)
    flip(directory / name)
    (directory / "evil.py").write_text("x")
    before = served.live()

    looked = audit(served, "--deployment", served.deployment)
    assert looked.code == 1
    assert f"store: {served.model} at {commit}: {CONFIG}: sha256" in looked.text
    assert f"volume: {served.model} at {commit}: {name}: sha256" in looked.text
    assert f"volume: {served.model} at {commit}: evil.py: not in the manifest" in looked.text
    assert "3 differences, nothing was changed" in looked.text
    assert (directory / "evil.py").exists()

    repaired = audit(served, "--repair")
    assert repaired.code == 0, repaired.text
    assert repaired.text.splitlines()[-1] == "1 commit looked at: 3 differences, repaired and read again"
    assert (directory / name).read_bytes() == good
    assert not (directory / "evil.py").exists()
    assert served.live() == before
    assert audit(served).code == 0
    (moved,) = (served.volume / ".trash" / served.slug).iterdir()
    assert (moved / "evil.py").exists()
    shutil.rmtree(served.volume / ".trash")


def test_a_file_that_is_gone_no_longer_keeps_an_upgrade_from_its_rollback_target(served):
    directory, commit = live_directory(served)
    (directory / CONFIG).unlink()
    served.publish("next", seed=7)

    refused = served.promote("next")
    assert refused.code == 1
    assert "no verified rollback target" in refused.text
    assert CONFIG in refused.text

    assert audit(served, "--volume").code == 1
    repaired = audit(served, "--volume", "--repair")
    assert repaired.code == 0, repaired.text
    promoted = served.promote("next")
    assert promoted.code == 0, promoted.text
    back = served.machine.run("rollback", "--local", "--deployment", served.deployment)
    assert back.code == 0, back.text
    assert served.status()["live"]["commit"] == commit


def test_a_store_that_has_lost_everything_is_filled_again_from_the_volume(served):
    _, commit = live_directory(served)
    bucket, layout = store.connect(served.settings()), Layout(served.prefix)
    keys = [*bucket.list(layout.model_prefix(served.model, commit)), layout.manifest(served.model, commit)]
    assert len(keys) > 3
    kept = {key: bucket.stat(key) for key in keys}
    for key in keys:
        bucket.delete(key)

    looked = audit(served, "--store")
    assert looked.code == 1
    assert f"store: {served.model} at {commit}: not there at all" in looked.text
    repaired = audit(served, "--store", "--repair", HF_ENDPOINT="http://127.0.0.1:1")  # no Hub is there
    assert repaired.code == 0, repaired.text
    assert {key: bucket.stat(key) for key in keys} == kept
    assert audit(served).code == 0


def test_what_both_have_lost_is_fetched_from_the_hub(served, shard):
    directory, commit = live_directory(served)
    name, good = shard
    served.tamper(commit, name)
    flip(directory / name)
    repaired = audit(served, "--repair")
    assert repaired.code == 0, repaired.text
    assert (directory / name).read_bytes() == good
    assert audit(served, "--all").code == 0


def test_what_cannot_be_repaired_is_told_and_left(served):
    stray = served.volume / "acme--stray" / ("e" * 40)
    stray.mkdir(parents=True)
    assert audit(served).code == 0
    ended = audit(served, "--all", "--repair")
    assert ended.code == 1
    assert "nobody knows what should be in it" in ended.text
    assert "1 left" in ended.text
    shutil.rmtree(stray.parent)


def test_a_deployment_is_a_part_of_all(served):
    ended = audit(served, "--all", "--deployment", served.deployment)
    assert ended.code == 2
    unknown = audit(served, "--deployment", "nobody")
    assert unknown.code == 2
    assert "nothing was ever promoted to nobody" in unknown.text
