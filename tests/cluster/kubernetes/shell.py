"""Programs of the machine, run to their end; their own words when they fail."""

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

from steps.errors import Missing, Transient

SBIN = "/usr/local/sbin:/usr/sbin:/sbin"
"""Not on everybody's PATH, and what we need lies there."""


def say(line: str) -> None:
    """To whoever waits for it."""
    print(line, flush=True)  # noqa: T201  # the command's own output


def path() -> str:
    return f"{os.environ.get('PATH', os.defpath)}:{SBIN}"


def run(*argv: str | Path, cwd: Path | None = None, stdin: str = "", environ: Mapping[str, str] | None = None) -> str:
    """Its stdout. Raises Missing where there is no such program, Transient with what it said when it failed."""
    environ = {**os.environ, "PATH": path(), **(environ or {})}
    try:
        done = subprocess.run(argv, cwd=cwd, input=stdin, env=environ, capture_output=True, text=True, check=False)
    except FileNotFoundError as err:
        raise Missing(f"{argv[0]} is not installed; run: python -m tests.cluster.kubernetes prepare") from err
    if done.returncode:
        raise Transient(f"`{' '.join(map(str, argv))}` ended with {done.returncode}: {done.stderr.strip()[-2000:]}")
    return done.stdout


def tried(*argv: str | Path) -> str:
    """Its stdout, or nothing when it failed: for what may be done already, or be gone."""
    try:
        return run(*argv)
    except Transient:
        return ""
