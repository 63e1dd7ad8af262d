"""What mirror's and populate's own tests do not show: many files in flight, and one of them going wrong."""

import hashlib
import threading
import time
from contextlib import contextmanager

import pytest

from steps import copying, in_one_piece, in_parts, one_file
from steps.core import parts
from steps.core.manifest import File
from steps.errors import Conflict, Corrupt, Transient
from steps.progress import Progress

MANY = {f"{n:03}.json": b"%d" % n * n for n in range(200)}
LARGE = bytes(range(251)) * (5 * parts.PREFERRED // 251)
"""In five parts."""


class Target:
    """A source and a target in one; ``fail`` is called before each part, ``meddle`` may change what is fetched."""

    def __init__(self, content, fail=lambda path, part: None, meddle=lambda path, body: body):
        self.content = content
        self.fail = fail
        self.meddle = meddle
        self.open: set[str] = set()
        self.most_open = 0
        self.kept: dict[str, bytes] = {}
        self.lock = threading.Lock()

    def copy(self):
        files = [File(path, len(body), hashlib.sha256(body).hexdigest()) for path, body in self.content.items()]
        copying.all_files(files, self.start, lambda file: f"see to {file.path}", Progress(None, 0))

    @contextmanager
    def start(self, file):
        with self.lock:
            self.open.add(file.path)
            self.most_open = max(self.most_open, len(self.open))
        try:
            yield Copy(self, file)
        finally:
            with self.lock:
                self.open.remove(file.path)


class Copy(one_file.Copy):
    def __init__(self, target, file):
        self.target = target
        self.file = file
        self.came = bytearray(file.size)

    def part(self, part, body):
        path = self.file.path
        self.target.fail(path, part.number)
        body[:] = self.target.meddle(path, self.target.content[path][part.start : part.end])
        self.came[part.start : part.end] = body

    def keep(self):
        with self.target.lock:
            self.target.kept[self.file.path] = bytes(self.came)

    def overtaken(self, err):
        if "by the same" not in str(err):
            raise Transient("another run got in the way") from err


def failing(path, number, err):
    def fail(at, part):
        if (at, part) == (path, number):
            raise err

    return fail


def test_more_files_than_may_be_open_all_arrive():
    target = Target({**MANY, "large": LARGE})
    target.copy()
    assert target.kept == target.content
    assert target.open == set()


@pytest.mark.parametrize("size", [1000, in_one_piece.LARGEST + 1])
def test_only_so_many_are_open_at_once(monkeypatch, size):
    monkeypatch.setattr(in_parts, "OPEN", 3)
    monkeypatch.setattr(in_one_piece, "WORKERS", 3)
    content = {str(n): bytes(size) for n in range(12)}
    target = Target(content, lambda _path, _part: time.sleep(0.01))  # or one may be done before the next is begun
    target.copy()
    assert target.kept == target.content
    assert 1 < target.most_open <= 3


def test_small_files_from_far_away_are_under_way_in_such_numbers_that_the_way_hardly_counts():
    """Each of 32 waits until all are asked for."""
    all_asked = threading.Barrier(32, timeout=20)
    target = Target({str(n): b"x" for n in range(64)}, lambda _path, _part: all_asked.wait())
    target.copy()
    assert target.kept == target.content


@pytest.mark.parametrize("number", [1, 3, 5])
def test_a_failure_in_any_part_is_raised_and_nothing_goes_on(number):
    target = Target({"large": LARGE, **MANY}, failing("large", number, ZeroDivisionError("as told")))
    before = threading.active_count()
    with pytest.raises(ZeroDivisionError, match="as told"):
        target.copy()
    assert "large" not in target.kept
    assert target.open == set()
    assert threading.active_count() == before
    assert target.kept == MANY


def test_after_a_failure_what_is_whole_already_is_kept():
    def fail(path, _part):
        if path == "b":
            time.sleep(0.05)
            raise Transient("away")

    target = Target({"a": b"1", "b": b"2"}, fail)
    with pytest.raises(Transient):
        target.copy()
    assert target.kept == {"a": b"1"}


def test_only_the_file_that_came_wrong_is_fetched_again():
    wrong = ["large"]
    begun: list[str] = []

    def meddle(path, body):
        begun.append(path)
        if path in wrong:
            wrong.remove(path)
            return b"!" + body[1:]
        return body

    target = Target({"large": LARGE, **MANY}, meddle=meddle)
    target.copy()
    assert target.kept == target.content
    assert begun.count("large") == 10
    assert len(begun) == 10 + len(MANY)


def test_bytes_that_stay_wrong_say_where_they_come_from_and_leave_nothing_open():
    target = Target(MANY, meddle=lambda path, body: b"!" * len(body) if path == "190.json" else body)
    with pytest.raises(Corrupt, match=rf"{copying.FETCHES} times over: see to 190\.json"):
        target.copy()
    assert "190.json" not in target.kept
    assert target.open == set()


def test_a_file_that_another_run_brought_meanwhile_is_no_failure():
    target = Target({"large": LARGE, **MANY}, failing("large", 2, Conflict("by the same")))
    target.copy()
    assert target.kept == MANY
    assert target.open == set()


def test_nor_is_it_for_a_small_one():
    target = Target(MANY, failing("007.json", 1, Conflict("by the same")))
    target.copy()
    assert target.kept == {path: body for path, body in MANY.items() if path != "007.json"}
    assert target.open == set()


@pytest.mark.parametrize("size", [in_one_piece.LARGEST - 1, in_one_piece.LARGEST, in_one_piece.LARGEST + 1])
def test_a_file_of_about_the_size_that_makes_the_difference_arrives(size):
    target = Target({"a": bytes(range(250)) * (size // 250) + bytes(size % 250), "b": b"", "c": b"1"})
    target.copy()
    assert target.kept == target.content
