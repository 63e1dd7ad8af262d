"""The ports of the embedded store: free when they are chosen, kept from one start to the next.

Each of its services also listens on its port plus 10,000, and on a Unix socket that is named for it.
"""

import json
import secrets
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from steps.clients.local.addresses import is_free
from workflows.local.services.store_keys import write_private

GRPC_OFFSET = 10_000
"""SeaweedFS's own; options for each of these ports exist, and its admin worker does not heed them."""
LOWEST = 12_000
"""With the offset, all are below those that the kernel gives to clients, from 32,768 on."""
RELEASE_SECONDS = 2.0


@dataclass(frozen=True)
class Ports:
    master: int
    volume: int
    filer: int
    s3: int
    admin: int


def read(services: Path) -> Ports | None:
    """Those of the last start."""
    try:
        return Ports(**json.loads(_file(services).read_text(encoding="utf-8")))
    except (FileNotFoundError, ValueError, TypeError):
        return None


def renew(services: Path) -> Ports:
    """Those of the last start, so that its clients find it again, unless one is taken by now."""
    before = read(services)
    remove_sockets(before)
    ports = before if before and _released(before) else _choose()
    write_private(_file(services), asdict(ports))
    return ports


def remove_sockets(ports: Ports | None) -> None:
    """SeaweedFS makes these in /tmp whatever it is told, and leaves them there when it is killed."""
    for name, port in asdict(ports).items() if ports else ():
        Path(f"/tmp/seaweedfs-{name}-grpc-{port + GRPC_OFFSET}.sock").unlink(missing_ok=True)  # noqa: S108  # its choice


def _file(services: Path) -> Path:
    return services / "seaweedfs.json"


def _choose() -> Ports:
    chosen: list[int] = []
    while len(chosen) < len(Ports.__dataclass_fields__):
        port = LOWEST + secrets.randbelow(GRPC_OFFSET)
        if port not in chosen and _free(port):
            chosen.append(port)
    return Ports(*chosen)


def _released(ports: Ports) -> bool:
    """Whether all are free; a process that was killed just now may still be letting go of them."""
    deadline = time.monotonic() + RELEASE_SECONDS
    while not (free := all(map(_free, asdict(ports).values()))) and time.monotonic() < deadline:
        time.sleep(0.02)
    return free


def _free(port: int) -> bool:
    return is_free(port) and is_free(port + GRPC_OFFSET)
