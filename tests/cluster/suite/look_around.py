"""What a process in a pod is, may write and can reach. Runs there, with Python alone; tells it as its last words."""

import errno
import json
import os
import socket
import sys
import time
from pathlib import Path

PLACES = ("/", "/app", "/tmp", "/models", "/etc/vllm-promote", "/dev/shm", "/var/run/secrets")
OUTSIDE = (("1.1.1.1", 443), ("8.8.8.8", 53), ("169.254.169.254", 80))
"""Two of the internet's, and where clouds hand out a machine's own credentials."""
SECONDS = 3.0


def main() -> None:
    seen = {
        "uid": os.getuid(),
        "gid": os.getgid(),
        "groups": os.getgroups(),
        "writable": [place for place in PLACES if writable(Path(place))],
        "secrets": sorted(name for name in os.environ if name in sys.argv[1].split(",")),
        "token": Path("/var/run/secrets/kubernetes.io/serviceaccount/token").exists(),
        "reached": [f"{host}:{port} {how}" for host, port in OUTSIDE if (how := reached(host, port))],
        "names": [name for name in ("example.com", "huggingface.co") if known(name)],
    }
    Path("/dev/termination-log").write_text(json.dumps(seen))


def writable(directory: Path) -> bool:
    path = directory / f".written-by-{os.getpid()}-{time.time_ns()}"
    try:
        path.write_text("")
    except OSError:
        return False
    path.unlink()
    return True


def reached(host: str, port: int) -> str:
    """Empty where there is no way at all; a timeout is told, for it leaves open whether there is one."""
    try:
        socket.create_connection((host, port), timeout=SECONDS).close()
    except OSError as err:
        return "" if err.errno == errno.ENETUNREACH else str(err)
    return "connected"


def known(name: str) -> bool:
    try:
        socket.getaddrinfo(name, 443)
    except OSError:
        return False
    return True


if __name__ == "__main__":
    main()
