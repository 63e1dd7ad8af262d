"""The first process inside: makes the machine one on which an NFS server and its clients can live, and runs pytest."""

import ctypes
import subprocess
import sys
import traceback
from pathlib import Path

from workflows.checkout import CHECKOUT

SUITE = "tests/nfs/suite"
WRITES_NOTHING = ("-p", "no:cacheprovider", "-p", "no:hypothesispytest")
MODULES = ("loop", "nfsd", "nfs", "nfsv4", "nfsv3", "veth")
MODULE_ROOT = Path("/run/modules")
"""As modprobe wants them: below lib/modules."""
OWN = ("/run", "/tmp", "/var/lib/nfs", "/dev/shm")  # SeaweedFS has files in /tmp
"""In the machine's memory; all else is the outside's and read-only."""
POWER_OFF = 0x4321FEDC


def main(version: str, directory: Path, told: list[str]) -> None:
    """``directory`` is the one outside that may be written to."""
    try:
        prepare(directory)
        options = ("-v", "--tb=short", "--color=no", "--durations=8", f"--nfs={version}", *WRITES_NOTHING)
        done = subprocess.run([sys.executable, "-m", "pytest", SUITE, *options, *told], check=False)
        (directory / "ended").write_text(str(done.returncode))
    except BaseException:
        traceback.print_exc()
        raise
    finally:
        sys.stdout.flush()
        ctypes.CDLL(None).sync()
        ctypes.CDLL(None).reboot(POWER_OFF)


def prepare(directory: Path) -> None:
    """Raises where the kernel lacks something: it is the suite that fails then."""
    for kind, where in (("proc", "/proc"), ("sysfs", "/sys"), *(("tmpfs", place) for place in OWN)):
        Path(where).mkdir(exist_ok=True)
        run("mount", "-t", kind, "none", where)
    outside(CHECKOUT, "ro")
    outside(directory, "rw")
    (MODULE_ROOT / "lib").mkdir(parents=True)
    (MODULE_ROOT / "lib/modules").symlink_to("/usr/lib/uml/modules")
    for module in MODULES:
        run("modprobe", "--dirname", MODULE_ROOT, module)
    run("ip", "link", "set", "lo", "up")


def outside(directory: Path, access: str) -> None:
    """As it is there, though a place of our own may lie over it."""
    directory.mkdir(parents=True, exist_ok=True)
    run("mount", "-t", "hostfs", "none", directory, "-o", f"{access},{directory}")


def run(*argv: str | Path) -> None:
    subprocess.run(argv, check=True, timeout=60)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), sys.argv[3:])
