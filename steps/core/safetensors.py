"""What can be told of a safetensors file from its header and its size, and of an index from its shards.

A file is 8 bytes (the header's length, little-endian), the header (JSON: tensor name to dtype, shape and offsets), and
the tensors' bytes, which follow each other without holes to the end of the file. Rules and dtypes are those of the
safetensors library, which checks all of this too, except a key that occurs twice.
"""

import json
import math
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

LENGTH_BYTES = 8
START_BYTES = 512
"""Enough to tell what a file is."""
HEADER_LIMIT = 16 * 2**20
INDEX_LIMIT = 32 * 2**20
"""Bytes. Real headers have less than 1 MiB and real indexes up to 15; the library itself would read 100 MB."""
VALUES_LIMIT = 1_000_000
"""In a header or an index: so many take some 200 MiB once they are parsed. A real tensor has ten in a header."""
BITS = {
    **dict.fromkeys(("F4",), 4),
    **dict.fromkeys(("F6_E2M3", "F6_E3M2"), 6),
    **dict.fromkeys(("BOOL", "U8", "I8", "F8_E5M2", "F8_E4M3", "F8_E8M0", "F8_E4M3FNUZ", "F8_E5M2FNUZ"), 8),
    **dict.fromkeys(("I16", "U16", "F16", "BF16"), 16),
    **dict.fromkeys(("I32", "U32", "F32"), 32),
    **dict.fromkeys(("I64", "U64", "F64", "C64"), 64),
}
"""Of one element."""


class Malformed(ValueError):
    """The file cannot be read any further; the text says why."""


@dataclass(frozen=True, slots=True)
class Header:
    """``problems`` are in words, one each."""

    tensors: frozenset[str]
    problems: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Span:
    name: str
    start: int
    end: int


def header_length(start: bytes, size: int) -> int:
    """From the first ``START_BYTES`` (or all) of a file of ``size`` bytes. Raises Malformed."""
    if start.startswith(b"version https://git-lfs"):
        raise Malformed("it is a git-lfs pointer, not the file that it points to")
    if start.lstrip().lower().startswith((b"<!doctype", b"<html")):
        raise Malformed("it is a web page")
    if size < LENGTH_BYTES:
        raise Malformed(f"it has {size} bytes, too few for any header")
    length = int.from_bytes(start[:LENGTH_BYTES], "little")
    if length > HEADER_LIMIT:
        raise Malformed(f"it says that its header has {length} bytes, more than {HEADER_LIMIT}")
    if LENGTH_BYTES + length > size:
        raise Malformed(f"its header should have {length} bytes, and the whole file has {size}: it is cut off")
    return length


def read_header(text: bytes, size: int) -> Header:
    """``text`` without the length before it, ``size`` of the whole file. Raises Malformed when it is no JSON object."""
    problems: list[str] = []
    value = _parse(text, "its header", problems)
    metadata = value.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(v, str) for v in metadata.values()):
        problems.append("__metadata__ is not a map of strings")
    spans: list[_Span] = []
    for name, tensor in value.items():
        found = _span(name, tensor)
        if isinstance(found, _Span):
            spans.append(found)
        else:
            problems.append(f"tensor {name}: {found}")
    if not problems:  # else the gaps are what the problems left
        problems.extend(_gaps(spans, size - LENGTH_BYTES - len(text)))
    return Header(tensors=frozenset(value), problems=tuple(problems))


def index_problems(body: bytes, shards: Mapping[str, frozenset[str] | None]) -> tuple[str, ...]:
    """``shards`` maps each safetensors file beside the index to the tensors in it, None where they cannot be told."""
    problems: list[str] = []
    try:
        if len(body) > INDEX_LIMIT:
            raise Malformed(f"the index has more than {INDEX_LIMIT} bytes")  # noqa: TRY301  # as _parse does
        weight_map = _parse(body, "the index", problems).get("weight_map")
    except Malformed as err:
        return (str(err),)
    if not isinstance(weight_map, dict) or not all(isinstance(v, str) for v in weight_map.values()):
        return (*problems, "it has no weight_map of tensor names to file names")
    named = sorted(set(weight_map.values()))
    problems.extend(f"it names {shard}, which is not there" for shard in named if shard not in shards)
    problems.extend(
        f"it says that {tensor} is in {shard}, where it is not"
        for tensor, shard in sorted(weight_map.items())
        if (tensors := shards.get(shard)) is not None and tensor not in tensors
    )
    problems.extend(_twice({shard: shards.get(shard) or frozenset() for shard in named}))
    return tuple(problems)


def _parse(text: bytes, what: str, problems: list[str]) -> dict[str, Any]:
    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        made = dict(pairs)
        if len(made) != len(pairs):
            times = Counter(key for key, _ in pairs)
            problems.extend(f"{what} has the key {key} twice" for key in sorted(k for k in times if times[k] > 1))
        return made

    if sum(map(text.count, (b",", b"[", b"{"))) > VALUES_LIMIT:
        raise Malformed(f"{what} has more than {VALUES_LIMIT} values")
    try:
        value = json.loads(text, object_pairs_hook=unique)
    except (ValueError, RecursionError) as err:
        raise Malformed(f"{what} is not JSON") from err
    if not isinstance(value, dict):
        raise Malformed(f"{what} is not a JSON object")
    return value


def _span(name: str, tensor: Any) -> _Span | str:
    """Where its bytes lie in the body, or what is wrong with it."""
    if not isinstance(tensor, dict) or not {"dtype", "shape", "data_offsets"} <= tensor.keys():
        return "dtype, shape and data_offsets are not all there"
    dtype, shape, offsets = tensor["dtype"], tensor["shape"], tensor["data_offsets"]
    if not isinstance(dtype, str) or dtype not in BITS:
        return f"unknown dtype {dtype!r:.40}"
    if not _are_sizes(shape):
        return f"shape {shape!r:.80} is not a list of sizes"
    if not _are_sizes(offsets) or len(offsets) != 2 or offsets[0] > offsets[1]:
        return f"data_offsets {offsets!r:.80} are not a start and an end"
    bits, length = BITS[dtype] * math.prod(shape), offsets[1] - offsets[0]
    if bits != 8 * length:
        return f"{dtype} of shape {shape!r:.80} takes {bits / 8:g} bytes, it has {length}"
    return _Span(name, *offsets)


def _are_sizes(value: Any) -> bool:
    return isinstance(value, list) and all(type(n) is int and n >= 0 for n in value)


def _gaps(spans: list[_Span], body: int) -> Iterator[str]:
    """Where the tensors do not follow each other, from the first byte of the body to its last."""
    position = 0
    for span in sorted(spans, key=lambda s: (s.start, s.end)):
        if span.start < position:
            yield f"tensor {span.name} overlaps the one before it"
        elif span.start > position:
            yield f"there is a hole of {span.start - position} bytes before tensor {span.name}"
        position = max(position, span.end)
    if position != body:
        how = "cut off" if position > body else "too long"
        yield f"its tensors end at byte {position} of the body, which has {body}: it is {how}"


def _twice(shards: Mapping[str, frozenset[str]]) -> Iterator[str]:
    first: dict[str, str] = {}
    for shard, tensors in sorted(shards.items()):
        for tensor in sorted(tensors):
            if tensor in first:
                yield f"tensor {tensor} is both in {first[tensor]} and in {shard}"
            first.setdefault(tensor, shard)
