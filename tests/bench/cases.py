"""What is copied: so many files of such a size, full or small enough for a first look."""

import re
from dataclasses import dataclass

from steps.core.parts import MiB

KiB, GiB = 1024, 1024 * MiB
UNITS = {"KiB": KiB, "MiB": MiB, "GiB": GiB}
FULL = ("4x1GiB", "200x16MiB", "2000x64KiB", "10x256MiB+1", "1x8GiB", "20000x16KiB")
QUICK = ("4x80MiB", "12x16MiB", "500x64KiB", "10x8MiB+1", "1x256MiB", "1000x16KiB")
"""Less than 1 GiB in all."""
SCALES = {"full": FULL, "quick": QUICK}


@dataclass(frozen=True, slots=True)
class Case:
    """``name`` is COUNTxSIZE, as people type it, or COUNTxSIZE+CHANGED.

    ``changed`` files are others than in an earlier commit, which is everywhere already; 0 where there is none.
    """

    name: str
    count: int
    size: int
    changed: int = 0

    @property
    def total(self) -> int:
        return self.count * self.size

    def paths(self) -> list[str]:
        return [f"model-{n + 1:05}-of-{self.count:05}.safetensors" for n in range(self.count)]


def case(name: str) -> Case:
    """Raises ValueError for what is none."""
    found = re.fullmatch(r"([1-9]\d*)x([1-9]\d*)(KiB|MiB|GiB)(\+[1-9]\d*)?", name)
    if not found or int(found[4] or 0) > int(found[1]):
        raise ValueError(f"{name!r} is no case; say one like 4x512MiB, or 10x64MiB+1")
    return Case(name=name, count=int(found[1]), size=int(found[2]) * UNITS[found[3]], changed=int(found[4] or 0))
