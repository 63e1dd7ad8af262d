"""What every Store does: the one in memory, and SeaweedFS through boto3."""

import functools
import os
from collections.abc import Callable

import pytest

from steps.clients import store as stores
from steps.clients import store_copy
from steps.core import parts
from steps.errors import Conflict, Corrupt, Missing
from steps.ports.store import Object, Store
from tests.stubs.s3 import S3
from tests.stubs.store import FakeStore, digest

BIG = os.urandom(parts.PREFERRED + 1)
"""The least that takes a multipart upload."""


@pytest.fixture(params=["memory", "seaweedfs", "seaweedfs when_required"])
def store(request) -> Store:
    if request.param == "memory":
        return FakeStore()
    s3: S3 = request.getfixturevalue("s3")
    return connected(s3.settings(S3_CHECKSUMS=request.param.partition(" ")[2] or "when_supported"))


@pytest.fixture(params=["memory", "seaweedfs"])
def closed(request, monkeypatch) -> Callable[[str], Store]:
    """A store that is ``missing`` its bucket, or may be read only: ``read-only``."""

    def make(how: str) -> Store:
        if request.param == "memory":
            return FakeStore(bucket_exists=how != "missing", writable=how != "read-only")
        s3: S3 = request.getfixturevalue("s3")
        given = s3.in_bucket("no-such-bucket") if how == "missing" else s3.as_reader()
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", given.who.access_key)
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", given.who.secret_key)
        return stores.connect(given.settings())

    return make


connected = functools.cache(stores.connect)
"""A client takes a tenth of a second to make."""


def upload(store: Store, key: str, body: bytes) -> None:
    with store.upload(key, len(body), digest(body)) as making:
        for part in parts.cut(len(body)).parts():
            making.part(part.number, body[part.start : part.end])
        making.complete()


def test_a_document_is_read_as_it_was_written(store):
    store.put("a/b.json", b"{}")
    assert store.get("a/b.json") == b"{}"


def test_a_document_that_is_not_there_is_none(store):
    assert store.get("a/b.json") is None


def test_put_replaces(store):
    store.put("a", b"1")
    store.put("a", b"2")
    assert store.get("a") == b"2"


def test_create_writes_only_where_nothing_is(store):
    assert store.create("a", b"1")
    assert not store.create("a", b"2")
    assert store.get("a") == b"1"


def test_create_says_no_to_the_same_body_too(store):
    store.create("a", b"1")
    assert not store.create("a", b"1")


def test_a_listing_gives_sizes_below_the_prefix_in_the_order_of_the_keys(store):
    for key, body in (("p/b", b"22"), ("p/a", b"1"), ("p/ä ß+%&.json", b""), ("q/c", b"333")):
        store.put(key, body)
    assert list(store.list("p/").items()) == [("p/a", 1), ("p/b", 2), ("p/ä ß+%&.json", 0)]


def test_an_empty_prefix_lists_nothing(store):
    assert dict(store.list("nothing/")) == {}


def test_a_deleted_object_is_gone_and_may_be_deleted_again(store):
    store.put("a", b"1")
    store.delete("a")
    store.delete("a")
    assert store.get("a") is None


@pytest.mark.parametrize("body", [b"", b"small", BIG], ids=["empty", "small", "multipart"])
def test_an_upload_says_what_its_content_is(store, body):
    upload(store, "a", body)
    assert store.stat("a") == Object(size=len(body), sha256=digest(body))
    assert b"".join(store.read("a", 0, len(body))) == body


def test_parts_may_come_in_any_order(store):
    first, second = parts.cut(len(BIG)).parts()
    with store.upload("a", len(BIG), digest(BIG)) as making:
        making.part(second.number, BIG[second.start :])
        making.part(first.number, BIG[: first.end])
        making.complete()
    assert b"".join(store.read("a", 0, len(BIG))) == BIG


@pytest.mark.parametrize("body", [b"small", BIG], ids=["small", "multipart"])
def test_an_upload_that_is_not_completed_leaves_nothing(store, body):
    with store.upload("a", len(body), digest(body)) as making:
        making.part(1, body[: parts.PREFERRED])
    assert store.stat("a") is None
    assert unfinished(store) == 0


def test_an_upload_that_fails_leaves_nothing(store):
    with pytest.raises(ZeroDivisionError), store.upload("a", len(BIG), digest(BIG)) as making:  # noqa: PT012  # as said
        making.part(1, BIG[: parts.PREFERRED])
        raise ZeroDivisionError
    assert store.stat("a") is None
    assert unfinished(store) == 0


def test_what_a_killed_upload_left_is_ended_by_the_next_one(store):
    left = store.upload("a", len(BIG), digest(BIG))  # never left, as if by SIGKILL
    left.__enter__().part(1, BIG[: parts.PREFERRED])
    assert unfinished(store) == 1
    upload(store, "a", BIG)
    assert unfinished(store) == 0
    left.__exit__(None, None, None)
    assert store.stat("a") == Object(size=len(BIG), sha256=digest(BIG))


def test_of_two_uploads_the_slower_one_meets_a_conflict(store):
    with store.upload("a", len(BIG), digest(BIG)) as slow:
        slow.part(1, BIG[: parts.PREFERRED])
        upload(store, "a", BIG)
        with pytest.raises(Conflict):
            slow.part(2, BIG[parts.PREFERRED :])


def test_uploads_to_a_key_that_only_begins_alike_go_on(store):
    with store.upload("ab", len(BIG), digest(BIG)) as other:
        upload(store, "a", BIG)
        other.part(1, BIG[: parts.PREFERRED])


def test_a_range_is_read_without_its_end(store):
    store.put("a", b"0123456789")
    assert b"".join(store.read("a", 2, 5)) == b"234"
    assert b"".join(store.read("a", 5, 5)) == b""


def test_a_range_is_read_into_memory_that_is_there(store):
    store.put("a ß+%", b"0123456789")
    memory = bytearray(b"........")
    store.read_into("a ß+%", 2, memoryview(memory)[3:6])
    store.read_into("a ß+%", 2, memoryview(memory)[:0])
    assert memory == b"...234.."


@pytest.mark.parametrize(("key", "end"), [("gone", 3), ("short", 3), ("short", 9)])
def test_an_object_that_is_gone_or_short_is_corrupt(store, key, end):
    store.put("short", b"12")
    with pytest.raises(Corrupt, match=key):
        list(store.read(key, 0, end))


def test_an_object_without_a_word_of_its_content_has_no_digest(store):
    store.put("a", b"1")
    assert store.stat("a") == Object(size=1, sha256=None)
    assert store.stat("b") is None


def test_checking_that_it_can_be_written_to_leaves_nothing(store):
    store.check_writable()
    assert dict(store.list("")) == {}
    assert unfinished(store) == 0


@pytest.mark.parametrize(
    "use",
    [
        lambda store: store.check_writable(),
        lambda store: store.put("a", b"1"),
        lambda store: store.create("a", b"1"),
        lambda store: upload(store, "a", b"1"),
        lambda store: upload(store, "a", BIG),
        lambda store: store.delete("a"),
    ],
    ids=["check_writable", "put", "create", "upload", "multipart upload", "delete"],
)
def test_a_key_that_may_only_read_is_told_so(closed, use):
    with pytest.raises(Missing):
        use(closed("read-only"))


@pytest.mark.parametrize(
    "use",
    [
        lambda store: store.check_writable(),
        lambda store: store.get("a"),
        lambda store: store.put("a", b"1"),
        lambda store: store.create("a", b"1"),
        lambda store: store.list("a"),
        lambda store: store.stat("a"),
        lambda store: upload(store, "a", BIG),
        lambda store: list(store.read("a", 0, 1)),
        lambda store: store.delete("a"),
    ],
    ids=["check_writable", "get", "put", "create", "list", "stat", "multipart upload", "read", "delete"],
)
def test_a_bucket_that_does_not_exist_is_missing(closed, use):
    with pytest.raises(Missing):
        use(closed("missing"))


def test_a_reader_may_read(closed):
    store = closed("read-only")
    assert store.get("a") is None
    assert dict(store.list("")) == {}


def unfinished(store: Store) -> int:
    """How many uploads were begun and neither completed nor ended."""
    if isinstance(store, FakeStore):
        return len(store.uploads)
    assert isinstance(store, stores.S3)
    bucket = store._bucket
    return len(bucket.client.list_multipart_uploads(Bucket=bucket.name).get("Uploads", []))


@pytest.mark.parametrize("body", [b"", b"small", BIG], ids=["empty", "small", "multipart"])
@pytest.mark.parametrize("in_parts", [False, True])
def test_a_copy_is_what_an_upload_would_have_left(store, body, in_parts, monkeypatch):
    if in_parts:
        monkeypatch.setattr(store_copy, "WHOLE", 5 * parts.MiB)
    upload(store, "from/a b+é", body)
    assert store.copy("from/a b+é", "to/x", len(body), digest(body))
    assert store.stat("to/x") == Object(size=len(body), sha256=digest(body))
    assert b"".join(store.read("to/x", 0, len(body))) == body
    store.delete("from/a b+é")
    assert b"".join(store.read("to/x", 0, len(body))) == body


def test_what_is_not_there_or_says_something_else_of_itself_is_not_copied(store):
    upload(store, "a", b"1")
    store.put("b", b"1")  # says nothing
    assert not store.copy("gone", "to", 1, digest(b"1"))
    assert not store.copy("a", "to", 2, digest(b"1"))
    assert not store.copy("a", "to", 1, digest(b"2"))
    assert not store.copy("b", "to", 1, digest(b"1"))
    assert store.stat("to") is None
