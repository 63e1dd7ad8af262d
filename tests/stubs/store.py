"""A store in memory. It passes the same contract tests as the real one."""

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from steps.errors import Conflict, Corrupt, Missing
from steps.ports.store import Object, Store, Upload


class FakeStore(Store):
    """``objects`` and ``digests`` are open to the test that wants to look, or to do damage."""

    upload_type: "type[FakeUpload]"

    def __init__(self, *, bucket_exists: bool = True, writable: bool = True) -> None:
        self.bucket_exists = bucket_exists
        self.writable = writable
        self.objects: dict[str, bytes] = {}
        self.digests: dict[str, str] = {}
        """What the writer said of the content."""
        self.uploads: list[FakeUpload] = []
        """Unfinished ones, dead ones included."""
        self.reads: list[str] = []
        self.copies: list[tuple[str, str]] = []
        """From and to."""

    def check_writable(self) -> None:
        self._for("write")

    def get(self, key: str) -> bytes | None:
        self._for("read")
        return self.objects.get(key)

    def put(self, key: str, body: bytes) -> None:
        self._for("write")
        self.objects[key] = body
        self.digests.pop(key, None)

    def create(self, key: str, body: bytes) -> bool:
        self._for("write")
        if key in self.objects:
            return False
        self.put(key, body)
        return True

    def list(self, prefix: str) -> Mapping[str, int]:
        self._for("read")
        return {key: len(self.objects[key]) for key in sorted(self.objects) if key.startswith(prefix)}

    def stat(self, key: str) -> Object | None:
        self._for("read")
        body = self.objects.get(key)
        return None if body is None else Object(size=len(body), sha256=self.digests.get(key))

    @contextmanager
    def upload(self, key: str, size: int, sha256: str) -> Iterator[Upload]:
        self._for("write")
        upload = self.upload_type(self, key, sha256)
        self.uploads.append(upload)
        try:
            yield upload
        finally:
            upload.end()

    def copy(self, source: str, key: str, size: int, sha256: str) -> bool:
        self._for("write")
        if self.stat(source) != Object(size=size, sha256=sha256):
            return False
        self.copies.append((source, key))
        self.objects[key], self.digests[key] = self.objects[source], sha256
        return True

    def read(self, key: str, start: int, end: int) -> Iterator[bytes]:
        self._for("read")
        self.reads.append(key)
        body = self.objects.get(key, b"")[start:end]
        if len(body) != end - start:
            raise Corrupt(f"object {key} is gone or short")
        half = len(body) // 2
        yield from filter(None, (body[:half], body[half:]))

    def read_into(self, key: str, start: int, body: memoryview) -> None:
        for piece in self.read(key, start, start + len(body)):
            filled, body = body[: len(piece)], body[len(piece) :]
            filled[:] = piece

    def delete(self, key: str) -> None:
        self._for("write")
        self.objects.pop(key, None)
        self.digests.pop(key, None)

    def _for(self, verb: str) -> None:
        if not self.bucket_exists or (verb == "write" and not self.writable):
            raise Missing(f"the bucket is not there, or closed to {verb}")


@dataclass
class FakeUpload:
    store: FakeStore
    key: str
    sha256: str
    parts: dict[int, bytes] = field(default_factory=dict)

    def part(self, number: int, body: bytes) -> None:
        self._must_be_open()
        self.parts[number] = bytes(body)

    def complete(self) -> None:
        self._must_be_open()
        self.store.objects[self.key] = b"".join(body for _, body in sorted(self.parts.items()))
        self.store.digests[self.key] = self.sha256
        self.store.uploads = [u for u in self.store.uploads if u.key != self.key]

    def end(self) -> None:
        self.store.uploads = [u for u in self.store.uploads if u is not self]

    def _must_be_open(self) -> None:
        if not any(u is self for u in self.store.uploads):
            raise Conflict(f"the upload of {self.key} was ended by another run")


FakeStore.upload_type = FakeUpload


def digest(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()
