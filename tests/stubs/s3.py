"""A real S3 for tests: SeaweedFS, one a test session, its bucket empty for each test."""

import functools
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from steps.settings import PREFIX, Settings, from_environment
from workflows.local import seaweed
from workflows.local.seaweed import Access
from workflows.local.services import store_keys
from workflows.local.services.store_keys import Grantee

BUCKET = "models"
"""For tests that keep to a prefix of their own."""
SCRATCH = "scratch"
"""For one test at a time, and empty for each."""
WRITER = Grantee("writer", "TESTWRITER", "canary-secret-of-the-writer", ("Admin",))
READER = Grantee("reader", "TESTREADER", "canary-secret-of-the-reader", ("Read", "List"))


@dataclass(frozen=True)
class S3:
    """A bucket, and who comes to it."""

    endpoint: str
    bucket: str
    who: Grantee = WRITER

    def environ(self) -> dict[str, str]:
        """What a step's process needs to find it."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": self.who.access_key,
            "AWS_SECRET_ACCESS_KEY": self.who.secret_key,
            "AWS_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
            PREFIX + "BUCKET": self.bucket,
        }

    def settings(self, **more: str) -> Settings:
        """``more`` are settings by their names in the environment, without the prefix."""
        return from_environment({**self.environ(), **{PREFIX + name: value for name, value in more.items()}})

    def buckets(self) -> set[str]:
        """All that this server has."""
        return {b["Name"] for b in _client(self.endpoint).list_buckets()["Buckets"]}

    def as_reader(self) -> "S3":
        return replace(self, who=READER)

    def in_bucket(self, bucket: str) -> "S3":
        return replace(self, bucket=bucket)


@contextmanager
def server(home: Path) -> Iterator[S3]:
    """SeaweedFS in this directory; afterwards neither it nor its data are left."""
    services = home / "services"
    services.mkdir(parents=True)
    store_keys.give(services, WRITER, READER)
    try:
        s3 = S3(endpoint=seaweed.start(home, BUCKET).endpoint, bucket=BUCKET)
        _client(s3.endpoint).create_bucket(Bucket=SCRATCH)
        yield s3
    finally:
        seaweed.stop(home)
        shutil.rmtree(home)


def clear(s3: S3) -> None:
    """Make the bucket as empty as a new one, which would take four times as long to make."""
    client = _client(s3.endpoint)
    for page in client.get_paginator("list_objects_v2").paginate(Bucket=s3.bucket):
        for found in page.get("Contents", ()):
            client.delete_object(Bucket=s3.bucket, Key=found["Key"])
    for upload in client.list_multipart_uploads(Bucket=s3.bucket).get("Uploads", ()):
        client.abort_multipart_upload(Bucket=s3.bucket, Key=upload["Key"], UploadId=upload["UploadId"])


def unfinished(s3: S3) -> list[str]:
    """Keys of the multipart uploads that nobody completed or aborted."""
    found = _client(s3.endpoint).list_multipart_uploads(Bucket=s3.bucket)
    return [upload["Key"] for upload in found.get("Uploads", ())]


def renew(s3: S3) -> None:
    """Another bucket of the same name: what was in it takes no room any more."""
    clear(s3)
    _client(s3.endpoint).delete_bucket(Bucket=s3.bucket)
    _client(s3.endpoint).create_bucket(Bucket=s3.bucket)


@functools.cache
def _client(endpoint: str) -> Any:
    return seaweed.client(Access(endpoint=endpoint, access_key=WRITER.access_key, secret_key=WRITER.secret_key))
