"""Tiny models: real safetensors, a config, and word for the stub model server of how to behave."""

import json
import struct
from pathlib import Path
from typing import Any


def safetensors(tensors: dict[str, bytes]) -> bytes:
    """A safetensors file of one-dimensional U8 tensors."""
    header: dict[str, Any] = {}
    offset = 0
    for name, body in tensors.items():
        header[name] = {"dtype": "U8", "shape": [len(body)], "data_offsets": [offset, offset + len(body)]}
        offset += len(body)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + b"".join(tensors.values())


def write_model(directory: Path, *, seed: int = 0, files: dict[str, bytes] | None = None, **stub: Any) -> Path:
    """A model in two shards with an index; ``stub`` becomes stub.json, ``files`` replace or add whole files."""
    directory.mkdir(parents=True, exist_ok=True)
    content = {
        "config.json": b'{"architectures": ["StubForCausalLM"], "model_type": "stub"}',
        "README.md": b"# a model for tests\n",
        "stub.json": json.dumps(stub).encode(),
        "model-00001-of-00002.safetensors": safetensors({"a": bytes([seed]) * 4096}),
        "model-00002-of-00002.safetensors": safetensors({"b": bytes([seed + 1]) * 4096}),
        "model.safetensors.index.json": json.dumps(
            {
                "metadata": {"total_size": 8192},
                "weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"},
            }
        ).encode(),
        **(files or {}),
    }
    for name, body in content.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body)
    return directory
