"""The last guard of a step's process: whatever it or a library says, no secret of ours gets through."""

import logging
from collections.abc import Mapping
from typing import Any

from steps.core import secrets

SHORTEST = 4
"""Characters; a shorter secret would blot out ordinary words."""


def redact(text: str, environ: Mapping[str, str]) -> str:
    """The text without the values of the secrets in the environment."""
    for name in secrets.NAMES:
        if len(secret := environ.get(name, "").strip()) >= SHORTEST:
            text = text.replace(secret, "[secret]")
    return text


def redact_all(value: Any, environ: Mapping[str, str]) -> Any:
    """The same of each text in a value of JSON: in its written form a secret with a quote would look like another."""
    if isinstance(value, str):
        return redact(value, environ)
    if isinstance(value, Mapping):
        return {redact(name, environ): redact_all(each, environ) for name, each in value.items()}
    return [redact_all(each, environ) for each in value] if isinstance(value, list | tuple) else value


class Redact(logging.Filter):
    """For a handler of the log."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        super().__init__()
        self._environ = environ

    def filter(self, record: logging.LogRecord) -> bool:
        """Rewrite the record in place; keep it always."""
        record.msg, record.args = redact(_message(record), self._environ), None
        if record.exc_info:
            record.exc_text = redact(logging.Formatter().formatException(record.exc_info), self._environ)
        return True


def _message(record: logging.LogRecord) -> str:
    """What logging would make of it; its own handlers forgive a malformed call as well."""
    try:
        return record.getMessage()
    except Exception as err:  # noqa: BLE001  # whatever a library's arguments do, they must not end the step
        return f"{record.pathname}:{record.lineno} logs what cannot be formatted ({type(err).__name__})"
