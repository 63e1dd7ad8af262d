"""Whether a model's directory still has what was proved of it, seen before anything that serves is stopped."""

from pathlib import Path

import pytest

from steps.clients.whole import require_whole
from steps.core import manifest as manifests
from steps.core.manifest import File
from steps.core.names import slug
from steps.errors import Corrupt

MODEL, COMMIT = "org/tiny", "c" * 40
ANEW = "`python -m workflows.audit --all --repair` publishes it anew"
FILES = (File("config.json", 2, "a" * 64), File("sub/model.safetensors", 4, "b" * 64))


@pytest.fixture
def directory(tmp_path):
    """Published, with its manifest beside it."""
    made = tmp_path / slug(MODEL) / COMMIT
    for file in FILES:
        (made / file.path).parent.mkdir(parents=True, exist_ok=True)
        (made / file.path).write_bytes(bytes(file.size))
    beside = manifest_of(made)
    beside.parent.mkdir(parents=True)
    beside.write_bytes(manifests.build(MODEL, COMMIT, FILES).dump())
    return made


def manifest_of(directory: Path) -> Path:
    return directory.parents[1] / ".manifests" / directory.parent.name / f"{directory.name}.json"


def remove(directory: Path) -> None:
    for path in sorted(directory.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()


def test_what_is_as_its_manifest_says_is_whole(directory):
    require_whole(directory)


def test_a_directory_that_was_removed_is_told_with_what_brings_it_back(directory):
    remove(directory)
    directory.rmdir()
    with pytest.raises(Corrupt, match=rf"^{directory} has been removed since it was checked; .*promotion brings it"):
        require_whole(directory)


@pytest.mark.parametrize("known", [True, False], ids=["its manifest is there", "nobody knows what was in it"])
def test_a_directory_that_was_emptied_is_told_with_what_publishes_it_anew(directory, known):
    remove(directory)
    if not known:
        manifest_of(directory).unlink()
    with pytest.raises(Corrupt, match=rf"^{directory} has been emptied since it was checked; {ANEW}"):
        require_whole(directory)


def test_files_that_are_gone_or_have_another_size_are_named(directory):
    (directory / "config.json").unlink()
    (directory / "sub/model.safetensors").write_bytes(bytes(3))
    said = r"\(config.json: missing; sub/model.safetensors: 3 bytes, the manifest says 4\); " + ANEW
    with pytest.raises(Corrupt, match=said):
        require_whole(directory)


def test_of_many_files_the_first_ones_are_named(directory):
    many = tuple(File(f"{n:02}.json", 1, "a" * 64) for n in range(20))
    manifest_of(directory).write_bytes(manifests.build(MODEL, COMMIT, many).dump())
    with pytest.raises(Corrupt, match=r"\(00.json: missing; .*; 04.json: missing and 15 more\)"):
        require_whole(directory)


def test_what_lies_there_beside_it_keeps_no_server_from_starting(directory):
    (directory / "notes.txt").write_text("mine")
    require_whole(directory)


@pytest.mark.parametrize("body", [None, b"{}"], ids=["gone", "no manifest"])
def test_where_nobody_knows_what_should_be_in_it_what_is_there_is_no_problem(directory, body):
    manifest_of(directory).unlink()
    if body is not None:
        manifest_of(directory).write_bytes(body)
    require_whole(directory)


def test_something_else_in_its_place_is_told(directory):
    remove(directory)
    directory.rmdir()
    directory.write_text("a file")
    with pytest.raises(Corrupt, match="is not a directory"):
        require_whole(directory)


@pytest.mark.parametrize("error", [OSError(5, "it is away"), OSError(13, "not yours"), OSError(71, "odd")])
def test_what_cannot_be_seen_now_is_no_verdict(directory, monkeypatch, error):
    def broken(path):
        raise error

    monkeypatch.setattr("os.scandir", broken)
    require_whole(directory)
