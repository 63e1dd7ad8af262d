"""How much room a volume must have."""

HEADROOM = 1.05
"""Of what is to be written: block sizes, directories, other writers on the same volume."""


def needed(size: int) -> int:
    """Free bytes that writing so many takes."""
    return int(size * HEADROOM)
