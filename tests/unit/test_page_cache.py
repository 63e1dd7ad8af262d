"""Files read into memory ahead of who needs them: which, how much, and what keeps some from it."""

import ctypes
import mmap
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from steps.clients import page_cache
from steps.core.read_ahead import Share, shares
from tests.stubs.machine import REPOSITORY

PAGE = mmap.PAGESIZE
MEMINFO = "MemTotal:  8 kB\nMemFree: 1 kB\nMemAvailable:       4000 kB\nBuffers: 1 kB\n"
AVAILABLE = 4000 * 1024


def test_what_is_small_comes_first_and_then_the_shards_by_name():
    sizes = {"model-2.safetensors": 4, "tokenizer.json": 2, "model-1.safetensors": 4, "config.json": 1}
    assert [s.path for s in shares(sizes, 100)] == [
        *("config.json", "tokenizer.json", "model-1.safetensors", "model-2.safetensors")
    ]


@pytest.mark.parametrize(("room", "taken"), [(0, []), (4, [4]), (6, [4, 2]), (8, [4, 4]), (1000, [4, 4, 4])])
def test_no_more_than_there_is_room_for_is_taken_from_the_front(room, taken):
    sizes = {f"model-{n}.safetensors": 4 for n in range(3)} | {"empty": 0}
    assert [s.size for s in shares(sizes, room)] == taken


def test_a_share_is_the_first_bytes_of_a_file():
    assert shares({"a.safetensors": 10}, 3) == (Share("a.safetensors", 3),)


def cached(path):
    """How many of its pages are in memory, as the kernel says."""
    with path.open("r+b") as f:
        mapped = mmap.mmap(f.fileno(), 0)
        address = ctypes.addressof(ctypes.c_char.from_buffer(mapped))
        vector = (ctypes.c_ubyte * (path.stat().st_size // PAGE))()
        libc = ctypes.CDLL(None, use_errno=True)
        assert libc.mincore(ctypes.c_void_p(address), ctypes.c_size_t(path.stat().st_size), vector) == 0
    return sum(byte & 1 for byte in vector)


@pytest.fixture
def disk():
    """Where the checkout lies, for the machine's own place may be a file system of memory."""
    cache = REPOSITORY / ".pytest_cache"
    cache.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache) as directory:
        yield Path(directory)


@pytest.fixture
def model(disk):
    """Nothing of it is in memory."""
    directory = disk / "model"
    (directory / "sub").mkdir(parents=True)
    for name in ("model-1.safetensors", "sub/model-2.safetensors"):
        path = directory / name
        path.write_bytes(os.urandom(64 * PAGE))
        with path.open("rb") as f:
            os.fsync(f.fileno())
            os.posix_fadvise(f.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        assert cached(path) == 0
    return directory


def test_all_of_a_model_is_in_memory_afterwards(model):
    read = page_cache.read_ahead(model, 10**9)
    assert (read.size, read.total, read.why) == (128 * PAGE, 128 * PAGE, "")
    assert [cached(model / name) for name in ("model-1.safetensors", "sub/model-2.safetensors")] == [64, 64]


def test_a_file_that_is_read_in_several_pieces_is_read_to_its_end(model):
    large, size = model / "model-3.safetensors", 2 * page_cache.PIECE + PAGE
    large.write_bytes(bytes(size))
    with large.open("rb") as f:
        os.fsync(f.fileno())
        os.posix_fadvise(f.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    assert page_cache.read_ahead(model, 10**9).size == 128 * PAGE + size
    assert cached(large) == size // PAGE


def test_what_has_no_room_is_left_and_told(model):
    read = page_cache.read_ahead(model, 64 * PAGE)
    assert str(read) == "256.0 KiB of 512.0 KiB are in memory: no more has room"
    assert cached(model / "model-1.safetensors") == 64
    assert cached(model / "sub/model-2.safetensors") == 0


def test_a_link_out_of_the_directory_is_not_followed(model, tmp_path):
    (tmp_path / "secret").write_bytes(b"x" * PAGE)
    (model / "link").symlink_to(tmp_path / "secret")
    assert page_cache.read_ahead(model, 10**9).total == 128 * PAGE


def test_a_file_that_cannot_be_read_is_told_and_raises_nothing(model, monkeypatch):
    def broken(file, buffers):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "readv", broken)
    read = page_cache.read_ahead(model, 10**9)
    assert read.size == 0
    assert read.why.endswith("cannot be read (Input/output error)")


def test_a_directory_that_is_not_there_holds_nothing(tmp_path):
    assert page_cache.read_ahead(tmp_path / "absent", 10**9) == page_cache.Read(0, 0)


def test_a_file_that_goes_while_the_directory_is_listed_is_told_and_raises_nothing(model, monkeypatch):
    monkeypatch.setattr(os, "walk", lambda above: [(str(above), [], ["gone.safetensors"])])
    assert page_cache.read_ahead(model, 10**9).why.endswith("cannot be read (No such file or directory)")


@pytest.mark.parametrize(
    ("limits", "room"),
    [
        ({}, AVAILABLE // 2),
        ({"memory.max": "max\n", "memory.current": "7\n"}, AVAILABLE // 2),
        ({"memory.max": "4000\n", "memory.current": "1000\n"}, 1500),
        ({"memory.max": "4000\n", "memory.current": "5000\n"}, 0),
        ({"memory/memory.limit_in_bytes": "4000", "memory/memory.usage_in_bytes": "0"}, 2000),
        ({"memory/memory.limit_in_bytes": str(2**63 - 4096), "memory/memory.usage_in_bytes": "0"}, AVAILABLE // 2),
    ],
    ids=["no cgroup", "no limit", "version 2", "over its limit", "version 1", "version 1 without a limit"],
)
def test_room_is_a_part_of_what_this_machine_and_its_container_have_left(tmp_path, limits, room):
    (tmp_path / "memory").mkdir()
    (tmp_path / "meminfo").write_text(MEMINFO)
    for name, value in limits.items():
        (tmp_path / name).write_text(value)
    assert page_cache.room(tmp_path / "meminfo", tmp_path) == room


def test_a_machine_that_does_not_tell_has_no_room(tmp_path):
    assert page_cache.room(tmp_path / "absent", tmp_path) == 0


def test_this_machine_has_some():
    assert page_cache.room() > 2**20


def warm(directory, said):
    """Its exit code."""
    environ = {"VLLM_PROMOTE_TERMINATION_LOG": str(said)}
    argv = [sys.executable, "-m", "steps.warm", str(directory)]
    return subprocess.run(argv, cwd=REPOSITORY, env=environ, check=False).returncode


def test_the_program_says_what_it_read_where_the_node_tells_of_it(model, tmp_path):
    assert warm(model, tmp_path / "said") == 0
    assert (tmp_path / "said").read_text() == "512.0 KiB of 512.0 KiB are in memory"
    assert cached(model / "model-1.safetensors") == 64


def test_the_program_ends_with_13_where_what_it_is_to_read_has_been_removed(tmp_path):
    assert warm(tmp_path / "org--tiny" / "absent", tmp_path / "said") == 13
    assert (tmp_path / "said").read_text().startswith(f"{tmp_path}/org--tiny/absent has been removed since it was")
