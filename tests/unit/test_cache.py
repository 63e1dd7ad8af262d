import threading
from pathlib import Path

import pytest

from workflows.local.demo import cache


def writing(text):
    return lambda aside: (aside / "file").write_text(text)


def test_it_lies_below_the_chosen_directory_or_the_users_own():
    assert cache.root({"VLLM_PROMOTE_CACHE": "/big", "XDG_CACHE_HOME": "/xdg"}) == Path("/big/vllm-promote")
    assert cache.root({"XDG_CACHE_HOME": "/xdg"}) == Path("/xdg/vllm-promote")
    assert cache.root({}) == Path.home() / ".cache" / "vllm-promote"


def test_a_key_changes_with_each_part_and_with_where_one_ends():
    assert len({cache.key(b"ab", b"c"), cache.key(b"a", b"bc"), cache.key(b"abc"), cache.key(b"c", b"ab")}) == 4
    assert len(cache.key(b"")) == 12


def test_it_is_made_once(tmp_path):
    place = tmp_path / "deep" / "thing"
    assert cache.made(place, writing("first")) == place
    assert (cache.made(place, writing("second")) / "file").read_text() == "first"


def test_a_failure_leaves_nothing_that_could_be_taken_for_done(tmp_path):
    def half(aside):
        writing("half")(aside)
        raise OSError("the disk is full")

    with pytest.raises(OSError, match="full"):
        cache.made(tmp_path / "thing", half)
    assert not (tmp_path / "thing").exists()


def test_what_a_killed_process_left_is_thrown_away(tmp_path):
    (tmp_path / "thing.partial").mkdir()
    (tmp_path / "thing.partial" / "half").write_text("")
    cache.made(tmp_path / "thing", writing("whole"))
    assert [path.name for path in (tmp_path / "thing").iterdir()] == ["file"]
    assert not (tmp_path / "thing.partial").exists()


def test_a_second_one_waits_for_the_first(tmp_path):
    begun, go_on, places = threading.Event(), threading.Event(), []

    def slow(aside):
        begun.set()
        assert go_on.wait(10)
        writing("first")(aside)

    first = threading.Thread(target=lambda: places.append(cache.made(tmp_path / "thing", slow)))
    second = threading.Thread(target=lambda: places.append(cache.made(tmp_path / "thing", writing("second"))))
    first.start()
    assert begun.wait(10)
    second.start()
    go_on.set()
    first.join(10)
    second.join(10)
    assert [(place / "file").read_text() for place in places] == ["first", "first"]
