"""A cgroup of the cluster's own, so that nothing else on this machine is taken for its pods.

Version 1 has a hierarchy for each controller below /sys/fs/cgroup, version 2 one for all.
"""

import os
from functools import partial
from pathlib import Path

from tests.cluster.kubernetes.wait import until

HIERARCHIES = Path("/sys/fs/cgroup")
CPUSET = ("cpuset.cpus", "cpuset.mems")
"""Empty in a new cgroup of version 1, and then no process can be put there."""
SECONDS = 10.0
"""A process that was killed is counted until it is gone."""


def make(name: str, hierarchies: Path = HIERARCHIES) -> None:
    for root in _roots(hierarchies):
        (root / name).mkdir(exist_ok=True)
        for file in CPUSET:
            if (root / file).exists():
                (root / name / file).write_text((root / file).read_text())


def remove(name: str, hierarchies: Path = HIERARCHIES) -> None:
    """Of a cluster that is down. Raises Transient where a process is left in it."""
    for root in _roots(hierarchies):
        until(f"the cgroup {root / name} is gone", partial(_removed, root / name), seconds=SECONDS)


def _removed(root: Path) -> bool:
    """Raises OSError where one is in use. The files in it are the kernel's, and go with it."""
    for directory, *_ in os.walk(root, topdown=False):
        Path(directory).rmdir()
    return not root.exists()


def _roots(hierarchies: Path) -> list[Path]:
    if (hierarchies / "cgroup.controllers").exists():
        return [hierarchies]
    return [path for path in hierarchies.iterdir() if path.is_dir() and not path.is_symlink()]
