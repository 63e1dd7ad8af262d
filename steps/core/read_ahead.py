"""Which bytes of a model are read into memory ahead of its server, where not all of them have room."""

from collections.abc import Mapping
from dataclasses import dataclass

WEIGHTS = ".safetensors"


@dataclass(frozen=True, slots=True)
class Share:
    """The first ``size`` bytes of a file."""

    path: str
    size: int


def shares(sizes: Mapping[str, int], room: int) -> tuple[Share, ...]:
    """In the order in which a server wants them: what is small, then the shards by name. No more than ``room`` bytes.

    More would drive out what was read first, which is what the server begins with.
    """
    taken: list[Share] = []
    for path in sorted(sizes, key=lambda path: (path.endswith(WEIGHTS), path)):
        size = min(sizes[path], room)
        room -= size
        if size:
            taken.append(Share(path, size))
    return tuple(taken)
