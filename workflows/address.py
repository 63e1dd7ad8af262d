"""Addresses of servers as settings name them: shown in ConfigMaps, in plans and in reports, so without a login."""

import ipaddress
from typing import Annotated
from urllib.parse import SplitResult, urlsplit

from pydantic import AfterValidator

WELL_KNOWN = {"http": 80, "https": 443}


def port(address: str) -> int:
    """The one that it leads to. Raises ValueError where it is no ``Address``."""
    parts = _split(address)
    return parts.port or WELL_KNOWN[parts.scheme]


def is_loopback(address: str) -> bool:
    """Whether it means another server on each machine. Raises ValueError where it is no ``Address``."""
    host = _split(address).hostname or ""
    try:
        number = ipaddress.ip_address(host)
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
    return number.is_loopback or number.is_unspecified


def _split(text: str) -> SplitResult:
    try:
        parts = urlsplit(text)
        good = parts.scheme in WELL_KNOWN and parts.hostname and parts.port != 0 and not (parts.query or parts.fragment)
    except ValueError:  # of its port, or of brackets in its host
        good = False
    if not good or any(sign.isspace() for sign in text):
        raise ValueError("give it as http://HOST:PORT or https://HOST")
    return parts


def _checked(text: str) -> str:
    if "@" in _split(text).netloc:
        raise ValueError("whoever may read ConfigMaps would see the login; leave it out")
    return text


Address = Annotated[str, AfterValidator(_checked)]
"""URL of a server over HTTP or HTTPS, with a path perhaps."""
