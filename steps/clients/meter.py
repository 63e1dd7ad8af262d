"""An HTTP transport that reads so many bytes and so long, and no more, whatever the other side sends."""

import re
import time
from collections.abc import Iterator

import httpx2

LIMIT = 64 * 1024
"""Bytes of one response: a model that does not stop is a finding, not a memory problem."""
_DONE = re.compile(rb"^data: ?\[DONE\]\s*$", re.MULTILINE)


class Meter(httpx2.BaseTransport):
    """For one request. Where it is exceeded the response simply ends, and ``too_long`` or ``too_late`` is true."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.too_long = False
        self.too_late = False
        self.began = time.monotonic()
        self._body = bytearray()
        self._inner = httpx2.HTTPTransport()

    @property
    def elapsed(self) -> float:
        """Seconds since the request went out."""
        return time.monotonic() - self.began

    @property
    def saw_done(self) -> bool:
        """Whether the stream came to its proper end; the openai client does not tell that from a cut."""
        return _DONE.search(self._body) is not None

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        self.began = time.monotonic()
        response = self._inner.handle_request(request)
        assert isinstance(response.stream, httpx2.SyncByteStream)  # of a transport that is not async
        return httpx2.Response(
            status_code=response.status_code,
            headers=[(k, v) for k, v in response.headers.raw if k.lower() != b"content-encoding"],
            stream=_Bounded(response.stream, self),
            extensions=response.extensions,
        )

    def close(self) -> None:
        self._inner.close()

    def admit(self, piece: bytes) -> bool:
        """Whether this piece may still be read."""
        self.too_long = len(self._body) + len(piece) > LIMIT
        self.too_late = self.elapsed > self.seconds
        if self.too_long or self.too_late:
            return False
        self._body += piece
        return True


class _Bounded(httpx2.SyncByteStream):
    def __init__(self, stream: httpx2.SyncByteStream, meter: Meter) -> None:
        self._stream, self._meter = stream, meter

    def __iter__(self) -> Iterator[bytes]:
        for piece in self._stream:
            if not self._meter.admit(piece):
                return
            yield piece

    def close(self) -> None:
        self._stream.close()
