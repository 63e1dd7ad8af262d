"""Objects copied within the store: none of their bytes passes through here, so what is copied is not hashed again.

What proves a copy: its source says of itself the size and sha256 that are wanted, which a writer of ours says only of
content that it has hashed; each request is conditional on the ETag of that look, so another object is not copied; and
the copy is looked at. A source that somebody replaced under the same word is copied as it is: whoever reads the copy
hashes it, populate as well as the audit.
"""

import logging
from functools import partial

from botocore import exceptions as boto

from steps import parallel
from steps.clients import store_upload
from steps.clients.bucket import Bucket
from steps.clients.store_errors import status_of
from steps.clients.store_upload import Multipart
from steps.errors import BadInput, Conflict, Missing
from steps.ports.store import Object

MiB = 1024 * 1024
WHOLE = 256 * MiB
"""In one request. S3 takes up to 5 GiB, but one that large is silent for longer than a stall may be."""
MAX_PARTS = 10_000
WORKERS = 4

log = logging.getLogger(__name__)


def copy(bucket: Bucket, source: str, key: str, wanted: Object) -> bool:
    """Whether the object is there now, as ``wanted``. A store that will not, or cannot, leaves it to a transfer."""
    etag = _look(bucket, source, wanted)
    if etag is None:
        return False
    try:
        (_whole if wanted.size <= WHOLE else _in_parts)(bucket, source, etag, key, wanted)
    except (BadInput, Conflict, Missing) as err:
        log.warning("not copied within the store: %s", err)
    return store_upload.stat(bucket, key) == wanted


def _look(bucket: Bucket, source: str, wanted: Object) -> str | None:
    """The source's ETag, None where it is not what is wanted."""
    with bucket.doing("read", source):
        try:
            head = bucket.client.head_object(Bucket=bucket.name, Key=source)
        except boto.ClientError as err:
            if status_of(err) == 404:
                return None
            raise
    return head["ETag"] if store_upload.described(head) == wanted else None


def _whole(bucket: Bucket, source: str, etag: str, key: str, wanted: Object) -> None:
    with bucket.doing("copy", key):
        bucket.client.copy_object(
            Bucket=bucket.name,
            Key=key,
            CopySource={"Bucket": bucket.name, "Key": source},
            CopySourceIfMatch=etag,
            MetadataDirective="REPLACE",
            Metadata={"sha256": wanted.sha256 or ""},
        )


def _in_parts(bucket: Bucket, source: str, etag: str, key: str, wanted: Object) -> None:
    size = max(WHOLE, -(-wanted.size // MAX_PARTS))
    starts = enumerate(range(0, wanted.size, size), start=1)
    ranges = [(number, start, min(start + size, wanted.size)) for number, start in starts]
    upload = Multipart(bucket, key, wanted)
    try:
        parallel.in_order(partial(_part, upload, source, etag), ranges, WORKERS, parallel.nothing)
        upload.complete()
    finally:
        upload.end()


def _part(upload: Multipart, source: str, etag: str, piece: tuple[int, int, int]) -> None:
    number, start, end = piece
    upload.copy(number, source, etag, start, end)
