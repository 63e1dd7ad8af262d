"""Buildah with a store of its own, which is gone afterwards: what is kept are the archives."""

import ast
import os
import shutil
import ssl
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.cluster.kubernetes.shell import run, tried
from workflows.checkout import CHECKOUT

AUTHORITIES = "/etc/ssl/certs/ca-certificates.crt"
"""Where Debian's programs, and so those in the base, look for them."""
ELSEWHERE = {"cert", "find-links"}
"""Paths of this machine in pip's configuration: the one is told otherwise, the other is for what cannot be fetched."""


@dataclass(frozen=True, slots=True)
class Builder:
    directory: Path
    """Its store, and what is mounted while it builds."""

    @property
    def program(self) -> tuple[str, ...]:
        places = ("--root", str(self.directory / "store"), "--runroot", str(self.directory / "run"))
        return ("buildah", *places, "--storage-driver", "overlay")

    @property
    def flags(self) -> tuple[str, ...]:
        """Without a user namespace or systemd, and reaching the package index as this machine does."""
        mounts = {self.directory / "pip.conf": "/etc/pip.conf", _authorities(): AUTHORITIES}
        return ("--isolation=chroot", "--network=host", *(f"--volume={a}:{b}:ro" for a, b in mounts.items()))

    def take(self, archive: Path) -> None:
        """Have an image that was saved."""
        run(*self.program, "pull", "--quiet", f"docker-archive:{archive}")

    def build_root(self, root: Path, reference: str) -> None:
        """An image of one layer out of a whole root file system."""
        container = run(*self.program, "from", "scratch").strip()
        run(*self.program, "copy", "--quiet", container, root, "/")
        run(*self.program, "config", "--env=LANG=C.UTF-8", container)
        run(*self.program, "commit", "--quiet", "--rm", container, reference)

    def make_images(self, base: str, name: str) -> None:
        """One of the steps, as everybody makes them."""
        told = {"BUILDER": " ".join(self.program), "BUILD_FLAGS": " ".join(self.flags), "BASE": base, "IMAGES": name}
        run("make", "images", *(f"{name}={value}" for name, value in told.items()), cwd=CHECKOUT)

    def build(self, base: str, dockerfile: Path, context: Path, reference: str) -> None:
        told = (f"--build-arg=BASE={base}", f"--file={dockerfile}", f"--tag={reference}")
        run(*self.program, "build", *self.flags, *told, context)

    def run(self, image: str, mounts: Mapping[Path, str], *argv: str) -> None:
        """A program of the image, as root, on directories that it may write to."""
        container = run(*self.program, "from", image).strip()
        volumes = [f"--volume={outside}:{inside}" for outside, inside in mounts.items()]
        run(*self.program, "run", "--isolation=chroot", *volumes, container, "--", *argv)

    def save(self, reference: str, archive: Path) -> None:
        """Under the name that the kubelet makes of such a reference."""
        run(*self.program, "push", "--quiet", reference, f"docker-archive:{archive}:docker.io/{reference}")


@contextmanager
def opened(directory: Path) -> Iterator[Builder]:
    """The store lies below the directory: it may take gigabytes, and /tmp may be memory."""
    directory.mkdir(parents=True, exist_ok=True)
    place = Path(tempfile.mkdtemp(prefix="builder-", dir=directory))
    (place / "pip.conf").write_text(pip_configuration(run(sys.executable, "-m", "pip", "config", "list")))
    builder = Builder(place)
    try:
        yield builder
    finally:
        tried(*builder.program, "rm", "--all")  # unmounts what it mounted
        tried("umount", place / "store" / "overlay")  # which buildah mounts on itself
        shutil.rmtree(place)


def pip_configuration(listed: str) -> str:
    """A pip.conf that says what `pip config list` does, the environment over the files."""
    said: dict[str, str] = {}
    for line in sorted(listed.splitlines(), key=lambda line: line.startswith(":env:")):
        name, _, value = line.partition("=")
        said[name.rpartition(".")[2]] = ast.literal_eval(value)
    return "\n".join(["[global]", *(f"{name} = {value}" for name, value in said.items() if name not in ELSEWHERE), ""])


def _authorities() -> Path:
    """Those that pip trusts on this machine."""
    told = os.environ.get("PIP_CERT") or os.environ.get("SSL_CERT_FILE") or ssl.get_default_verify_paths().cafile
    return Path(told or AUTHORITIES)
