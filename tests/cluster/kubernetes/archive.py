"""A directory as an image of one layer, in the form that `docker save` writes."""

import hashlib
import io
import json
import tarfile
from collections.abc import Sequence
from pathlib import Path


def pack(reference: str, root: Path, entrypoint: Sequence[str]) -> bytes:
    """The same bytes for the same content. All belongs to root, whoever owns it here; nobody's process runs as root."""
    layer = _tar([(str(path.relative_to(root)), path) for path in sorted(root.rglob("*"))])
    config = json.dumps(
        {
            "architecture": "amd64",
            "os": "linux",
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{_digest(layer)}"]},
            "config": {"Entrypoint": list(entrypoint), "User": "65535:65535"},
        }
    ).encode()
    name = f"{_digest(config)}.json"
    manifest = json.dumps([{"Config": name, "RepoTags": [reference], "Layers": ["layer.tar"]}]).encode()
    return _tar([("manifest.json", manifest), (name, config), ("layer.tar", layer)])


def _tar(entries: Sequence[tuple[str, Path | bytes]]) -> bytes:
    whole = io.BytesIO()
    with tarfile.open(fileobj=whole, mode="w") as tar:
        for name, content in entries:
            body = content if isinstance(content, bytes) else content.read_bytes() if content.is_file() else None
            tar.addfile(_entry(name, body), io.BytesIO(body) if body is not None else None)
    return whole.getvalue()


def _entry(name: str, body: bytes | None) -> tarfile.TarInfo:
    """None for a directory."""
    entry = tarfile.TarInfo(name)
    entry.mode = 0o755
    if body is None:
        entry.type = tarfile.DIRTYPE
    else:
        entry.size = len(body)
    return entry


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
