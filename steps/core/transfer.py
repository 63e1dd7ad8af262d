"""What is to be moved and what is there already: the plan of a copy, before a byte moves."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from steps.core.manifest import File, Manifest


@dataclass(frozen=True, slots=True)
class Transfer:
    """Each file of a manifest is in exactly one of the two."""

    copy: tuple[File, ...]
    reuse: tuple[File, ...]

    @property
    def copy_bytes(self) -> int:
        return sum(f.size for f in self.copy)

    @property
    def reuse_bytes(self) -> int:
        return sum(f.size for f in self.reuse)


def plan(manifest: Manifest, present: Collection[File]) -> Transfer:
    """``present`` are the files whose content is known to be there."""
    there = frozenset(present)
    return Transfer(
        copy=tuple(f for f in manifest.files if f not in there),
        reuse=tuple(f for f in manifest.files if f in there),
    )


def of_right_size(manifest: Manifest, sizes: Mapping[str, int]) -> tuple[File, ...]:
    """``sizes`` by path, as a listing gives them: all that can be known without reading."""
    return tuple(f for f in manifest.files if sizes.get(f.path) == f.size)


def differences(manifest: Manifest, entries: Mapping[str, int | None]) -> tuple[str, ...]:
    """How a directory differs from its manifest, as far as names and sizes tell, in words, by path."""
    return tuple(f"{path}: {word}" for path, word in by_path(manifest, entries).items())


def by_path(manifest: Manifest, entries: Mapping[str, int | None]) -> Mapping[str, str]:
    """The same as words by path.

    ``entries`` gives the size of each file, None for what is no regular file.
    """
    wanted = {f.path: f.size for f in manifest.files}
    missing = dict.fromkeys(wanted.keys() - entries.keys(), "missing")
    extra = dict.fromkeys(entries.keys() - wanted.keys(), "not in the manifest")
    other = {path: word for path in wanted.keys() & entries.keys() if (word := _word(wanted[path], entries[path]))}
    return dict(sorted({**missing, **extra, **other}.items()))


def _word(wanted: int, found: int | None) -> str:
    if found is None:
        return "not a regular file"
    return "" if found == wanted else f"{found} bytes, the manifest says {wanted}"
