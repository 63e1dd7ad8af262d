"""What is slow to make and the same for every checkout lies outside of them, there whole or not at all."""

import fcntl
import hashlib
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

from steps.settings import PREFIX


def root(environ: Mapping[str, str]) -> Path:
    """``vllm-promote`` below VLLM_PROMOTE_CACHE, else below the user's own cache directory."""
    chosen = environ.get(PREFIX + "CACHE") or environ.get("XDG_CACHE_HOME")
    return (Path(chosen) if chosen else Path.home() / ".cache").absolute() / "vllm-promote"


def key(*parts: bytes) -> str:
    """Twelve hex digits that change with any of the parts."""
    return hashlib.sha256(b"\0".join(hashlib.sha256(part).digest() for part in parts)).hexdigest()[:12]


def made(directory: Path, make: Callable[[Path], None]) -> Path:
    """The directory, which ``make`` fills if it is not there.

    It is filled beside its place and renamed into it, so one that is there is whole. A second process that wants the
    same waits for the first, and begins afresh when that was killed.
    """
    if directory.is_dir():
        return directory
    directory.parent.mkdir(parents=True, exist_ok=True)
    with directory.with_name(f"{directory.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not directory.is_dir():
            _make(directory, make)
    return directory


def _make(directory: Path, make: Callable[[Path], None]) -> None:
    aside = directory.with_name(f"{directory.name}.partial")
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir()
    make(aside)
    aside.rename(directory)
