"""Populate is killed before and after every call that changes the volume; then it runs again."""

import itertools
import shutil
from functools import partial
from pathlib import Path

import pytest

from steps.clients.volume import Directory
from steps.contracts import PopulateInputs
from steps.core.names import Layout
from steps.populate import populate
from tests.stubs.killed import killed_at
from tests.stubs.released import Released
from tests.stubs.store import FakeStore
from tests.stubs.weights import safetensors

MODEL = Released({"config.json": b"{}", "sub/a.txt": b"a", "model.safetensors": safetensors({"w": bytes(64)})})
OTHER = Released({"a.safetensors": MODEL.content["model.safetensors"]}, commit="d" * 40)


@pytest.mark.parametrize("when", ["before", "after"])
def test_whenever_it_is_killed_what_is_published_is_whole_and_the_next_run_finishes(tmp_path, when):
    store = FakeStore()
    MODEL.resolve_into(store)
    MODEL.mirror_into(store)
    reached = 0
    for number in itertools.count(1):
        volume = tmp_path / str(number)
        volume.mkdir()
        publish_another(volume)
        leave_debris(volume)
        if not killed_at(number, when, partial(run, store, volume)):
            break
        reached = number
        assert_whole_or_absent(volume)
        assert set(Directory(volume).staged(MODEL.model, MODEL.commit)) <= MODEL.content.keys()  # preflight's look
        run(store, volume)
        assert_whole_or_absent(volume)
        assert published(volume).is_dir()
        assert [p for p in (volume / ".staging").rglob("*") if p.is_file()] == []
        shutil.rmtree(volume)
    assert reached > 40


def publish_another(volume: Path) -> None:
    """A commit that has one of the files: it stays whole, whatever happens to who shares it."""
    with Directory(volume).stage(OTHER.manifest) as staging:
        for file in OTHER.manifest.files:
            with staging.write(file) as draft:
                draft.write(0, OTHER.content[file.path])
                draft.keep()
        staging.publish()


def leave_debris(volume: Path) -> None:
    """Of an attempt that was killed earlier: one finished file, to be taken over, and a partial one."""
    dead = volume / ".staging" / "org--stub" / f"{MODEL.commit}.dead"
    dead.mkdir(parents=True)
    (dead / "config.json").write_bytes(b"{}")
    (dead / ".partial-0-x").write_bytes(b"half")


def run(store: FakeStore, volume: Path) -> None:
    populate(PopulateInputs(deployment="chat", release_id=MODEL.release_id), store, Directory(volume), Layout())


def published(volume: Path, commit: str = MODEL.commit) -> Path:
    return volume / "org--stub" / commit


def assert_whole_or_absent(volume: Path) -> None:
    other = published(volume, OTHER.commit)
    assert {p.name: p.read_bytes() for p in other.iterdir()} == OTHER.content
    directory = published(volume)
    if directory.exists():
        found = {str(p.relative_to(directory)): p.read_bytes() for p in directory.rglob("*") if p.is_file()}
        assert found == MODEL.content
        assert Directory(volume).manifest(MODEL.model, MODEL.commit) == MODEL.manifest
