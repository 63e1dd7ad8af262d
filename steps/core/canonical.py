"""JSON whose bytes depend on the value alone, so that a digest of it identifies the value."""

import hashlib
import json
from typing import Any


def dump(value: Any) -> bytes:
    """UTF-8, non-ASCII unescaped, keys sorted, no spaces, no final newline. Raises ValueError for NaN."""
    text = json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return text.encode()


def digest(value: Any) -> str:
    """sha256 of the canonical form, 64 hex digits."""
    return hashlib.sha256(dump(value)).hexdigest()
