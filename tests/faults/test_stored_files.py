"""Rows 38, 56 and 57: documents and weights that were changed in any way at all."""

import contextlib
import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steps.checksum import checksum
from steps.clients.volume import Directory
from steps.contracts import ChecksumInputs
from steps.core import manifest as manifests
from steps.core import safetensors
from steps.core.manifest import File
from steps.core.names import path_problem
from steps.core.safetensors import Malformed
from steps.errors import Corrupt
from tests.faults import attempt
from tests.faults.attempt import MODEL
from tests.stubs.weights import safetensors as file_of

SHARD = "model.safetensors"
PATHS = st.text(min_size=1, max_size=30).filter(lambda p: not path_problem(p))
FILES = st.builds(
    File,
    path=PATHS,
    size=st.integers(0, 2**63),
    sha256=st.text(alphabet="0123456789abcdef", min_size=64, max_size=64),
)
MANIFESTS = st.lists(FILES, max_size=5, unique_by=lambda f: f.path).map(
    lambda files: manifests.build("org/stub", "a" * 40, tuple(files))
)


@given(MANIFESTS, st.data())
def test_a_manifest_is_read_as_it_was_written_and_any_other_bytes_are_corrupt(manifest, data):
    body = manifest.dump()
    assert manifests.parse(body, "here") == manifest

    at = data.draw(st.integers(0, len(body) - 1))
    changed = data.draw(
        st.one_of(
            st.integers(0, 255).map(lambda b: body[:at] + bytes([b]) + body[at + 1 :]),
            st.just(body[:at]),
            st.binary(min_size=1, max_size=9).map(lambda more: body[:at] + more + body[at:]),
        )
    )
    if changed != body:
        with contextlib.suppress(Corrupt):
            other = manifests.parse(changed, "here")
            assert (other.dump(), other.sha256 == manifest.sha256) == (changed, False)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=12,
)
TENSOR = st.fixed_dictionaries(
    {},
    optional={
        "dtype": st.sampled_from([*safetensors.BITS, "U9"]) | JSON,
        "shape": st.lists(st.integers(-1, 2**40), max_size=3) | JSON,
        "data_offsets": st.lists(st.integers(-1, 64), min_size=2, max_size=2) | JSON,
    },
)
HEADERS = st.dictionaries(st.text(max_size=8), TENSOR | JSON, max_size=4).map(lambda h: json.dumps(h).encode()) | (
    st.binary(max_size=60)
)


@given(HEADERS, st.integers(0, 2**40))
def test_whatever_a_header_says_it_is_read_or_its_problems_are_told(text: bytes, size: int):
    start = struct.pack("<Q", len(text)) + text
    try:
        length = safetensors.header_length(start[: safetensors.START_BYTES], max(size, len(start)))
        assert length == len(text)
        header = safetensors.read_header(text, max(size, len(start)))
    except Malformed:
        return
    if not header.problems:
        check_that_offsets_cover_the_file(json.loads(text), max(size, len(start)) - len(start))


def check_that_offsets_cover_the_file(header: dict[str, Any], body: int) -> None:
    spans = sorted(tuple(t["data_offsets"]) for name, t in header.items() if name != "__metadata__")
    ends = [0, *(end for _, end in spans)]
    assert [start for start, _ in spans] == ends[:-1]
    assert ends[-1] == body


@pytest.fixture(scope="module")
def published(tmp_path_factory) -> Path:
    """A volume on which MODEL is published. What a test changes it puts back."""
    volume: Path = tmp_path_factory.mktemp("published") / "volume"
    volume.mkdir()
    attempt.run(attempt.store(), volume)
    return volume


CHANGES = st.one_of(
    st.tuples(st.just("flip"), st.integers(0, len(MODEL.content[SHARD]) * 8 - 1)),
    st.tuples(st.just("cut"), st.integers(0, len(MODEL.content[SHARD]) - 1)),
    st.tuples(st.just("extend"), st.integers(1, 100)),
    st.tuples(st.just("zero"), st.integers(1, len(MODEL.content[SHARD]))),
    st.tuples(st.just("delete"), st.just(0)),
    st.tuples(st.just("other tensors"), st.integers(0, 3)),
)


@given(CHANGES)
def test_no_change_of_a_published_file_passes_checksum(published: Path, change: tuple[str, int]):
    path = published / "org--stub" / MODEL.commit / SHARD
    with changed(path, *change):
        with pytest.raises(Corrupt, match="the volume is not as it should be") as told:
            checksum(inputs(), Directory(published))
        assert SHARD in str(told.value)
    assert checksum(inputs(), Directory(published)).checked_files == len(MODEL.content)


@contextlib.contextmanager
def changed(path: Path, how: str, much: int) -> Iterator[None]:
    body = path.read_bytes()
    other = {
        "flip": lambda: flip(body, much),
        "cut": lambda: body[:much],
        "extend": lambda: body + bytes(much),
        "zero": lambda: bytes(much) + body[much:],
        "delete": lambda: b"",
        "other tensors": lambda: file_of({"w": bytes([much + 1]) * 64}),
    }[how]()
    assert other != body
    try:
        path.write_bytes(other)
        if how == "delete":
            path.unlink()
        yield
    finally:
        path.write_bytes(body)


def flip(body: bytes, bit: int) -> bytes:
    return body[: bit // 8] + bytes([body[bit // 8] ^ 1 << bit % 8]) + body[bit // 8 + 1 :]


def inputs() -> ChecksumInputs:
    return ChecksumInputs(model=MODEL.model, commit=MODEL.commit, manifest_sha256=MODEL.manifest.sha256)
