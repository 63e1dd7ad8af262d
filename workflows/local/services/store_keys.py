"""Who may do what in the embedded store: one file that SeaweedFS reads when it starts, mode 0600.

It is the only place that holds the secret.
"""

import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from steps.clients.local import files


@dataclass(frozen=True)
class Grantee:
    """``actions`` are SeaweedFS's words: Admin, Read, Write, List."""

    name: str
    access_key: str
    secret_key: str
    actions: tuple[str, ...]


def file(services: Path) -> Path:
    return services / "seaweedfs-keys.json"


def owner(services: Path) -> Grantee:
    """Who may do everything, made up at the first start."""
    known = _read(services)
    if not known:
        known = (Grantee("vllm-promote", secrets.token_hex(10).upper(), secrets.token_urlsafe(30), ("Admin",)),)
        give(services, *known)
    return known[0]


def give(services: Path, *who: Grantee) -> None:
    """The first one is the owner."""
    granted = [
        {"name": i.name, "credentials": [{"accessKey": i.access_key, "secretKey": i.secret_key}], "actions": i.actions}
        for i in who
    ]
    write_private(file(services), {"identities": granted})


def _read(services: Path) -> tuple[Grantee, ...]:
    try:
        value = json.loads(file(services).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return ()
    return tuple(
        Grantee(
            name=i["name"],
            access_key=i["credentials"][0]["accessKey"],
            secret_key=i["credentials"][0]["secretKey"],
            actions=tuple(i["actions"]),
        )
        for i in value["identities"]
    )


def write_private(path: Path, value: Mapping[str, Any]) -> None:
    """As JSON, whole or not at all, and for our eyes only."""
    aside = path.with_suffix(".aside")
    aside.unlink(missing_ok=True)
    aside.touch(mode=0o600, exist_ok=False)
    files.replace(path, aside, json.dumps(value).encode())
