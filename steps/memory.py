"""Memory that a disk is read into and written from directly.

It begins at a page. In large pages it is one piece for the disk as well: on a virtual one that was worth a factor of
2.7 (reads of 4 MiB past the cache: 1.3 GB/s and 3.6 GB/s).
"""

import mmap
from contextlib import suppress


def pages(size: int) -> mmap.mmap:
    """Given back when nobody refers to it any more. Not to be written to by a disk while this process forks."""
    memory = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    with suppress(OSError):  # a kernel without them
        memory.madvise(mmap.MADV_HUGEPAGE)
    return memory
