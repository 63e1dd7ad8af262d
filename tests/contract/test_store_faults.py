"""The real S3 client against SeaweedFS behind a network that goes wrong."""

import os
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from steps import parallel, processes
from steps.clients import store as stores
from steps.clients import store_copy
from steps.clients.volume import Directory
from steps.contracts import PopulateInputs
from steps.core import parts
from steps.core.names import Layout
from steps.errors import BadInput, Conflict, Missing, Transient
from steps.populate import populate
from steps.ports.store import Store
from tests.stubs.proxy import Proxy, proxy, s3_error, web_page
from tests.stubs.released import Released, weights
from tests.stubs.s3 import S3
from tests.stubs.store import digest

MARKER = b"<a marker that no header holds>"
SMALL = MARKER * 100
BIG = os.urandom(parts.PREFERRED - len(SMALL) + 1) + SMALL
"""Multipart; the marks are in both parts."""


@pytest.fixture
def network(s3: S3, monkeypatch) -> Iterator[Proxy]:
    with proxy(s3.endpoint) as between:
        monkeypatch.setenv("AWS_ENDPOINT_URL", between.endpoint)
        yield between


def connect(s3: S3, **settings: str) -> Store:
    return stores.connect(s3.settings(**settings))


def upload(store: Store, body: bytes) -> None:
    with store.upload("a", len(body), digest(body)) as making:
        for part in parts.cut(len(body)).parts():
            making.part(part.number, body[part.start : part.end])
        making.complete()


@pytest.mark.parametrize("body", [SMALL, BIG], ids=["small", "multipart"])
@pytest.mark.parametrize("checksums", ["when_supported", "when_required"])
def test_a_bit_that_flips_on_the_way_up_never_becomes_an_object(s3, network, checksums, body):
    store = connect(s3, S3_CHECKSUMS=checksums)
    network.up = network.flip(MARKER)
    with pytest.raises(Transient):
        upload(store, body)
    assert network.hits == 1
    assert store.stat("a") is None
    upload(store, body)
    assert b"".join(store.read("a", 0, len(body))) == body


def test_a_bit_that_flips_on_the_way_down_costs_one_more_read(s3, network, tmp_path):
    model = Released({**weights(), "tokenizer.json": SMALL}, layout=Layout())
    store = connect(s3)
    model.resolve_into(store)
    model.mirror_into(store)
    network.down = network.flip(MARKER)
    populate(PopulateInputs(deployment="chat", release_id=model.release_id), store, Directory(tmp_path), Layout())
    assert network.hits == 1
    assert (tmp_path / "org--stub" / model.commit / "tokenizer.json").read_bytes() == SMALL


def test_a_body_that_breaks_off_is_read_on_from_there(s3, network):
    store = connect(s3)
    upload(store, BIG)
    network.down = network.cut_once(lambda data: MARKER in data)
    memory = bytearray(len(BIG))
    store.read_into("a", 0, memoryview(memory))
    assert memory == BIG
    assert network.hits == 1


@pytest.mark.parametrize(("status", "code"), [(503, "SlowDown"), (500, "InternalError"), (400, "RequestTimeout")])
def test_a_read_that_a_busy_store_refuses_is_asked_again(s3, network, status, code):
    store = connect(s3)
    upload(store, BIG)
    network.answers.append(s3_error(status, code))
    assert b"".join(store.read("a", 0, len(BIG))) == BIG
    assert network.hits == 1


@pytest.mark.parametrize("answer", [web_page(b"<html>Sign in</html>"), s3_error(301, "PermanentRedirect")])
def test_a_read_that_is_answered_by_something_else_is_told_so(s3, network, answer):
    store = connect(s3)
    upload(store, BIG)
    network.answers.append(answer)
    with pytest.raises((Missing, BadInput), match=r"AWS_ENDPOINT_URL|AWS_REGION"):
        list(store.read("a", 0, len(BIG)))
    assert network.hits == 1


def test_reads_go_through_the_proxy_that_the_environment_names(s3, network, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://store.invalid")
    monkeypatch.setenv("HTTP_PROXY", network.endpoint)
    monkeypatch.delenv("NO_PROXY", raising=False)
    store = connect(s3)
    upload(store, BIG)
    assert b"".join(store.read("a", 0, len(BIG))) == BIG


@pytest.mark.parametrize("passes", [0, 1], ids=["no answer", "a body that stops"])
def test_a_store_that_hangs_is_known_after_one_stall(s3, network, passes):
    store = connect(s3, STALL_SECONDS="3")
    upload(store, BIG)
    over = threading.Event()
    left = iter([True] * passes)

    def hang(data: bytes) -> bytes:
        if not next(left, False):
            over.wait(60)
        return data

    network.down = hang
    started = time.monotonic()
    with pytest.raises(Transient, match="the store did not answer, or not in full"):
        list(store.read("a", 0, len(BIG)))
    assert 3 <= time.monotonic() - started < 6
    over.set()


CALLS: list[Callable[[Store], object]] = [
    lambda store: store.check_writable(),
    lambda store: store.list("a"),
    lambda store: store.get("a"),
    lambda store: store.put("a", b"1"),
    lambda store: upload(store, BIG),
]


@pytest.mark.parametrize("call", CALLS, ids=["check_writable", "list", "get", "put", "upload"])
def test_a_web_page_is_no_store(s3, network, call):
    network.answers.extend([web_page(b""), web_page(b"<html><body>Sign in</body></html>")])
    with pytest.raises(Missing, match="what answered is no S3 store; set AWS_ENDPOINT_URL"):
        call(connect(s3))


def test_an_expired_token_is_missing_although_a_head_tells_no_more_than_400(s3, network):
    network.answers.append(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
    with pytest.raises(Missing, match="check the S3 credentials"):
        connect(s3).get("a")


def test_a_store_that_is_busy_for_a_moment_is_asked_again(s3, network):
    store = connect(s3)
    store.check_writable()
    network.answers.append(s3_error(503, "SlowDown"))
    store.put("a", b"1")
    assert network.hits == 1
    assert store.get("a") == b"1"


def test_who_created_is_told_so_although_the_reply_was_lost(s3, network):
    store = connect(s3)
    store.check_writable()
    network.down = network.cut_once(lambda data: data.startswith(b"HTTP/1.1 200"))
    assert store.create("a", b"mine")
    assert network.hits == 1
    assert store.get("a") == b"mine"


def test_a_completed_upload_is_told_so_although_the_reply_was_lost(s3, network):
    store = connect(s3)
    network.down = network.cut_once(lambda data: b"CompleteMultipartUploadResult" in data)
    upload(store, BIG)
    assert network.hits == 1
    stat = store.stat("a")
    assert stat
    assert stat.sha256 == digest(BIG)


@pytest.mark.parametrize(("status", "code"), [(400, "InvalidArgument"), (501, "NotImplemented")])
def test_a_store_that_knows_no_checksums_leads_to_the_setting(s3, network, status, code):
    store = connect(s3)
    store.check_writable()
    network.answers.extend([s3_error(status, code)] * stores.ATTEMPTS)
    with pytest.raises(BadInput, match="VLLM_PROMOTE_S3_CHECKSUMS=when_required"):
        store.put("a", b"1")


def test_an_upload_that_another_run_ended_meets_a_conflict(s3, network):
    store = connect(s3)
    with pytest.raises(Conflict), store.upload("a", len(BIG), digest(BIG)) as making:  # noqa: PT012  # as said
        network.answers.append(s3_error(404, "NoSuchUpload"))
        making.part(1, BIG[: parts.PREFERRED])


@pytest.mark.parametrize("key", ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"])
def test_a_wrong_key_is_missing_and_its_value_is_not_told(s3, monkeypatch, key):
    monkeypatch.setenv(key, "canary-of-a-wrong-key")
    with pytest.raises(Missing, match="check the S3 credentials") as failure:
        connect(s3).get("a")
    assert "canary" not in str(failure.value)


def test_no_credentials_at_all_are_missing(s3, monkeypatch, tmp_path):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "nothing"))
    with pytest.raises(Missing, match="AWS_ACCESS_KEY_ID"):
        connect(s3).get("a")


def test_an_endpoint_that_cannot_be_is_bad_input(s3, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "no endpoint")
    with pytest.raises(BadInput, match="AWS_"):
        connect(s3)


def test_a_bucket_that_is_missing_is_named_with_what_to_do(s3):
    with pytest.raises(Missing, match=r"cannot reach bucket no-such-bucket.*VLLM_PROMOTE_BUCKET"):
        connect(replace(s3, bucket="no-such-bucket")).put("a", b"1")


@pytest.mark.parametrize("whole", [parts.PREFERRED * 9, 5 * parts.MiB], ids=["whole", "in parts"])
def test_the_bytes_of_a_copy_do_not_pass_here(s3, network, monkeypatch, whole):
    monkeypatch.setattr(store_copy, "WHOLE", whole)
    passed: list[int] = []
    store = connect(s3)
    upload(store, BIG)

    def counted(data: bytes) -> bytes:
        passed.append(len(data))
        return data

    network.up = network.down = counted
    assert store.copy("a", "b", len(BIG), digest(BIG))
    assert 0 < sum(passed) < 20_000
    assert b"".join(store.read("b", 0, len(BIG))) == BIG
    assert sum(passed) > len(BIG)


@pytest.mark.parametrize("whole", [parts.PREFERRED * 9, 5 * parts.MiB], ids=["whole", "in parts"])
def test_a_source_that_is_replaced_after_the_look_is_not_copied(s3, monkeypatch, whole):
    monkeypatch.setattr(store_copy, "WHOLE", whole)
    store = connect(s3)
    upload(store, BIG)
    look, other, replaced = store_copy._look, BIG[::-1], []

    def then_replaced(bucket, source, wanted):
        etag = look(bucket, source, wanted)
        with store.upload("a", len(other), digest(BIG)) as making:  # under the same word
            for part in parts.cut(len(other)).parts():
                making.part(part.number, other[part.start : part.end])
            making.complete()
        replaced.append(etag)
        return etag

    monkeypatch.setattr(store_copy, "_look", then_replaced)
    assert not store.copy("a", "b", len(BIG), digest(BIG))
    assert replaced
    assert store.stat("b") is None


def test_a_key_that_may_not_write_copies_nothing_and_the_transfer_after_it_says_why(s3, monkeypatch, caplog):
    upload(connect(s3), SMALL)
    reader = s3.as_reader()
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", reader.who.access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", reader.who.secret_key)
    assert not connect(reader).copy("a", "b", len(SMALL), digest(SMALL))
    assert "not copied within the store: cannot copy s3://" in caplog.text
    assert connect(s3).stat("b") is None


def test_processes_that_are_forked_share_no_connection(s3, network):
    """The one that is kept is idle when both ask, for no answer is on its way: on it each would read the other's."""
    store = connect(s3)
    for n in range(2):
        store.put(str(n), bytes([n]) * 1000)

    def slow(data: bytes) -> bytes:
        time.sleep(0.3)  # both have asked before either is answered
        return data

    def read(n: int) -> int:
        body = memoryview(bytearray(1000))
        store.read_into(str(n), 0, body)
        assert body == bytes([n]) * 1000
        assert store.get(str(n)) == bytes(body)
        return 1

    read(0)
    network.down = slow
    processes.each(read, range(2), 2, 1, parallel.nothing)
    assert read(1)
