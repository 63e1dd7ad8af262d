"""Which files of a model are taken: a fixed function of the Hub's tree. No setting changes it.

* kept         what a model server reads; safetensors are the only weights
* left behind  code, pickles, other formats and second copies: never copied, always named
* refused      the whole model, where a name is unsafe, no safetensors are there, or remote code would be needed
"""

import json
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from steps.core.names import path_problem
from steps.errors import Refused
from steps.ports.hub import HubFile, Tree

_WEIGHTS = ("bin", "pt", "pth", "ckpt", "pkl", "pickle", "npy", "npz", "h5", "msgpack", "onnx", "gguf")
_CODE = ("py", "sh", "so", "dll", "exe")
_LEFT_SUFFIXES = tuple(f".{s}" for s in (*_WEIGHTS, *_CODE))
_LEFT_FOLDERS = frozenset({"original", "onnx"})
_SECOND_COPY = re.compile(r"consolidated.*\.safetensors")

_KEY = re.compile(rb'"([^"\\]*+(?:\\.[^"\\]*+)*+)"(?:\s*+:\s*+(?![-0-9tfNI])|(?P<no_key>))', re.DOTALL)
"""Any string of a JSON text, so that none is begun in the middle of another; ``no_key`` where it is no key, or one of a
number, as Python counts true, false, NaN and Infinity among them."""
FILES_LIMIT = 10_000
SMALL_BYTES_LIMIT = 64 * 2**20
"""Of a file that is read whole, one at a time. The largest JSON seen is a tokenizer's of 32 MiB; without LFS the Hub
takes files up to 10 MB."""
SHOWN = 5
"""File names that a sentence repeats."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Selection:
    """``kept`` is in the tree's order, ``left_behind`` holds paths."""

    kept: tuple[HubFile, ...]
    left_behind: tuple[str, ...]

    @property
    def to_read(self) -> tuple[HubFile, ...]:
        """Files whose content decides: those without a sha256, and every JSON, which may ask for remote code."""
        return tuple(f for f in self.kept if f.sha256 is None or is_json(f.path))


def select(tree: Tree) -> Selection:
    """Raises Refused, naming the files."""
    _refuse_unsafe(tree)
    indexed = {_folder(f.path) for f in tree.files if f.path.endswith(".safetensors.index.json")}
    left = {f.path for f in tree.files if _is_left_behind(f.path, indexed)}
    kept = tuple(f for f in tree.files if f.path not in left)
    _refuse_unbounded(tree, kept)
    _refuse_twins(tree, kept)
    _refuse_without_weights(tree, kept)
    return Selection(kept=kept, left_behind=tuple(sorted(left)))


def is_json(path: str) -> bool:
    return path.lower().endswith(".json")


def wants_remote_code(body: bytes) -> bool:
    """Whether a JSON file has an ``auto_map``, at any depth: it makes the loader run Python from the repository.

    A number under that name is a token of a vocabulary. Read from string to string, for the publisher's file may be as
    large as the limit, and its values twenty times that as Python's. In what is no JSON, and so none to any loader
    either, the name counts as well.
    """
    return any(_is_auto_map(key[1]) for key in _KEY.finditer(body) if key["no_key"] is None)


def _is_auto_map(name: bytes) -> bool:
    """Of a key between its quotes, as it is written: any of its characters may be escaped."""
    if b"\\" not in name:
        return name == b"auto_map"
    try:
        return len(name) <= len("auto_map") * len(r"\u0000") and json.loads(b'"%b"' % name) == "auto_map"
    except ValueError:
        return False


def named(paths: Iterable[str]) -> str:
    """A few paths in words, safe to print whatever is in them."""
    every = sorted(paths)
    shown = ", ".join(p if p.isprintable() and 0 < len(p) <= 200 else ascii(p[:40]) for p in every[:SHOWN])
    return shown if len(every) <= SHOWN else f"{shown} and {len(every) - SHOWN} more"


def _is_left_behind(path: str, indexed: set[str]) -> bool:
    segments = path.split("/")
    return (
        (len(segments) > 1 and segments[0] in _LEFT_FOLDERS)
        or any(segment.startswith(".git") for segment in segments)
        or path.lower().endswith(_LEFT_SUFFIXES)
        or (_folder(path) in indexed and _SECOND_COPY.fullmatch(segments[-1]) is not None)
    )


def _folder(path: str) -> str:
    """Without the last segment; empty at the top."""
    return path.rpartition("/")[0]


def _folders(path: str) -> Iterator[str]:
    while path := _folder(path):
        yield path


def _refuse_unsafe(tree: Tree) -> None:
    problems: dict[str, list[str]] = defaultdict(list)
    for file in tree.files:
        if problem := path_problem(file.path):
            problems[problem].append(file.path)
    if problems:
        what = "; ".join(f"{named(paths)} ({problem})" for problem, paths in sorted(problems.items()))
        raise Refused(
            f"{_where(tree)} has files whose names are not safe to write: {what}; use another model or commit"
        )


def _refuse_twins(tree: Tree, kept: Iterable[HubFile]) -> None:
    """No two names may be one on a file system that folds case or Unicode forms, nor a file be another's folder."""
    paths_by_form: dict[str, list[str]] = defaultdict(list)
    folders: set[str] = set()
    for file in kept:
        paths_by_form[_fold(file.path)].append(file.path)
        folders.update(_fold(f) for f in _folders(file.path))
    twins = [p for form, paths in paths_by_form.items() if len(paths) > 1 or form in folders for p in paths]
    if twins:
        raise Refused(
            f"{_where(tree)} has files that are the same name to some file systems: {named(twins)}; "
            "use another model or commit"
        )


def _fold(path: str) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", path).casefold())


def _refuse_unbounded(tree: Tree, kept: tuple[HubFile, ...]) -> None:
    if len(kept) > FILES_LIMIT:
        raise Refused(f"{_where(tree)} has {len(kept)} files, more than {FILES_LIMIT}: it is not one model")
    read_whole = Selection(kept=kept, left_behind=()).to_read
    if large := [f.path for f in read_whole if f.size > SMALL_BYTES_LIMIT]:
        raise Refused(
            f"{_where(tree)} has files that are too large to be read whole, and must be, to be judged: {named(large)} "
            f"(over {SMALL_BYTES_LIMIT >> 20} MiB)"
        )


def _refuse_without_weights(tree: Tree, kept: tuple[HubFile, ...]) -> None:
    if any("/" not in f.path and f.path.endswith(".safetensors") for f in kept):  # vLLM looks at the top only
        return
    suffixes = (*(f".{s}" for s in _WEIGHTS), ".safetensors")
    there = [f.path for f in tree.files if f.path.lower().endswith(suffixes)]
    found = f"it has {named(there)}" if there else "it has no weights at all"
    raise Refused(f"{_where(tree)} has no safetensors at its top: {found}; use a repository converted to safetensors")


def _where(tree: Tree) -> str:
    return f"{tree.model} at {tree.commit}"
