from dataclasses import replace

from steps.core.delta import TRIED, Twin, twins
from tests.stubs.released import Released

OLD = Released({"a": b"1", "b": b"22", "again": b"1", "empty": b""}, commit="1" * 40).manifest
NEW = Released({"a": b"1", "c": b"22", "b": b"other", "empty": b""}, commit="2" * 40).manifest


def test_the_same_bytes_are_found_under_any_name_the_own_one_first():
    assert twins(NEW.files, NEW, [OLD]) == {
        "a": (Twin(OLD.commit, "a"), Twin(OLD.commit, "again")),
        "c": (Twin(OLD.commit, "b"),),
        "empty": (Twin(OLD.commit, "empty"),),
    }


def test_only_what_is_asked_for_is_looked_for():
    assert twins(NEW.files[:1], NEW, [OLD]).keys() == {NEW.files[0].path}


def test_a_commit_is_not_its_own_source():
    assert twins(NEW.files, NEW, [NEW]) == {}


def test_the_same_digest_with_another_size_is_a_lie_and_no_twin():
    lying = replace(OLD, files=tuple(replace(f, size=f.size + 1) for f in OLD.files))
    assert twins(NEW.files, NEW, [lying]) == {}


def test_of_many_places_a_few_are_tried():
    others = [replace(OLD, commit=f"{n:040x}") for n in range(9, 0, -1)]
    found = twins(NEW.files, NEW, others)["c"]
    assert found == tuple(Twin(f"{n:040x}", "b") for n in range(1, TRIED + 1))
