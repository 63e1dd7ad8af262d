import json
import struct
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steps.core.safetensors import (
    BITS,
    HEADER_LIMIT,
    INDEX_LIMIT,
    VALUES_LIMIT,
    Malformed,
    header_length,
    index_problems,
    read_header,
)
from tests.stubs.weights import safetensors

GOOD = safetensors({"a": bytes(8), "b": bytes(16), "empty": b""})


def problems(file: bytes) -> tuple[str, ...]:
    """As checksum finds them."""
    try:
        length = header_length(file[:512], len(file))
        return read_header(file[8 : 8 + length], len(file)).problems
    except Malformed as err:
        return (str(err),)


def with_header(header: object, body: bytes = b"") -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + body


def tensor(start: int, end: int, **changes: object) -> dict[str, object]:
    return {"dtype": "U8", "shape": [end - start], "data_offsets": [start, end], **changes}


def test_a_good_file_has_no_problems_and_its_tensors_are_named():
    assert problems(GOOD) == ()
    assert read_header(GOOD[8:-24], len(GOOD)).tensors == {"a", "b", "empty"}


def test_a_file_without_tensors_is_good():
    assert problems(with_header({"__metadata__": {"format": "pt"}})) == ()


@pytest.mark.parametrize(("dtype", "bits"), BITS.items())
def test_every_dtype_has_its_width(dtype, bits):
    assert problems(with_header({"a": tensor(0, bits, dtype=dtype, shape=[2, 4])}, bytes(bits))) == ()


def test_a_git_lfs_pointer_is_called_by_its_name():
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 12\n"
    assert problems(pointer) == ("it is a git-lfs pointer, not the file that it points to",)


@pytest.mark.parametrize("page", [b"<!DOCTYPE html><html>", b"\n  <html lang=en>"])
def test_a_web_page_is_called_by_its_name(page):
    assert problems(page + bytes(100)) == ("it is a web page",)


@pytest.mark.parametrize("file", [b"", b"1234567"])
def test_a_file_that_is_too_short_for_a_header_is_told(file):
    assert "too few" in problems(file)[0]


def test_a_header_beyond_the_limit_is_never_read():
    assert f"more than {HEADER_LIMIT}" in problems(struct.pack("<Q", 2**40) + bytes(100))[0]


@given(st.integers(min_value=0, max_value=len(GOOD) - 1))
def test_a_truncated_file_always_has_a_problem(length):
    assert problems(GOOD[:length])


@given(st.integers(min_value=1, max_value=100))
def test_an_extended_file_always_has_a_problem(more):
    assert "too long" in problems(GOOD + bytes(more))[0]


@pytest.mark.parametrize("text", [b"", b"{", b"\xff\xfe", b"[" * 100_000])
def test_a_header_that_is_not_json_is_told(text):
    assert problems(with_header(text)) == ("its header is not JSON",)


def test_a_header_that_is_no_object_is_told():
    assert problems(with_header([])) == ("its header is not a JSON object",)


@pytest.mark.parametrize("metadata", [[], {"a": 1}])
def test_metadata_must_be_strings(metadata):
    assert problems(with_header({"__metadata__": metadata})) == ("__metadata__ is not a map of strings",)


@pytest.mark.parametrize(
    ("bad", "word"),
    [
        ("x", "not all there"),
        ({"dtype": "U8"}, "not all there"),
        (tensor(0, 4, dtype="F7"), "unknown dtype 'F7'"),
        (tensor(0, 4, dtype=["U8"]), "unknown dtype"),
        (tensor(0, 4, shape=[-4]), "not a list of sizes"),
        (tensor(0, 4, shape=4), "not a list of sizes"),
        (tensor(0, 4, shape=[True]), "not a list of sizes"),
        (tensor(0, 4, shape=[5]), "takes 5 bytes, it has 4"),
        (tensor(0, 4, dtype="F4", shape=[7]), "takes 3.5 bytes, it has 4"),
        (tensor(0, 4, data_offsets=[4, 0]), "not a start and an end"),
        (tensor(0, 4, data_offsets=[0, 4, 8]), "not a start and an end"),
        (tensor(0, 4, data_offsets=[0.0, 4]), "not a start and an end"),
    ],
)
def test_a_bad_tensor_is_told_by_its_name(bad, word):
    (problem,) = problems(with_header({"w": bad}, bytes(4)))
    assert problem.startswith("tensor w: ")
    assert word in problem


def test_every_bad_tensor_is_told():
    assert len(problems(with_header({"a": 1, "b": 2, "c": tensor(0, 4)}, bytes(4)))) == 2


def test_a_hole_between_tensors_is_told():
    file = with_header({"a": tensor(0, 4), "b": tensor(6, 8)}, bytes(8))
    assert problems(file) == ("there is a hole of 2 bytes before tensor b",)


def test_tensors_that_overlap_are_told():
    file = with_header({"a": tensor(0, 4), "b": tensor(2, 8)}, bytes(8))
    assert problems(file) == ("tensor b overlaps the one before it",)


def test_a_key_that_occurs_twice_is_told():
    text = b'{"a":' + json.dumps(tensor(0, 4)).encode() + b',"a":' + json.dumps(tensor(0, 4)).encode() + b"}"
    assert problems(with_header(text, bytes(4))) == ("its header has the key a twice",)


def test_one_key_twice_among_very_many_is_told_in_a_moment():
    text = b"{" + b",".join(b'"%d":0' % n for n in range(100_000)) + b',"7":0}'
    started = time.monotonic()
    assert "its header has the key 7 twice" in problems(with_header(text))
    assert time.monotonic() - started < 10


def test_a_header_of_more_values_than_any_model_has_is_not_parsed():
    text = b'{"a":[' + b"[]," * VALUES_LIMIT + b"[]]}"
    assert problems(with_header(text)) == (f"its header has more than {VALUES_LIMIT} values",)


def test_an_index_beyond_the_limit_is_not_parsed():
    assert index_problems(index() + b" " * INDEX_LIMIT, SHARDS) == (f"the index has more than {INDEX_LIMIT} bytes",)


SHARDS: dict[str, frozenset[str] | None] = {"1.safetensors": frozenset({"a", "b"}), "2.safetensors": frozenset({"c"})}


def index(**weight_map: str) -> bytes:
    return json.dumps({"metadata": {}, "weight_map": weight_map}).encode()


def test_an_index_that_fits_its_shards_has_no_problems():
    assert index_problems(index(a="1.safetensors", b="1.safetensors", c="2.safetensors"), SHARDS) == ()


def test_every_missing_shard_is_told_once():
    found = index_problems(index(a="1.safetensors", x="3.safetensors", y="3.safetensors", z="4.safetensors"), SHARDS)
    assert found == ("it names 3.safetensors, which is not there", "it names 4.safetensors, which is not there")


def test_a_tensor_that_is_in_another_shard_is_told():
    found = index_problems(index(a="1.safetensors", c="1.safetensors"), SHARDS)
    assert found == ("it says that c is in 1.safetensors, where it is not",)


def test_a_tensor_in_two_shards_is_told():
    shards = {**SHARDS, "2.safetensors": frozenset({"a", "c"})}
    found = index_problems(index(a="1.safetensors", c="2.safetensors"), shards)
    assert found == ("tensor a is both in 1.safetensors and in 2.safetensors",)


def test_a_shard_whose_tensors_cannot_be_told_is_there():
    assert index_problems(index(a="1.safetensors"), {"1.safetensors": None}) == ()


@pytest.mark.parametrize("body", [b"{}", b'{"weight_map": []}', b'{"weight_map": {"a": 1}}'])
def test_an_index_without_a_weight_map_is_told(body):
    assert index_problems(body, SHARDS) == ("it has no weight_map of tensor names to file names",)


@pytest.mark.parametrize("body", [b"<html>", b"[]"])
def test_an_index_that_is_no_json_object_is_told(body):
    assert index_problems(body, SHARDS)[0].startswith("the index is not ")
