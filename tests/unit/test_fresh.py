import errno
import fcntl
import hashlib
import os

import pytest

from steps.clients import fresh
from steps.clients.direct import LEAST
from steps.clients.fresh import PIECE, open_fresh

SIZES = [0, 1, LEAST - 1, LEAST, LEAST + 1, PIECE - 1, PIECE, PIECE + 1, 3 * PIECE + 4321]
LARGE = SIZES[-1]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "file"


def write(path, size):
    body = os.urandom(size)
    path.write_bytes(body)
    return hashlib.sha256(body).hexdigest()


@pytest.fixture
def control(monkeypatch):
    """Whether reads go past the cache just now; the file system may be one that cannot."""
    real, told = fcntl.fcntl, [0]

    def control(fd, command, flags=0):
        if command == fcntl.F_SETFL:
            told.append(flags & os.O_DIRECT)
            return 0
        return real(fd, command) | told[-1]

    monkeypatch.setattr(fcntl, "fcntl", control)
    return told


@pytest.mark.parametrize("size", SIZES)
def test_a_digest_is_that_of_the_whole_file(path, size):
    digest = write(path, size)
    with open_fresh(path) as file:
        assert file.sha256() == digest


def test_it_is_that_of_the_whole_wherever_one_has_read_to_and_one_can_read_on_anywhere(path):
    digest = write(path, LARGE)
    with open_fresh(path) as file:
        file.read(7)
        assert file.sha256() == digest
        file.seek(3)
        assert file.read(5) == path.read_bytes()[3:8]


@pytest.mark.parametrize(("size", "direct"), [(LEAST, [os.O_DIRECT, 0]), (LEAST - 1, [])])
def test_a_large_file_is_read_past_the_cache_and_a_small_one_is_not(path, control, size, direct):
    digest = write(path, size)
    with open_fresh(path) as file:
        assert file.sha256() == digest
    assert control[1:] == direct


@pytest.mark.parametrize("good", [0, 2])
def test_where_the_file_system_refuses_such_a_read_it_goes_on_through_the_cache(path, control, monkeypatch, good):
    digest = write(path, LARGE)
    reads: list[int] = []

    class Choosy(fresh.Fresh):
        def readinto(self, body):
            reads.append(control[-1])
            if control[-1] and len(reads) > good:
                raise OSError(errno.EINVAL, "Invalid argument")
            return super().readinto(body)

    monkeypatch.setattr(fresh, "Fresh", Choosy)
    with open_fresh(path) as file:
        assert file.sha256() == digest
    assert reads == [os.O_DIRECT] * (good + 1) + [0] * (4 - good)


def test_a_file_system_that_has_only_the_cache_is_read_through_it(path, monkeypatch):
    def refuses(fd, command, flags=0):
        if command == fcntl.F_SETFL:
            raise OSError(errno.EINVAL, "Invalid argument")
        return 0

    monkeypatch.setattr(fcntl, "fcntl", refuses)
    digest = write(path, LARGE)
    with open_fresh(path) as file:
        assert file.sha256() == digest


def test_reads_that_give_less_than_was_asked_for_are_gone_on_with(path, control, monkeypatch):
    class Short(fresh.Fresh):
        def readinto(self, body):
            return super().readinto(memoryview(body)[: 1 << 20])

    monkeypatch.setattr(fresh, "Fresh", Short)
    digest = write(path, LARGE)
    with open_fresh(path) as file:
        assert file.sha256() == digest


def test_a_file_that_loses_its_end_meanwhile_has_another_digest(path, control, monkeypatch):
    class Losing(fresh.Fresh):
        def readinto(self, body):
            os.truncate(path, PIECE)
            return super().readinto(body)

    monkeypatch.setattr(fresh, "Fresh", Losing)
    write(path, LARGE)
    with open_fresh(path) as file:
        assert file.sha256() == hashlib.sha256(path.read_bytes()).hexdigest()


def test_what_else_goes_wrong_is_told(path, control, monkeypatch):
    class Broken(fresh.Fresh):
        def readinto(self, body):
            raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(fresh, "Fresh", Broken)
    write(path, LARGE)
    with open_fresh(path) as file, pytest.raises(OSError, match="Input/output error"):
        file.sha256()


def test_a_link_is_not_followed(path, tmp_path):
    (tmp_path / "link").symlink_to(path)
    write(path, 1)
    with pytest.raises(OSError, match="symbolic links"):
        open_fresh(tmp_path / "link")
