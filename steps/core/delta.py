"""What a commit shares with others of the same model: files of the same bytes, wherever they lie there."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from steps.core.manifest import File, Manifest

TRIED = 3
"""Places of one file: the first ones may be gone, or damaged."""


@dataclass(frozen=True, slots=True, order=True)
class Twin:
    """Where another commit has a file's bytes, by its own manifest."""

    commit: str
    path: str


def twins(files: Iterable[File], manifest: Manifest, others: Iterable[Manifest]) -> Mapping[str, tuple[Twin, ...]]:
    """By path of the file in ``manifest``. Only those that have any; where it has the same name comes first."""
    known: dict[tuple[str, int], list[Twin]] = defaultdict(list)
    for other in others:
        if (other.model, other.commit) != (manifest.model, manifest.commit):
            for f in other.files:
                known[f.sha256, f.size].append(Twin(other.commit, f.path))
    found = {f.path: known[f.sha256, f.size] for f in files if (f.sha256, f.size) in known}
    return {path: tuple(sorted(places, key=lambda t: (t.path != path, t))[:TRIED]) for path, places in found.items()}
