"""Kubernetes, its pause process and its name server, built from Go modules once for each version of their sources."""

import os
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from steps.errors import Missing
from tests.cluster.kubernetes.shell import run, say
from workflows.local.demo import cache

SOURCES = Path(__file__).with_name("go")
VERSION = {"gitVersion": "v1.34.4", "gitMajor": "1", "gitMinor": "34", "gitTreeState": "clean"}
"""What the API server says it is; go.mod says the same."""


@dataclass(frozen=True, slots=True)
class Program:
    """``place`` is relative to the directory of all; pause has one to itself, because that becomes an image."""

    name: str
    place: str


PROGRAMS = (Program("kube", "kube"), Program("dns", "dns"), Program("pause", "pause/pause"))


def built(environ: Mapping[str, str]) -> Path:
    """The directory that holds them: minutes the first time. Raises Missing without Go, Transient."""
    return cache.made(place(environ), _build)


def place(environ: Mapping[str, str]) -> Path:
    """Of those that these sources make, whether they are there or not."""
    sources = sorted(path for path in SOURCES.rglob("*") if path.is_file())
    parts = [part for path in sources for part in (str(path.relative_to(SOURCES)).encode(), path.read_bytes())]
    return cache.root(environ) / f"kubernetes-{cache.key(*parts)}"


def _build(directory: Path) -> None:
    if not shutil.which("go"):
        raise Missing("Go 1.24 or newer is needed to build Kubernetes, and there is no `go` on the PATH; install it")
    for program in PROGRAMS:
        begun = time.monotonic()
        say(f"building {program.name}")
        _link(program, directory / program.place)
        say(f"built {program.name} in {time.monotonic() - begun:.0f} s")


def _link(program: Program, to: Path) -> None:
    """go.sum proves every module; nothing of this machine is written into the program."""
    told = " ".join(f"-X k8s.io/component-base/version.{key}={value}" for key, value in VERSION.items())
    flags = ("-mod=readonly", "-trimpath", f"-ldflags=-s -w {told}")
    environ = {**os.environ, "CGO_ENABLED": "0", "GOFLAGS": "-buildvcs=false"}
    run("go", "build", *flags, "-o", to, ".", cwd=SOURCES / program.name, environ=environ)
