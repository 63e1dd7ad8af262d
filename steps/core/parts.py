"""How a file is cut into parts, and how many of them may be in memory at once.

S3's rules: a part has at least 5 MiB (the last one may be smaller), a multipart upload at most 10,000 parts. Ours: the
parts in flight stay within ``MEMORY``, whatever the file, so that a step's process stays under 300 MiB: Python and its
clients take about 80, and a body exists twice for a moment while a client puts it together.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from steps.errors import BadInput

MiB = 1024 * 1024
MEMORY = 64 * MiB
PREFERRED = 8 * MiB
MAX_PARTS = 10_000
MAX_WORKERS = 8


@dataclass(frozen=True, slots=True)
class Part:
    """Bytes ``start`` to ``end`` of a file, ``end`` excluded. ``number`` counts from 1, as S3 does."""

    number: int
    start: int
    end: int

    @property
    def size(self) -> int:
        return self.end - self.start


@dataclass(frozen=True, slots=True)
class Cut:
    """Parts of ``part_size`` bytes, the last one of what is left."""

    size: int
    part_size: int

    @property
    def count(self) -> int:
        """An empty file has one part too, an empty one."""
        return max(1, -(-self.size // self.part_size))

    def parts(self) -> Iterator[Part]:
        for i in range(self.count):
            yield Part(number=i + 1, start=i * self.part_size, end=min((i + 1) * self.part_size, self.size))


def cut(size: int) -> Cut:
    """The parts of a file of so many bytes. Raises BadInput for one that 10,000 parts of ``MEMORY`` cannot hold."""
    least = -(-size // MAX_PARTS)
    part_size = max(PREFERRED, -(-least // MiB) * MiB)
    if part_size > MEMORY:
        raise BadInput(
            f"a file of {size} bytes is more than {MAX_PARTS * MEMORY}; it needs a model with smaller shards"
        )
    return Cut(size=size, part_size=part_size)
