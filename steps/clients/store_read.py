"""Bulk bytes out of the store, into memory that is there already.

boto3's own call costs three times as much of a core, and puts a body into new memory each time. So only parts of it are
used: where its credentials are from, and its HTTP session, with the same proxies, certificates and time limits.
"""

import logging
from functools import cached_property
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import stamina
from botocore import exceptions as boto
from botocore.awsrequest import AWSPreparedRequest
from botocore.credentials import Credentials
from botocore.parsers import create_parser
from botocore.response import StreamingBody

from steps.clients import signing
from steps.clients.bucket import Bucket
from steps.clients.signing import Place
from steps.clients.store_errors import KINDS, code_of, not_s3, status_of
from steps.errors import Corrupt, Transient

if TYPE_CHECKING:
    from botocore.awsrequest import AWSResponse

PIECE = 256 * 1024
"""Read at a time: with much less the calls cost more, with more it is in the processor's cache no more when used."""

log = logging.getLogger(__name__)


def _worth_another(err: Exception) -> bool:
    """Whether a failure may pass within seconds. A stall has taken long enough already."""
    if isinstance(err, boto.ClientError):
        return any(k.error is Transient and (code_of(err) in k.codes or status_of(err) in k.statuses) for k in KINDS)
    passing = (boto.HTTPClientError, boto.ConnectionError, boto.IncompleteReadError)
    return isinstance(err, passing) and not isinstance(err, boto.ReadTimeoutError | boto.SSLError)


class Reader:
    """Thread-safe. Asks ``attempts`` times for what may pass within seconds."""

    def __init__(self, bucket: Bucket, credentials: Credentials | None, attempts: int) -> None:
        self._bucket = bucket
        self._credentials = credentials
        self._http = bucket.client._endpoint.http_session  # noqa: SLF001  # its own is what we want
        self._again = stamina.RetryingCaller(
            attempts=attempts, timeout=None, wait_initial=0.2, wait_max=4, wait_jitter=0.2
        ).on(_worth_another)

    def fill(self, key: str, start: int, body: memoryview) -> None:
        """With the bytes from ``start`` on. What breaks off is asked for again from there on.

        Raises Corrupt when the object is gone or shorter.
        """
        if body:
            wanted = _Wanted(self._bucket.where(key), start, body)
            with self._bucket.doing("read", key):
                self._again(self._go_on, key, wanted)

    def _go_on(self, key: str, wanted: "_Wanted") -> None:
        answer = self._ask(key, wanted)
        try:
            wanted.check(answer)
            wanted.take(StreamingBody(answer.raw, len(wanted.left)))
        except (boto.HTTPClientError, boto.IncompleteReadError) as err:
            log.warning("%s broke off, going on at byte %d: %s", wanted.where, wanted.start, err)
            raise
        finally:
            if wanted.left:
                answer.raw.close()

    def _ask(self, key: str, wanted: "_Wanted") -> "AWSResponse":
        if self._credentials is None:
            raise boto.NoCredentialsError
        part, who = f"bytes={wanted.start}-{wanted.end - 1}", self._credentials.get_frozen_credentials()
        request = signing.get(self._place, key, part, who)
        return self._http.send(AWSPreparedRequest("GET", request.url, request.headers, None, stream_output=True))

    @cached_property
    def _place(self) -> Place:
        """As boto3 has it, whatever its rules."""
        example = self._bucket.client.generate_presigned_url("get_object", {"Bucket": self._bucket.name, "Key": "k"})
        address = urlsplit(example)
        region = parse_qs(address.query)["X-Amz-Credential"][0].split("/")[2]
        return Place.at(f"{address.scheme}://{address.netloc}{address.path.removesuffix('k')}", region)


class _Wanted:
    """What is still to come of one range."""

    def __init__(self, where: str, start: int, body: memoryview) -> None:
        self.where = where
        self.start = start
        self.left = body

    @property
    def end(self) -> int:
        return self.start + len(self.left)

    def check(self, answer: "AWSResponse") -> None:
        """Raises what boto3 would raise of an error, and Corrupt for a range that ends before ours does."""
        if answer.status_code >= 300:
            try:
                raise _error(answer)
            except boto.ClientError as err:
                if code_of(err) in ("NoSuchKey", "InvalidRange"):
                    raise self._short() from err
                raise
        told = str(answer.headers.get("Content-Range", ""))
        if not told.startswith(f"bytes {self.start}-"):
            raise not_s3("read", self.where)
        if not told.startswith(f"bytes {self.start}-{self.end - 1}/"):
            raise self._short()

    def take(self, body: StreamingBody) -> None:
        """Raises what boto3 raises of a body that stalls, breaks off or ends too early."""
        while self.left:
            taken = body.readinto(self.left[:PIECE])
            self.start, self.left = self.start + taken, self.left[taken:]

    def _short(self) -> Corrupt:
        said = f"{self.where} is gone, or shorter than {self.end} bytes"
        return Corrupt(f"{said}; promote again, which brings what is missing")


def _error(answer: "AWSResponse") -> boto.ClientError:
    described: dict[str, Any] = {
        "status_code": answer.status_code,
        "headers": answer.headers,
        "body": answer.content,
        "context": {},
    }
    return boto.ClientError(create_parser("rest-xml").parse(described, None), "GetObject")
