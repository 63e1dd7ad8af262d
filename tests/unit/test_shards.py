import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steps.core import shards
from steps.core.manifest import File, Manifest, build
from steps.core.shards import GiB
from steps.errors import BadInput

SIZES = st.lists(st.integers(0, 500), min_size=1, max_size=40)


def model(*sizes: int) -> Manifest:
    return build("org/stub", "c" * 40, tuple(File(f"f{n:03}", size, f"{n:064x}") for n, size in enumerate(sizes)))


@pytest.mark.parametrize(
    ("sizes", "pods"),
    [
        ([], 1),
        ([0], 1),
        ([200 * GiB], 1),
        ([100 * GiB] * 2, 1),
        ([100 * GiB] * 2 + [1], 2),
        ([5 * GiB] * 100, 3),
        ([5 * GiB] * 1000, shards.MOST),
        ([900 * GiB], 1),
        ([900 * GiB, 1], 2),
    ],
)
def test_a_model_is_shared_out_by_its_size_and_never_to_more_pods_than_it_has_files(sizes, pods):
    names = shards.names(model(*sizes), 200 * GiB)
    assert names == tuple(f"{n}-of-{pods}" for n in range(1, pods + 1))


def test_the_names_are_a_list_for_argo():
    assert json.loads(shards.dump(("1-of-2", "2-of-2"))) == ["1-of-2", "2-of-2"]


@given(SIZES, st.integers(1, shards.MOST))
def test_every_file_is_in_one_share_and_no_share_is_much_larger_than_another(sizes, count):
    whole = model(*sizes)
    parts = [shards.share(whole, f"{n}-of-{count}") for n in range(1, count + 1)]
    assert sorted(f for part in parts for f in part.files) == list(whole.files)
    assert all(list(part.files) == sorted(part.files) for part in parts)
    assert {(part.model, part.commit) for part in parts} == {(whole.model, whole.commit)}
    totals = [part.total_bytes for part in parts]
    assert max(totals) - min(totals) <= max(sizes)
    assert parts == [shards.share(model(*sizes), f"{n}-of-{count}") for n in range(1, count + 1)]


def test_one_large_file_is_a_share_and_the_small_ones_are_the_other():
    whole = model(1, 1, 1, 1, 4)
    assert [shards.share(whole, f"{n}-of-2").total_bytes for n in (1, 2)] == [4, 4]


def test_who_is_alone_has_the_manifest_itself():
    whole = model(1, 2)
    assert shards.share(whole, shards.ALONE) is whole


@pytest.mark.parametrize("name", ["", "1", "0-of-3", "4-of-3", "1-of-0", "01-of-3", "1-of-3 ", "1-of-1000", "٣-of-٣"])
def test_what_is_no_share_is_refused(name):
    with pytest.raises(BadInput, match="2-of-3"):
        shards.share(model(1), name)
