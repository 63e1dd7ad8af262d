"""What a test left running: processes that name a directory in their arguments, or have a file of it open."""

import contextlib
import os
from pathlib import Path

import psutil


def processes_of(directory: Path) -> list[psutil.Process]:
    """This one aside, and those that are dead but not yet buried."""
    return [p for p in psutil.process_iter() if p.pid != os.getpid() and lives(p) and _is_about(p, str(directory))]


def arguments(process: psutil.Process) -> list[str]:
    """None for one that has just died."""
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def lives(process: psutil.Process) -> bool:
    """And is not dead and only not yet buried."""
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def _is_about(process: psutil.Process, directory: str) -> bool:
    if any(directory in word for word in arguments(process)):
        return True
    with contextlib.suppress(OSError):
        for link in Path(f"/proc/{process.pid}/fd").iterdir():
            with contextlib.suppress(OSError):
                if str(link.readlink()).startswith(directory):
                    return True
    return False
