"""What a client gets from an endpoint: an answer, and which weights gave it."""

import json
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from steps.errors import Failed

SECONDS = 120
"""For one request: a CPU is slow."""
MAX_TOKENS = 64

_direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def ask(url: str, question: str) -> str:
    """The answer to a chat of one message, the most likely one. Raises Failed."""
    body = {
        "model": _served(url)["id"],
        "messages": [{"role": "user", "content": question}],
        "temperature": 0,
        "max_tokens": MAX_TOKENS,
    }
    answer = _json(f"{url}/v1/chat/completions", body)
    return str(answer["choices"][0]["message"]["content"])


def commit(url: str) -> str:
    """Of the weights that answer: the last part of their directory. Raises Failed."""
    return Path(_served(url)["root"]).name


def _served(url: str) -> Mapping[str, str]:
    model: Mapping[str, str] = _json(f"{url}/v1/models")["data"][0]
    return model


def _json(url: str, body: Mapping[str, Any] | None = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})  # noqa: S310  # our own endpoint
    try:
        with _direct.open(request, timeout=SECONDS) as response:
            return json.load(response)
    except (OSError, ValueError) as err:
        raise Failed(f"{url} does not answer ({err}); `python -m workflows.status --local` shows what serves") from err
