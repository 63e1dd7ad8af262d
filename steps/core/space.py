"""How much room a volume must have."""

from steps.errors import NoSpace

HEADROOM = 1.05
"""Of what is to be written: block sizes, directories, other writers on the same volume."""


def require(size: int, free: int, model: str) -> None:
    """Raises NoSpace where writing so many bytes takes more than are free."""
    needed = int(size * HEADROOM)
    if needed > free:
        raise NoSpace(
            f"the volume has {free:,} bytes free and {model} needs {needed:,}; make room, or give it a larger volume"
        )
