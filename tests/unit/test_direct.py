import errno
import fcntl
import mmap
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from steps.clients import direct
from steps.clients.direct import BLOCK, LEAST, Writer
from steps.core.parts import MiB

SIZE = 3 * MiB + 4321


@pytest.fixture
def body():
    memory = mmap.mmap(-1, SIZE)
    memory.write(os.urandom(SIZE))
    return memoryview(memory)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "file"


@pytest.fixture
def fd(path):
    opened = os.open(path, os.O_WRONLY | os.O_CREAT)
    yield opened
    os.close(opened)


@pytest.fixture
def calls(monkeypatch, fd):
    """Of each write: where to, how much, and whether past the cache; the file system may be one that cannot."""
    seen, asked, real, real_fcntl = [], [0], os.pwrite, fcntl.fcntl

    def control(fd, command, flags=0):
        if command == fcntl.F_SETFL:
            asked[0] = flags & os.O_DIRECT
            return 0
        return real_fcntl(fd, command) | asked[0]

    def pwrite(fd, piece, offset):
        seen.append((offset, len(piece), bool(asked[0])))
        return real(fd, piece, offset)

    monkeypatch.setattr(fcntl, "fcntl", control)
    monkeypatch.setattr(os, "pwrite", pwrite)
    return seen


def parts(body, size=MiB):
    return [(start, body[start : start + size]) for start in range(0, len(body), size)]


def test_a_large_file_goes_past_the_cache_but_for_its_end(fd, path, body, calls):
    writer = Writer(fd, SIZE)
    for start, part in reversed(parts(body)):
        writer.write(start, part)
    writer.finish()
    blocks = SIZE - SIZE % BLOCK
    assert sum(size for _, size, is_direct in calls if is_direct) == blocks
    assert [call for call in calls if not call[2]] == [(blocks, SIZE % BLOCK, False)]
    assert path.read_bytes() == body


def test_a_small_file_goes_through_the_cache(fd, path, body, calls):
    writer = Writer(fd, LEAST - 1)
    writer.write(0, body[: LEAST - 1])
    writer.finish()
    assert calls
    assert not any(is_direct for _, _, is_direct in calls)
    assert path.read_bytes() == body[: LEAST - 1]


def test_really_past_the_cache_from_several_threads_the_bytes_are_the_same(fd, path, body):
    knows_how = direct.begin(fd)  # the disk that the test runs on
    writer = Writer(fd, SIZE)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda part: writer.write(*part), parts(body)))
    assert bool(fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_DIRECT) == knows_how
    writer.finish()
    assert not fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_DIRECT
    os.fsync(fd)
    assert path.read_bytes() == body


@pytest.mark.parametrize("good", [0, 1, 2])
def test_where_such_a_write_is_refused_the_cache_takes_it_from_there_on(fd, body, calls, monkeypatch, good):
    recorded = os.pwrite

    def choosy(fd, piece, offset):
        if fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_DIRECT and len(calls) >= good:
            raise OSError(errno.EINVAL, "Invalid argument")
        return recorded(fd, piece, offset)

    monkeypatch.setattr(os, "pwrite", choosy)
    writer = Writer(fd, SIZE)
    for part in parts(body):
        writer.write(*part)
    writer.finish()
    assert sum(is_direct for _, _, is_direct in calls) == good
    assert Path(f"/proc/self/fd/{fd}").read_bytes() == body


def test_a_short_write_is_gone_on_with(fd, path, body, calls, monkeypatch):
    recorded = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda fd, piece, offset: recorded(fd, piece[: 16 * BLOCK], offset))
    writer = Writer(fd, SIZE)
    for part in parts(body):
        writer.write(*part)
    writer.finish()
    assert len(calls) > SIZE // (16 * BLOCK)
    assert path.read_bytes() == body


def test_a_file_system_that_has_only_the_cache_is_written_through_it(fd, path, body, monkeypatch):
    def refuses(fd, command, flags=0):
        if command == fcntl.F_SETFL:
            raise OSError(errno.EINVAL, "Invalid argument")
        return 0

    monkeypatch.setattr(fcntl, "fcntl", refuses)
    writer = Writer(fd, SIZE)
    for part in parts(body):
        writer.write(*part)
    writer.finish()
    assert path.read_bytes() == body


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO])
def test_what_else_goes_wrong_is_told(fd, body, calls, monkeypatch, code):
    def broken(_fd, _piece, _offset):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "pwrite", broken)
    with pytest.raises(OSError, match=os.strerror(code)):
        Writer(fd, SIZE).write(0, body[:MiB])
