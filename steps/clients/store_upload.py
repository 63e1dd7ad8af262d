"""Objects in the making: small ones in one request, large ones part by part."""

import logging
from collections.abc import Iterator
from typing import TYPE_CHECKING

from botocore import exceptions as boto

from steps.clients.bucket import Bucket
from steps.clients.store_errors import status_of
from steps.errors import Conflict, Transient
from steps.ports.store import Object, Upload

if TYPE_CHECKING:
    from mypy_boto3_s3.type_defs import HeadObjectOutputTypeDef

log = logging.getLogger(__name__)


def stat(bucket: Bucket, key: str) -> Object | None:
    with bucket.doing("read", key):
        try:
            head = bucket.client.head_object(Bucket=bucket.name, Key=key)
        except boto.ClientError as err:
            if status_of(err) == 404:
                return None
            raise
    return described(head)


def described(head: "HeadObjectOutputTypeDef") -> Object:
    """As an answer to HEAD tells it."""
    return Object(size=head["ContentLength"], sha256=head["Metadata"].get("sha256"))


class Whole(Upload):
    """A small object: until ``complete`` nothing is sent."""

    def __init__(self, bucket: Bucket, key: str, sha256: str) -> None:
        self._bucket = bucket
        self._key = key
        self._sha256 = sha256
        self._parts: dict[int, bytes] = {}

    def part(self, number: int, body: bytes) -> None:
        self._parts[number] = body

    def complete(self) -> None:
        body = b"".join(body for _, body in sorted(self._parts.items()))
        self._bucket.send(self._key, body, Metadata={"sha256": self._sha256})


class Multipart(Upload):
    """``part`` and ``complete`` raise Conflict when another run completed the object, which ended this upload."""

    def __init__(self, bucket: Bucket, key: str, wanted: Object) -> None:
        self._bucket = bucket
        self._key = key
        self._wanted = wanted
        self._etags: dict[int, str] = {}
        self._id = bucket.begin(key, Metadata={"sha256": wanted.sha256 or ""})
        self._completed = False

    def part(self, number: int, body: bytes) -> None:
        bucket = self._bucket
        with bucket.doing("write", self._key):
            sent = bucket.client.upload_part(
                Bucket=bucket.name,
                Key=self._key,
                UploadId=self._id,
                PartNumber=number,
                Body=body,
                **bucket.proof(body),
            )
        self._etags[number] = sent["ETag"]

    def copy(self, number: int, source: str, etag: str, start: int, end: int) -> None:
        """A part out of another object of the bucket, if that still is the one with this ETag."""
        bucket = self._bucket
        with bucket.doing("copy", self._key):
            copied = bucket.client.upload_part_copy(
                Bucket=bucket.name,
                Key=self._key,
                UploadId=self._id,
                PartNumber=number,
                CopySource={"Bucket": bucket.name, "Key": source},
                CopySourceRange=f"bytes={start}-{end - 1}",
                CopySourceIfMatch=etag,
            )
        self._etags[number] = copied["CopyPartResult"]["ETag"]

    def complete(self) -> None:
        """When the reply is lost, a look at the object tells whether it went well."""
        try:
            self._complete()
        except (Conflict, Transient):
            if stat(self._bucket, self._key) != self._wanted:
                raise
        self._completed = True
        for upload_id in self._others():
            self._abort(upload_id)

    def end(self) -> None:
        """Leave nothing of it in the store, unless it was completed."""
        if not self._completed:
            self._abort(self._id)

    def _complete(self) -> None:
        bucket = self._bucket
        with bucket.doing("write", self._key):
            bucket.client.complete_multipart_upload(
                Bucket=bucket.name,
                Key=self._key,
                UploadId=self._id,
                MultipartUpload={"Parts": [{"PartNumber": n, "ETag": tag} for n, tag in sorted(self._etags.items())]},
            )

    def _others(self) -> Iterator[str]:
        """Unfinished uploads to this key: of dead attempts, or of a living one that is not needed any more."""
        bucket = self._bucket
        try:
            pages = bucket.client.get_paginator("list_multipart_uploads")
            for page in pages.paginate(Bucket=bucket.name, Prefix=self._key):
                yield from (u["UploadId"] for u in page.get("Uploads", ()) if u["Key"] == self._key)
        except (boto.ClientError, boto.BotoCoreError) as err:  # not every store and key can list them
            log.warning("unfinished uploads of %s may be left: %s", bucket.where(self._key), err)

    def _abort(self, upload_id: str) -> None:
        """Tidying up: what goes wrong here must not hide why it is done."""
        bucket = self._bucket
        try:
            bucket.client.abort_multipart_upload(Bucket=bucket.name, Key=self._key, UploadId=upload_id)
        except (boto.ClientError, boto.BotoCoreError) as err:
            log.warning("an unfinished upload of %s is left: %s", bucket.where(self._key), err)
