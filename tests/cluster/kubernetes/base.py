"""What the images of the tests are built from, where no registry is: Debian's Python as the official images have it.

That is with pip below /usr/local, as ``python`` too, and with nothing else that a step could lean on. libnuma is
vLLM's.
"""

import shutil
from collections.abc import Mapping
from pathlib import Path

from steps.errors import Missing
from tests.cluster.kubernetes.builder import Builder
from tests.cluster.kubernetes.shell import run
from workflows.local.demo import cache

REFERENCE = "vllm-promote-test/base:1"
PACKAGES = "python3,python3-pip-whl,ca-certificates,libnuma1"
REMOVED = (
    *("var/cache/apt", "var/lib/apt/lists", "var/log", "usr/share/doc", "usr/share/info", "usr/share/locale"),
    *("usr/share/man", "usr/share/python-wheels"),
)
RELEASE = Path("/etc/os-release")
FORMAT = "$(CODENAME) $(REPO_URI)"
MANAGED = "usr/lib/python3*/EXTERNALLY-MANAGED"
"""Debian's request that pip leave its Python alone; here nobody else looks after it."""


def made(environ: Mapping[str, str], builder: Builder) -> Path:
    """A directory with image.tar and, in ``python``, its version such as 3.11. Raises Missing, Transient.

    Made once for each release, in a minute. It is the same image ever after, so that all of ours share its layer.
    """
    return cache.made(place(environ), lambda directory: _make(directory, builder))


def place(environ: Mapping[str, str]) -> Path:
    return cache.root(environ) / f"image-base-{key()}"


def key() -> str:
    return cache.key(Path(__file__).read_bytes(), codename(RELEASE.read_text()).encode())


def codename(os_release: str) -> str:
    """Of this machine's Debian, whose mirror is known to answer. Raises Missing elsewhere."""
    said = dict(line.partition("=")[::2] for line in os_release.splitlines())
    if said.get("ID") != "debian":
        raise Missing("the tests' images are made of the Debian that they run on; run them on Debian 12 or newer")
    return said["VERSION_CODENAME"]


def mirror(indexes: str, release: str) -> str:
    """What apt itself asks for this release, out of the answer to ``FORMAT``. Raises Missing."""
    for line in indexes.splitlines():
        name, _, address = line.partition(" ")
        if name == release:
            return address
    raise Missing(f"apt knows no mirror of {release}; name one in /etc/apt/sources.list")


def _make(directory: Path, builder: Builder) -> None:
    root, release = directory / "root", codename(RELEASE.read_text())
    address = mirror(run("apt-get", "indextargets", "--format", FORMAT, "Created-By: Packages"), release)
    run("debootstrap", "--variant=minbase", f"--include={PACKAGES}", release, root, address)
    _add_pip(root)
    (root / "usr/local/bin/python").symlink_to("/usr/bin/python3")
    (directory / "python").write_text((root / "usr/bin/python3").readlink().name.removeprefix("python"))
    for unneeded in REMOVED:
        shutil.rmtree(root / unneeded)
        (root / unneeded).mkdir()
    builder.build_root(root, REFERENCE)
    builder.save(REFERENCE, directory / "image.tar")
    shutil.rmtree(root)


def _add_pip(root: Path) -> None:
    for note in root.glob(MANAGED):
        note.unlink()
    (wheel,) = (root / "usr/share/python-wheels").glob("pip-*.whl")
    inside = Path("/", wheel.relative_to(root))
    install = ("install", "--quiet", "--root-user-action=ignore", "--no-cache-dir", "--no-index")
    pip = ("python3", "-m", "pip", *install, f"--find-links={inside.parent}", "pip")
    run("chroot", root, "env", f"PYTHONPATH={inside}", *pip)
