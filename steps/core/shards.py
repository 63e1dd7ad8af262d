"""How the files of a very large model are shared out among pods that fetch them side by side.

Each pod is told only which one of how many it is, ``2-of-3``, and draws up the same plan again from the manifest: so
nothing but that has to travel, and whoever runs a second time gets the same files.
"""

import json
import re
from dataclasses import replace

from steps.core.manifest import File, Manifest
from steps.errors import BadInput

GiB = 1024**3
MOST = 8
"""Pods at once: with more of them the store, or the line to the Hub, is what they wait for."""
ALONE = "1-of-1"

_NAME = re.compile(r"([1-9]\d{0,2})-of-([1-9]\d{0,2})", re.ASCII)


def names(manifest: Manifest, limit: int) -> tuple[str, ...]:
    """One for each pod. A model of up to ``limit`` bytes is one pod's."""
    wanted = -(-manifest.total_bytes // limit)
    count = max(1, min(wanted, MOST, len(manifest.files)))
    return tuple(f"{number}-of-{count}" for number in range(1, count + 1))


def dump(names: tuple[str, ...]) -> str:
    """A JSON list, as Argo's ``withParam`` takes it."""
    return json.dumps(names, separators=(",", ":"))


def share(manifest: Manifest, name: str) -> Manifest:
    """With those files only that are this pod's. Raises BadInput for what is no name of a share."""
    found = _NAME.fullmatch(name)
    number, count = map(int, found.groups()) if found else (0, 0)
    if not 1 <= number <= count:
        raise BadInput(f"share {name[:80]!r} cannot be fetched; it must be like 2-of-3")
    return manifest if count == 1 else replace(manifest, files=_shared_out(manifest, count)[number - 1])


def _shared_out(manifest: Manifest, count: int) -> tuple[tuple[File, ...], ...]:
    """The largest file first, each to whoever has least so far: no share is larger than another by more than a file."""
    shares: list[list[File]] = [[] for _ in range(count)]
    sizes = [0] * count
    for file in sorted(manifest.files, key=lambda f: (-f.size, f.path)):
        least = sizes.index(min(sizes))
        shares[least].append(file)
        sizes[least] += file.size
    return tuple(tuple(sorted(files)) for files in shares)
