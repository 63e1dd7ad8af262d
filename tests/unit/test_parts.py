import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steps.core.parts import MAX_PARTS, MEMORY, PREFERRED, MiB, cut
from steps.errors import BadInput


@given(st.integers(min_value=0, max_value=600 * 1024**3))
def test_the_parts_keep_to_the_rules_of_s3_and_to_our_memory(size):
    made = cut(size)
    assert made.count <= MAX_PARTS
    assert made.part_size >= 5 * MiB
    assert made.part_size <= MEMORY


@given(st.integers(min_value=1, max_value=40 * PREFERRED))
def test_the_parts_follow_each_other_and_make_up_the_file(size):
    made = list(cut(size).parts())
    assert [p.number for p in made] == list(range(1, len(made) + 1))
    assert made[0].start == 0
    assert made[-1].end == size
    assert all(a.end == b.start for a, b in itertools.pairwise(made))
    assert all(p.size > 0 for p in made)


def test_an_empty_file_is_one_empty_part():
    assert [p.size for p in cut(0).parts()] == [0]


def test_a_file_that_just_fits_into_the_largest_parts_is_cut():
    assert cut(MAX_PARTS * MEMORY).count == MAX_PARTS


def test_a_file_that_no_cut_can_hold_is_refused():
    with pytest.raises(BadInput, match="smaller shards"):
        cut(MAX_PARTS * MEMORY + 1)
