"""The signature that S3 wants of who reads (AWS Signature, version 4).

boto3's own costs five times as much of a core, which is felt where objects are small.
"""

import hashlib
import hmac
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

if TYPE_CHECKING:
    from botocore.credentials import ReadOnlyCredentials

KIND = "AWS4-HMAC-SHA256"
NO_BODY = hashlib.sha256(b"").hexdigest()
PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Place:
    """``base`` is the address that keys follow, ``host`` what a client calls it in its header."""

    base: str
    path: str
    host: str
    region: str

    @classmethod
    def at(cls, base: str, region: str) -> "Place":
        address = urlsplit(base)
        name = address.hostname or ""
        host = f"[{name}]" if ":" in name else name
        if address.port not in (None, PORTS.get(address.scheme)):
            host += f":{address.port}"
        return cls(base.removesuffix(address.path), address.path, host, region)


@dataclass(frozen=True, slots=True)
class Signed:
    """A GET, and nothing of it may be changed."""

    url: str
    headers: Mapping[str, str]


def get(place: Place, key: str, part: str, who: "ReadOnlyCredentials", seconds: float | None = None) -> Signed:
    """Of the bytes of an object that ``part`` names, as a Range header does; ``seconds`` since the epoch, now."""
    path, now = place.path + quote(key, safe="/~"), time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(seconds))
    headers = {"host": place.host, "range": part, "x-amz-content-sha256": NO_BODY, "x-amz-date": now}
    if who.token:
        headers["x-amz-security-token"] = who.token
    names = ";".join(headers)
    lines = (f"{name}:{value}" for name, value in headers.items())
    request = "\n".join(("GET", path, "", *lines, "", names, NO_BODY))
    scope = (now[:8], place.region, "s3", "aws4_request")
    text = "\n".join((KIND, now, "/".join(scope), hashlib.sha256(request.encode()).hexdigest()))
    signature = reduce(_hmac, (*scope, text), f"AWS4{who.secret_key}".encode()).hex()
    credential = "/".join((who.access_key, *scope))
    headers["Authorization"] = f"{KIND} Credential={credential}, SignedHeaders={names}, Signature={signature}"
    del headers["host"]  # which the client adds
    return Signed(place.base + path, headers)


def _hmac(key: bytes, word: str) -> bytes:
    return hmac.digest(key, word.encode(), "sha256")
