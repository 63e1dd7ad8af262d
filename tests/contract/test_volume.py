"""What every Volume does, and what only a real directory can do wrong."""

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from steps.clients import replacing
from steps.clients.volume import Directory
from steps.clients.volume_errors import translated
from steps.errors import BadInput, Conflict, Corrupt, Missing, NoSpace, Refused, Transient
from steps.ports.volume import Volume
from tests.stubs.released import Released, weights
from tests.stubs.scene import FakeVolume

MODEL = Released(weights())
NAMES = (MODEL.model, MODEL.commit)


def fill(volume: Directory, model: Released = MODEL) -> None:
    with volume.stage(model.manifest) as staging:
        for file in model.manifest.files:
            with staging.write(file) as draft:
                draft.write(0, model.content[file.path])
                draft.keep()
        staging.publish()


@pytest.fixture(params=["memory", "directory"])
def volumes(request, tmp_path) -> tuple[Volume, Volume]:
    """One with nothing on it, one with a model."""
    if request.param == "memory":
        return FakeVolume(), FakeVolume(manifests={MODEL.commit: MODEL.manifest})
    for name in ("empty", "filled"):
        (tmp_path / name).mkdir()
    filled = Directory(tmp_path / "filled")
    fill(filled)
    return Directory(tmp_path / "empty"), filled


def test_what_is_not_published_is_none_and_has_no_sizes(volumes):
    empty, _ = volumes
    assert empty.manifest(*NAMES) is None
    assert dict(empty.sizes(*NAMES)) == {}


def test_what_is_published_has_its_manifest_and_its_sizes(volumes):
    _, filled = volumes
    assert filled.manifest(*NAMES) == MODEL.manifest
    assert dict(filled.sizes(*NAMES)) == {path: len(body) for path, body in MODEL.content.items()}


def test_there_is_room(volumes):
    assert all(volume.free_bytes() > 0 for volume in volumes)


@pytest.fixture
def directory(tmp_path) -> Directory:
    return Directory(tmp_path)


def test_a_file_is_opened_as_it_was_written(directory):
    fill(directory)
    with directory.open(*NAMES, "config.json") as f:
        assert f.read() == MODEL.content["config.json"]


def test_a_file_that_is_gone_is_corrupt(directory, tmp_path):
    fill(directory)
    (tmp_path / "org--stub" / MODEL.commit / "config.json").unlink()
    with pytest.raises(Corrupt, match=r"config\.json is gone"), directory.open(*NAMES, "config.json"):
        pass


def test_a_directory_without_its_manifest_is_corrupt(directory, tmp_path):
    fill(directory)
    (tmp_path / ".manifests" / "org--stub" / f"{MODEL.commit}.json").unlink()
    with pytest.raises(Corrupt, match="nobody knows"):
        directory.manifest(*NAMES)


def test_a_manifest_that_somebody_wrote_by_hand_is_corrupt(directory, tmp_path):
    fill(directory)
    (tmp_path / ".manifests" / "org--stub" / f"{MODEL.commit}.json").write_text("{}")
    with pytest.raises(Corrupt, match="is not a manifest"):
        directory.manifest(*NAMES)


def test_pieces_may_be_written_in_any_order(directory, tmp_path):
    file = MODEL.manifest.files[-1]
    body = MODEL.content[file.path]
    with directory.stage(MODEL.manifest) as staging, staging.write(file) as draft:
        draft.write(100, body[100:])
        draft.write(0, body[:100])
        draft.keep()
        (found,) = (p for p in (tmp_path / ".staging").rglob(file.path))
        assert found.read_bytes() == body


def test_a_draft_that_is_not_kept_leaves_nothing(directory, tmp_path):
    with directory.stage(MODEL.manifest) as staging:
        with staging.write(MODEL.manifest.files[0]) as draft:
            draft.write(0, b"x")
        assert not [p for p in (tmp_path / ".staging").rglob("*") if p.is_file()]


def test_an_incomplete_directory_is_never_published(directory, tmp_path):
    with pytest.raises(Conflict, match=r"config\.json: missing"), directory.stage(MODEL.manifest) as staging:
        staging.publish()
    assert not (tmp_path / "org--stub").exists()


def test_of_two_attempts_the_second_meets_a_conflict_and_the_first_ones_files_stay(directory, tmp_path):
    published = tmp_path / "org--stub" / MODEL.commit
    with pytest.raises(Conflict), directory.stage(MODEL.manifest) as staging:  # noqa: PT012  # both at once
        for file in MODEL.manifest.files:
            with staging.write(file) as draft:
                draft.write(0, MODEL.content[file.path])
                draft.keep()
        fill(directory)
        inode = published.stat().st_ino
        staging.publish()
    assert published.stat().st_ino == inode


def test_what_an_unfinished_attempt_has_finished_is_known_and_what_it_writes_still_is_not(directory):
    done, half = MODEL.manifest.files[:2]
    with directory.stage(MODEL.manifest) as staging:
        with staging.write(done) as draft:
            draft.write(0, MODEL.content[done.path])
            draft.keep()
        with staging.write(half) as draft:
            draft.write(0, b"x")
            assert directory.staged(MODEL.manifest.model, MODEL.manifest.commit) == {done.path: done.size}
    assert directory.staged(MODEL.manifest.model, MODEL.manifest.commit) == {}


def test_what_attempts_at_other_commits_left_is_known_with_its_size(directory, tmp_path):
    assert directory.leftovers(*NAMES) == {}
    for commit, size in ((MODEL.commit, 5), ("0" * 40, 7)):
        dead = tmp_path / ".staging" / "org--stub" / f"{commit}.dead"
        (dead / "sub").mkdir(parents=True)
        (dead / "sub" / "a").write_bytes(bytes(size))
    assert directory.leftovers(*NAMES) == {f".staging/org--stub/{'0' * 40}.dead": 7}


def test_a_file_that_an_attempt_left_beside_its_directory_blocks_nobody_and_is_swept(directory, tmp_path):
    left = tmp_path / ".staging" / "org--stub" / f"{MODEL.commit}.dead.json"
    left.parent.mkdir(parents=True)
    left.write_bytes(b"{}")
    assert directory.staged(*NAMES) == {}
    fill(directory)
    directory.sweep(*NAMES)
    assert not left.exists()


def test_an_attempt_that_ends_while_it_writes_the_manifest_leaves_nothing_beside_its_directory(directory, tmp_path):
    """What is beside it is removed by nobody but a populate that gets that far."""
    (tmp_path / ".manifests" / "org--stub" / f"{MODEL.commit}.json").mkdir(parents=True)
    with pytest.raises(Corrupt):
        fill(directory)
    assert list((tmp_path / ".staging" / "org--stub").iterdir()) == []


def test_an_adopted_file_is_shared_so_that_a_living_attempt_keeps_its_own(directory, tmp_path):
    file = next(f for f in MODEL.manifest.files if f.path == "sub/notes.txt")
    zombie = directory.stage(MODEL.manifest)
    theirs = zombie.__enter__()
    with theirs.write(file) as draft:
        draft.keep()
    with directory.stage(MODEL.manifest) as ours:
        assert ours.adopt(file)
        assert len({p.stat().st_ino for p in (tmp_path / ".staging").rglob("notes.txt")}) == 1
    assert len(list((tmp_path / ".staging").rglob("notes.txt"))) == 1
    zombie.__exit__(None, None, None)


def test_a_living_attempt_that_is_swept_meets_a_conflict_and_does_not_come_back(directory, tmp_path):
    file = MODEL.manifest.files[0]
    with directory.stage(MODEL.manifest) as zombie, zombie.write(file) as draft:
        fill(directory)
        directory.sweep(*NAMES)
        draft.write(0, b"what a zombie writes")
        with pytest.raises(Conflict):
            draft.keep()
    assert not list((tmp_path / ".staging" / "org--stub").iterdir())


def test_a_server_that_goes_away_while_debris_is_removed_fails_nobody(directory, tmp_path, monkeypatch, caplog):
    fill(directory)
    (tmp_path / ".staging" / "org--stub" / f"{MODEL.commit}.dead").mkdir()
    monkeypatch.setattr(shutil, "rmtree", lambda *_args, **_options: raise_os_error(errno.EIO))

    directory.sweep(*NAMES)

    assert "dead cannot be removed: [Errno 5]" in caplog.text


@pytest.mark.parametrize("path", ["../evil", "/etc/evil", "a/../../evil", "a//b", "a\nb", "."])
def test_a_name_that_leads_elsewhere_is_refused(directory, tmp_path, path):
    evil = Released({path: b"x"})
    with pytest.raises(Refused), directory.stage(evil.manifest) as staging, staging.write(evil.manifest.files[0]):
        pass
    assert not (tmp_path.parent / "evil").exists()


@pytest.mark.parametrize("names", [("../x", MODEL.commit), (MODEL.model, "..")])
def test_a_model_or_commit_that_leads_elsewhere_is_bad_input(directory, names):
    with pytest.raises(BadInput):
        directory.manifest(*names)


@pytest.mark.parametrize("link", [".staging", ".staging/org--stub", ".manifests", "org--stub"])
def test_a_link_in_place_of_a_directory_of_ours_is_not_followed(directory, tmp_path, tmp_path_factory, link):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (tmp_path / link).parent.mkdir(exist_ok=True)
    (tmp_path / link).symlink_to(elsewhere)
    with pytest.raises(Corrupt, match="is not a directory"):
        fill(directory)
    assert list(elsewhere.rglob("*")) == []


def test_a_link_in_place_of_a_published_directory_is_corrupt(directory, tmp_path, tmp_path_factory):
    (tmp_path / "org--stub").mkdir()
    (tmp_path / "org--stub" / MODEL.commit).symlink_to(tmp_path_factory.mktemp("elsewhere"))
    with pytest.raises(Corrupt, match="is not a directory"):
        directory.manifest(*NAMES)


def test_a_link_in_place_of_a_models_directory_is_corrupt_and_not_followed(directory, tmp_path, tmp_path_factory):
    fill(directory)
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "org--stub"
    (tmp_path / "org--stub").rename(elsewhere)
    (tmp_path / "org--stub").symlink_to(elsewhere)
    with pytest.raises(Corrupt, match="is not a directory"):
        directory.manifest(*NAMES)


@pytest.fixture
def unprivileged() -> Iterator[Path]:
    """A directory that the test may not write to, and no root, for whom that would mean nothing."""
    uid = os.geteuid()
    with tempfile.TemporaryDirectory() as name:
        volume = Path(name) / "volume"
        volume.mkdir()
        volume.chmod(0o555)
        Path(name).chmod(0o755)
        if uid == 0:
            os.seteuid(65534)
        try:
            yield volume
        finally:
            os.seteuid(uid)
            volume.chmod(0o755)


def test_a_volume_that_may_not_be_written_to_is_missing_with_the_uid(unprivileged):
    with pytest.raises(Missing, match=f"uid {os.geteuid()} may write"), Directory(unprivileged).stage(MODEL.manifest):
        pass


@pytest.mark.parametrize(
    ("number", "ours"),
    [
        (errno.ENOSPC, NoSpace),
        (errno.EDQUOT, NoSpace),
        (errno.EFBIG, NoSpace),
        (errno.EROFS, Missing),
        (errno.EACCES, Missing),
        (errno.EPERM, Missing),
        (errno.EIO, Transient),
        (errno.ESTALE, Transient),
        (errno.ETIMEDOUT, Transient),
        (errno.ELOOP, Corrupt),
        (errno.ENOTDIR, Corrupt),
    ],
)
def test_what_a_file_system_says_is_translated_by_errno(number, ours):
    with pytest.raises(ours, match="cannot write /models/x: "), translated("write", Path("/models/x")):
        raise OSError(number, os.strerror(number))


def test_an_errno_that_is_not_foreseen_stays_what_it_was():
    with pytest.raises(OSError, match="Bad file descriptor"), translated("write", Path("/models/x")):
        raise OSError(errno.EBADF, os.strerror(errno.EBADF))


@pytest.mark.parametrize(
    ("number", "ours", "kept"), [(errno.ENOSPC, NoSpace, 0), (errno.EDQUOT, NoSpace, 0), (errno.EIO, Transient, 1)]
)
def test_a_disk_that_tells_at_the_sync_what_went_wrong_is_heard(tmp_path, monkeypatch, number, ours, kept):
    """NFS does. What is finished stays for the next attempt if that has a chance; else the space is given back."""
    first, second = MODEL.manifest.files[:2]
    with pytest.raises(ours), Directory(tmp_path).stage(MODEL.manifest) as staging:  # noqa: PT012  # the second one fails
        with staging.write(first) as draft:
            draft.write(0, MODEL.content[first.path])
            draft.keep()
        monkeypatch.setattr(os, "fsync", lambda _fd: raise_os_error(number))
        with staging.write(second) as draft:
            draft.write(0, MODEL.content[second.path])
            draft.keep()
    assert len([p for p in (tmp_path / ".staging").rglob("*") if p.is_file()]) == kept


def test_a_file_whose_name_nfs_keeps_for_a_moment_keeps_no_directory(directory, tmp_path, monkeypatch):
    """A full disk told at the sync leaves writes on the way, and so a name in the directory."""
    real = shutil.rmtree
    tries: list[Path] = []

    def rmtree(path, **options):
        tries.append(path)
        if len(tries) > 1:
            real(path, **options)

    monkeypatch.setattr(shutil, "rmtree", rmtree)
    with pytest.raises(NoSpace), directory.stage(MODEL.manifest):
        raise NoSpace
    assert len(tries) == 2
    assert list((tmp_path / ".staging" / "org--stub").iterdir()) == []


@pytest.mark.parametrize(("swept", "ours"), [(True, Conflict), (False, Transient)])
def test_a_stale_handle_is_a_conflict_where_the_directory_was_swept_and_else_the_servers_doing(
    tmp_path, monkeypatch, directory, swept, ours
):
    """Over NFSv3 a file that was removed elsewhere is stale to who has it open; so is all of a server set up anew."""
    file = MODEL.manifest.files[0]
    with pytest.raises(ours), directory.stage(MODEL.manifest) as staging, staging.write(file) as draft:  # noqa: PT012
        if swept:
            directory.sweep(*NAMES)
        monkeypatch.setattr(os, "pwrite", lambda *_: raise_os_error(errno.ESTALE))
        draft.write(0, b"x")


def test_what_is_published_is_looked_for_in_directories_opened_just_now(directory, tmp_path, monkeypatch):
    """An NFS client remembers that a name was not there, until the directory that it is in is opened."""
    fill(directory)
    opened: list[Path] = []
    real = os.open

    def seen(path, *args):
        opened.append(Path(path))
        return real(path, *args)

    monkeypatch.setattr(os, "open", seen)
    assert directory.manifest(*NAMES)
    assert opened[:3] == [tmp_path, tmp_path / "org--stub", tmp_path / "org--stub" / MODEL.commit]


def raise_os_error(number: int) -> None:
    raise OSError(number, os.strerror(number))


def test_a_draft_is_written_whole_although_the_kernel_takes_it_in_bits(tmp_path, monkeypatch, directory):
    pwrite = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda fd, data, offset: pwrite(fd, bytes(data[:100]), offset))
    fill(directory)
    for file in MODEL.manifest.files:
        assert (tmp_path / "org--stub" / MODEL.commit / file.path).read_bytes() == MODEL.content[file.path]


def test_what_has_a_published_name_is_listed_whatever_it_is_and_nothing_else_is(directory, tmp_path):
    fill(directory)
    with directory.stage(replace(MODEL.manifest, commit="d" * 40)):
        assert list(directory.published()) == [NAMES]
    (tmp_path / "name").mkdir()
    (tmp_path / "name" / ("e" * 40)).symlink_to("/nowhere")
    for stray in ("org--stub/not-a-commit", "a--b--c/" + "e" * 40, ".trash/" + "e" * 40):
        (tmp_path / stray).mkdir(parents=True)
    assert list(directory.published()) == [("name", "e" * 40), NAMES]


def damaged(directory: Directory, tmp_path: Path) -> Path:
    fill(directory)
    published = tmp_path / "org--stub" / MODEL.commit
    (published / "config.json").write_bytes(b"[]")
    return published


def replaced(directory: Directory) -> None:
    with directory.stage(MODEL.manifest) as staging:
        for file in MODEL.manifest.files:
            if not staging.adopt(file):
                with staging.write(file) as draft:
                    draft.write(0, MODEL.content[file.path])
                    draft.keep()
        staging.replace()


def cannot(*_: object) -> None:
    raise OSError(errno.EINVAL, "as NFS says")


@pytest.mark.parametrize("can_exchange", [True, False])
def test_a_damaged_directory_is_replaced_and_kept_in_the_trash(directory, tmp_path, monkeypatch, can_exchange):
    published = damaged(directory, tmp_path)
    was = published.stat().st_ino
    if not can_exchange:
        monkeypatch.setattr(replacing, "exchange", cannot)
    replaced(directory)
    assert (published / "config.json").read_bytes() == MODEL.content["config.json"]
    assert directory.manifest(*NAMES) == MODEL.manifest
    (trash,) = (tmp_path / ".trash" / "org--stub").iterdir()
    assert trash.stat().st_ino == was
    assert (trash / "config.json").read_bytes() == b"[]"
    assert list((tmp_path / ".staging" / "org--stub").iterdir()) == []


def test_this_file_system_exchanges_names_so_that_both_ways_are_tried(tmp_path):
    one, other = tmp_path / "one", tmp_path / "other"
    one.mkdir()
    other.write_text("file")
    replacing.exchange(one, other)
    assert one.read_text() == "file"
    assert other.is_dir()
    with pytest.raises(FileNotFoundError):
        replacing.exchange(one, tmp_path / "nothing")


def test_where_the_new_directory_does_not_get_the_name_the_damaged_one_gets_it_back(directory, tmp_path, monkeypatch):
    published = damaged(directory, tmp_path)
    monkeypatch.setattr(replacing, "exchange", cannot)
    rename, renamed = Path.rename, list[Path]()

    def stale(self, target):
        if target == published and not renamed:
            renamed.append(self)
            raise OSError(errno.ESTALE, "the server forgot it")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", stale)
    with pytest.raises(Transient, match="the server forgot it"):
        replaced(directory)
    assert renamed
    assert (published / "config.json").read_bytes() == b"[]"


def test_a_directory_that_is_gone_by_then_is_nobody_s_to_replace(directory, tmp_path):
    published = damaged(directory, tmp_path)
    with directory.stage(MODEL.manifest) as staging:
        for file in MODEL.manifest.files:
            with staging.write(file) as draft:
                draft.write(0, MODEL.content[file.path])
                draft.keep()
        published.rename(tmp_path / "by hand")
        with pytest.raises(Conflict):
            staging.replace()
