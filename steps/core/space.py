"""How much room a volume must have."""

from collections.abc import Mapping

from steps.errors import NoSpace

HEADROOM = 1.05
"""Of what is to be written: block sizes, directories, other writers on the same volume."""
SHOWN = 3


def require(size: int, free: int, model: str, leftovers: Mapping[str, int]) -> None:
    """Raises NoSpace where writing so many bytes takes more than are free.

    ``leftovers`` are bytes by directory that could be had back.
    """
    needed = int(size * HEADROOM)
    if needed > free:
        raise NoSpace(
            f"the volume has {free:,} bytes free and {model} needs {needed:,}; make room, or give it a larger volume"
            + _unfinished(leftovers)
        )


def _unfinished(leftovers: Mapping[str, int]) -> str:
    """The largest first."""
    if not leftovers:
        return ""
    found = sorted(leftovers.items(), key=lambda left: (-left[1], left[0]))
    shown = ", ".join(f"{directory} ({size:,} bytes)" for directory, size in found[:SHOWN])
    more = f" and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
    return f": attempts at other commits left {shown}{more}, which can be removed while no run populates them"
