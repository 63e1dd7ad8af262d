"""Read files so that they lie in this machine's memory when somebody else opens them: the kernel keeps what fits."""

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from steps.core.amounts import size as amount
from steps.core.read_ahead import Share, shares
from steps.parallel import in_order

READERS = 4
"""Files at once: one stream alone does not fill a network, or a disk."""
PIECE = 4 * 2**20
OURS = 1, 2
"""Of the memory that is free or holds nothing but files, so much at most: others read files too, and a kubelet takes
files that were read twice for memory in use."""
MEMINFO = Path("/proc/meminfo")
LIMITS = (
    ("memory.max", "memory.current"),
    ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"),
)
"""Of a container, by the two versions of cgroups: what it reads counts as its own."""
CGROUP = Path("/sys/fs/cgroup")


@dataclass(frozen=True, slots=True)
class Read:
    """``why`` the rest was not, empty where all of it was."""

    size: int
    total: int
    why: str = ""

    def __str__(self) -> str:
        why = f": {self.why}" if self.why else ""
        return f"{amount(self.size)} of {amount(self.total)} are in memory{why}"


def read_ahead(directory: Path, room: int) -> Read:
    """As much of the directory's files as ``room`` bytes hold. What cannot be read is told, never raised."""
    total, done = 0, list[int]()
    try:
        sizes = dict(_sizes(directory))
        total = sum(sizes.values())
        in_order(partial(_read, directory), shares(sizes, room), READERS, done.append)
    except OSError as err:
        return Read(sum(done), total, f"{err.filename or directory} cannot be read ({err.strerror})")
    return Read(sum(done), total, "no more has room" if sum(done) < total else "")


def room(meminfo: Path = MEMINFO, cgroup: Path = CGROUP) -> int:
    """Bytes; 0 where this machine does not tell."""
    ours, of = OURS
    return min((_available(meminfo), *_left(cgroup))) * ours // of


def _read(directory: Path, share: Share) -> int:
    """So many bytes of it there were."""
    piece, left = memoryview(bytearray(min(PIECE, share.size))), share.size
    file = os.open(directory / share.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        os.posix_fadvise(file, 0, share.size, os.POSIX_FADV_SEQUENTIAL)
        while left and (got := os.readv(file, [piece[:left]])):
            left -= got
    finally:
        os.close(file)
    return share.size - left


def _sizes(directory: Path) -> Iterator[tuple[str, int]]:
    for above, _, names in os.walk(directory):
        for path in (Path(above, name) for name in names):
            found = path.lstat()
            if stat.S_ISREG(found.st_mode):
                yield str(path.relative_to(directory)), found.st_size


def _available(meminfo: Path) -> int:
    """Also what holds files that nobody has changed, which the kernel gives up at once."""
    try:
        lines = meminfo.read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")), 0)


def _left(cgroup: Path) -> Iterator[int]:
    for limit, used in LIMITS:
        try:
            said, now = (
                (cgroup / limit).read_text(encoding="ascii").strip(),
                (cgroup / used).read_text(encoding="ascii"),
            )
        except OSError:
            continue
        if said != "max":
            yield max(int(said) - int(now), 0)
