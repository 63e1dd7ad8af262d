"""Which ports a deployment listens on, on this machine's loopback only; chosen once and kept.

serving/DEPLOYMENT/endpoint.json   {"port"}: where clients find it, for ever
serving/DEPLOYMENT/servers.json    {"ports"}: its model servers', taken in this order while they are free
"""

import contextlib
import json
import os
import random
import socket
import tempfile
from collections.abc import Collection
from pathlib import Path
from typing import TypeVar

from steps.clients.local import files
from steps.errors import Corrupt, Transient

T = TypeVar("T")

HOST = "127.0.0.1"
CHOICE = range(20_000, 32_000)
"""Below the ports that the kernel gives to outgoing connections: one of those would sit in ours now and then."""


def endpoint_port(directory: Path) -> int:
    """The port that clients know. Whoever asks first chooses it; two at once choose the same."""
    path = directory / "endpoint.json"
    if not path.exists():
        directory.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=directory, prefix="endpoint.", suffix=".aside") as aside:
            json.dump({"port": _choose(set())}, aside)
            aside.flush()
            os.fsync(aside.fileno())
            with contextlib.suppress(FileExistsError):
                path.hardlink_to(aside.name)  # unlike a rename, it leaves what another wrote meanwhile
    return _read(path, "port", int)


def server_port(directory: Path, busy: Collection[int]) -> int:
    """The first of the kept ports that is neither ``busy`` nor in a stranger's use; else a new one, kept from now on.

    Two callers at once must be kept apart by the caller.
    """
    path = directory / "servers.json"
    kept: list[int] = _read(path, "ports", list) if path.exists() else []
    for port in kept:
        if port not in busy and is_free(port):
            return port
    port = _choose({*busy, *kept})
    files.replace(path, path.with_suffix(".aside"), json.dumps({"ports": [*kept, port]}).encode())
    return port


def _choose(taken: Collection[int]) -> int:
    for _ in range(200):
        port = random.choice(CHOICE)  # noqa: S311  # not a secret
        if port not in taken and is_free(port):
            return port
    raise Transient(f"no port of {CHOICE[0]} to {CHOICE[-1]} is free on {HOST}; end what holds them")


def is_free(port: int) -> bool:
    """Whether a server could listen there now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
        return True


def _read(path: Path, field: str, kind: type[T]) -> T:
    try:
        value = json.loads(path.read_text())[field]
    except (ValueError, KeyError, TypeError) as err:
        raise Corrupt(f"{path} is not what was written there: {err!r}; remove it, and a new port is chosen") from err
    if not isinstance(value, kind):
        raise Corrupt(f"{path} holds no proper {field}; remove it, and a new port is chosen")
    return value
