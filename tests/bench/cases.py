"""What is copied: so many files of such a size, full or small enough for a first look."""

import re
from dataclasses import dataclass

from steps.core.parts import MiB

KiB, GiB = 1024, 1024 * MiB
UNITS = {"KiB": KiB, "MiB": MiB, "GiB": GiB}
FULL = ("4x1GiB", "200x16MiB", "2000x64KiB", "1x8GiB", "20000x16KiB")
QUICK = ("4x96MiB", "12x16MiB", "500x64KiB", "1x256MiB", "1000x16KiB")
"""Less than 1 GiB in all."""
SCALES = {"full": FULL, "quick": QUICK}


@dataclass(frozen=True, slots=True)
class Case:
    """``name`` is COUNTxSIZE, as people type it."""

    name: str
    count: int
    size: int

    @property
    def total(self) -> int:
        return self.count * self.size

    def paths(self) -> list[str]:
        return [f"model-{n + 1:05}-of-{self.count:05}.safetensors" for n in range(self.count)]


def case(name: str) -> Case:
    """Raises ValueError for what is no COUNTxSIZE."""
    found = re.fullmatch(r"([1-9]\d*)x([1-9]\d*)(KiB|MiB|GiB)", name)
    if not found:
        raise ValueError(f"{name!r} is no case; say one like 4x512MiB")
    return Case(name=name, count=int(found[1]), size=int(found[2]) * UNITS[found[3]])
