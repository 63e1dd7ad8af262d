"""One S3 bucket: that it is there, and that what is sent to it arrives as it was."""

import base64
import hashlib
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from steps.clients.store_errors import require, translated

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


@dataclass(frozen=True)
class Bucket:
    """With ``own_digests`` bodies carry a Content-MD5, which every store checks, in place of boto3's checksums."""

    client: "S3Client"
    unchecked_name: str
    own_digests: bool

    @cached_property
    def name(self) -> str:
        """Once it is known to be there: some stores make a bucket of any name that is written to."""
        with translated("reach", f"bucket {self.unchecked_name}"):
            self.client.head_bucket(Bucket=self.unchecked_name)
        return self.unchecked_name

    def doing(self, verb: str, key: str) -> AbstractContextManager[None]:
        """What boto3 raises inside comes out as ours, with the verb and the object."""
        return translated(verb, self.where(key))

    def where(self, key: str) -> str:
        return f"s3://{self.unchecked_name}/{key}"

    def send(self, key: str, body: bytes, **more: Any) -> None:
        """One whole object in one request."""
        with self.doing("write", key):
            answer = self.client.put_object(Bucket=self.name, Key=key, Body=body, **self.proof(body), **more)
        require(answer, "ETag", "write", self.where(key))

    def begin(self, key: str, **more: Any) -> str:
        """The id of a new multipart upload."""
        with self.doing("write", key):
            begun = self.client.create_multipart_upload(Bucket=self.name, Key=key, **more)
        require(begun, "UploadId", "write", self.where(key))
        return begun["UploadId"]

    def proof(self, body: bytes) -> dict[str, Any]:
        """What the store needs to refuse a body that changed on its way, where boto3 does not add it by itself."""
        if not self.own_digests:
            return {}
        return {"ContentMD5": base64.b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode()}
