"""The S3 store, through boto3's plain calls; its transfer manager verifies nothing above 8 MiB and is not used.

Bulk bytes are read by ``store_read``.

Every body that is sent carries a checksum that the store checks, and every object of a model the sha256 of its content
as metadata. What is read is proved by the reader's own sha256.
"""

import os
import weakref
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

import boto3
import stamina
from botocore import exceptions as boto
from botocore.config import Config

from steps.clients import store_copy, store_upload
from steps.clients.bucket import Bucket
from steps.clients.store_errors import require
from steps.clients.store_read import Reader
from steps.core import parts
from steps.core.names import Layout
from steps.errors import BadInput, Conflict, Transient
from steps.ports.store import Object, Store, Upload
from steps.settings import Settings

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

CONNECT_SECONDS = 10
ATTEMPTS = 5
"""Of one request, within seconds. Minutes are the workflow's business."""


def connect(settings: Settings) -> Store:
    """Credentials, endpoint, region, proxies and CA bundle come from the variables and files that boto3 knows.

    Asks nothing of the store yet. Raises BadInput for an endpoint or a profile that cannot be.
    """
    stamina.instrumentation.set_on_retry_hooks([])  # its line says neither what nor why; ours do
    config = Config(
        signature_version="s3v4",
        s3={"addressing_style": "path" if _endpoint_is_given() else "auto"},
        retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
        connect_timeout=CONNECT_SECONDS,
        read_timeout=max(1.0, settings.stall_seconds),
        max_pool_connections=4 * parts.MAX_WORKERS,
        tcp_keepalive=True,
        request_checksum_calculation=settings.s3_checksums,
        response_checksum_validation=settings.s3_checksums,
    )
    try:
        session = boto3.session.Session()
        client = session.client("s3", region_name=session.region_name or "us-east-1", config=config)
    except (ValueError, boto.BotoCoreError) as err:
        raise BadInput(f"no S3 client can be made: {err}; check the AWS_* variables and the AWS config file") from err
    client.meta.events.register_first("needs-retry.s3", _give_up_on_a_stall)
    _connect_anew_when_forked(client)
    bucket = Bucket(client, settings.bucket, own_digests=settings.s3_checksums == "when_required")
    return S3(bucket, Reader(bucket, session.get_credentials(), ATTEMPTS), Layout(settings.prefix))


def _give_up_on_a_stall(caught_exception: Exception | None, **_: object) -> None:
    """Before boto3 counts its attempts: so many stalls would be minutes in which nobody learns what is wrong."""
    if isinstance(caught_exception, boto.ReadTimeoutError):
        raise caught_exception


def _connect_anew_when_forked(client: "S3Client") -> None:
    """Two processes on one connection would read each other's answers."""
    http = weakref.ref(client._endpoint.http_session)  # noqa: SLF001  # boto3 has no other way to it

    def forget() -> None:
        if (found := http()) is not None:
            found.close()

    os.register_at_fork(after_in_child=forget)


def _endpoint_is_given() -> bool:
    return any(os.environ.get(name) for name in ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"))


class S3(Store):
    """One bucket. Thread-safe, as boto3's clients are."""

    def __init__(self, bucket: Bucket, reader: Reader, layout: Layout) -> None:
        self._bucket = bucket
        self._client = bucket.client
        self._reader = reader
        self._probe = layout.model_file("writable", "probe", "0")
        """A key that is never written, below those that are."""

    def check_writable(self) -> None:
        bucket, key = self._bucket, self._probe
        upload_id = bucket.begin(key)
        with bucket.doing("write", key):
            self._client.abort_multipart_upload(Bucket=bucket.name, Key=key, UploadId=upload_id)

    def get(self, key: str) -> bytes | None:
        with self._bucket.doing("read", key):
            try:
                answer = self._client.get_object(Bucket=self._bucket.name, Key=key)
            except self._client.exceptions.NoSuchKey:
                return None
            require(answer, "ETag", "read", self._bucket.where(key))
            body: bytes = answer["Body"].read()
            return body

    def put(self, key: str, body: bytes) -> None:
        self._bucket.send(key, body)

    def create(self, key: str, body: bytes) -> bool:
        try:
            self._bucket.send(key, body, IfNoneMatch="*")
        except Conflict as err:
            # When a reply is lost, the client's own second try meets what its first one wrote.
            return _was_repeated(err) and self.get(key) == body
        except Transient:
            if self.get(key) != body:
                raise
        return True

    def list(self, prefix: str) -> Mapping[str, int]:
        with self._bucket.doing("list", prefix):
            pages = list(
                self._client.get_paginator("list_objects_v2").paginate(Bucket=self._bucket.name, Prefix=prefix)
            )
        for page in pages:
            require(page, "Name", "list", self._bucket.where(prefix))
        return {o["Key"]: o["Size"] for page in pages for o in page.get("Contents", ())}

    def stat(self, key: str) -> Object | None:
        return store_upload.stat(self._bucket, key)

    @contextmanager
    def upload(self, key: str, size: int, sha256: str) -> Iterator[Upload]:
        if parts.cut(size).count == 1:
            yield store_upload.Whole(self._bucket, key, sha256)
            return
        upload = store_upload.Multipart(self._bucket, key, Object(size=size, sha256=sha256))
        try:
            yield upload
        finally:
            upload.end()

    def copy(self, source: str, key: str, size: int, sha256: str) -> bool:
        return store_copy.copy(self._bucket, source, key, Object(size=size, sha256=sha256))

    def read(self, key: str, start: int, end: int) -> Iterator[bytes]:
        buffer = memoryview(bytearray(min(end - start, parts.PREFERRED)))
        while start < end:
            piece = buffer[: end - start]
            self._reader.fill(key, start, piece)
            yield bytes(piece)
            start += len(piece)

    def read_into(self, key: str, start: int, body: memoryview) -> None:
        self._reader.fill(key, start, body)

    def delete(self, key: str) -> None:
        with self._bucket.doing("delete", key):
            self._client.delete_object(Bucket=self._bucket.name, Key=key)


def _was_repeated(err: Conflict) -> bool:
    cause = err.__cause__
    return isinstance(cause, boto.ClientError) and cause.response["ResponseMetadata"].get("RetryAttempts", 0) > 0
