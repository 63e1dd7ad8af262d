"""A program that passes TCP connections on and is late with every byte: a line to a server that is far away.

    python -I -S delay_line.py HOST TO_HOST TO_PORT ONE_WAY_SECONDS

It listens on a port of HOST that it prints, and ends when its standard input does. What is read from one side is
written to the other ``ONE_WAY_SECONDS`` later, byte for byte and end for end; what else was sent meanwhile is on its
way too, so the line delays and does not slow down, up to ``WINDOW`` bytes for each direction of each connection.

A client's first bytes are on their way for three times that long: a real one does not send before its SYN was answered.
What it does not imitate: ``connect`` itself returns at once, for a refused connection too, which is then reset; a
congestion window that grows from ten segments (this one is fully open from the first byte, as after a second or two);
lost and reordered packets; and several connections that share one bottleneck, for which there is ``--link``.
"""

import contextlib
import heapq
import os
import resource
import select
import socket
import struct
import sys
import time
from collections import deque
from collections.abc import Callable
from functools import partial

PIECE = 256 * 1024
WINDOW = 2 * 1024 * 1024
"""Bytes on their way: per second and connection as much as a TCP window of twice that gives, which has to wait for the
way back too. 210 MB/s at 20 ms there and back."""
HANDSHAKE = 3
"""Times the one way: SYN, the answer to it, and the first bytes."""
AT_ONCE = struct.pack("ii", 1, 0)
GONE = select.EPOLLERR | select.EPOLLHUP


class Line:
    """All connections to one server, in one thread."""

    def __init__(self, listener: socket.socket, server: tuple[str, int], one_way: float) -> None:
        self.server = server
        self.one_way = one_way
        self.epoll = select.epoll()
        self.ends: dict[int, End] = {}
        self._listener = listener
        self._later: list[tuple[float, int, Callable[[], None]]] = []
        self._count = 0

    def run(self, until: int) -> None:
        """Until the other end of that pipe is closed."""
        self.epoll.register(self._listener, select.EPOLLIN)
        self.epoll.register(until, select.EPOLLIN)
        while True:
            self._wait()
            for fd, events in self.epoll.poll(0):
                if fd == until:
                    return
                if fd == self._listener.fileno():
                    self._accept()
                elif fd in self.ends:  # not closed by one of the events before
                    self.ends[fd].look(events)
            while self._later and self._later[0][0] <= time.monotonic():
                heapq.heappop(self._later)[2]()

    def after(self, seconds: float, do: Callable[[], None]) -> None:
        """What is due at the same time is done in the order in which it was asked for."""
        self._count += 1
        heapq.heappush(self._later, (time.monotonic() + seconds, self._count, do))

    def _wait(self) -> None:
        """``epoll`` itself counts in milliseconds, and rounds up."""
        seconds = max(0.0, self._later[0][0] - time.monotonic()) if self._later else None
        select.select([self.epoll], [], [], seconds)

    def _accept(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while True:
                accepted, _ = self._listener.accept()
                near, far = End(self, accepted), End(self, socket.socket())
                near.other, far.other = far, near
                near.open = True
                near.want()
                self.after(HANDSHAKE * self.one_way, far.connect)


class End:
    """One of the two sockets of a connection."""

    other: "End"

    def __init__(self, line: Line, connection: socket.socket) -> None:
        self.open = False
        """Whether it may be read and written."""
        self._line = line
        self._socket = connection
        self._due: deque[bytes | memoryview] = deque()
        """What came over the line to be written here; an empty one is the end."""
        self._held = 0
        """Bytes read here and not written there."""
        self._read_all = self._written_all = self._closed = False
        self._wanted = 0
        connection.setblocking(False)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        line.ends[connection.fileno()] = self

    def connect(self) -> None:
        if not self._closed:
            self._socket.connect_ex(self._line.server)
            self._want(select.EPOLLOUT)

    def look(self, events: int) -> None:
        try:
            if not self.open:
                self._connected()
            if events & (select.EPOLLOUT | GONE):
                self._write()
            if events & (select.EPOLLIN | GONE) and not self._read_all and not self._closed:
                self._read()
        except BlockingIOError:
            pass
        except OSError:
            self._break()

    def want(self) -> None:
        """To be told of what can be done, and of nothing else."""
        if self.open and not self._closed:
            reads = not self._read_all and self._held < WINDOW
            self._want(select.EPOLLIN * reads | select.EPOLLOUT * bool(self._due))

    def _want(self, events: int) -> None:
        if events == self._wanted:
            return
        if not events:
            self._line.epoll.unregister(self._socket)
        elif self._wanted:
            self._line.epoll.modify(self._socket, events)
        else:
            self._line.epoll.register(self._socket, events)
        self._wanted = events

    def _connected(self) -> None:
        if code := self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            raise OSError(code, os.strerror(code))
        self.open = True

    def _read(self) -> None:
        data = self._socket.recv(PIECE)
        self._read_all = not data
        self._held += len(data)
        self._line.after(self._line.one_way, partial(self.other.arrive, data))
        self.want()

    def arrive(self, data: bytes) -> None:
        self._due.append(data)
        if self.open and not self._closed:
            try:
                self._write()
            except BlockingIOError:
                self.want()
            except OSError:
                self._break()

    def _write(self) -> None:
        while self._due:
            data = self._due[0]
            if not data:
                self._socket.shutdown(socket.SHUT_WR)
                self._written_all = True
            elif (sent := self._socket.send(data)) < len(data):
                self._due[0] = memoryview(data)[sent:]
                self.other.taken(sent)
                break
            else:
                self.other.taken(sent)
            self._due.popleft()
        self.want()
        if self._written_all and self.other._written_all:
            self.close()
            self.other.close()

    def taken(self, size: int) -> None:
        """So many bytes that were read here are written there."""
        self._held -= size
        self.want()

    def _break(self) -> None:
        """This side is gone, which the other one learns as late as anything else."""
        self.close()
        self._line.after(self._line.one_way, self.other.reset)

    def reset(self) -> None:
        if not self._closed:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, AT_ONCE)
            self.close()

    def close(self) -> None:
        if not self._closed:
            self._want(0)
            self._closed = True
            del self._line.ends[self._socket.fileno()]
            self._socket.close()


def main(host: str, to_host: str, to_port: str, one_way: str) -> None:
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    with socket.create_server((host, 0), backlog=4096) as listener:
        listener.setblocking(False)
        print(listener.getsockname()[1], flush=True)  # noqa: T201  # to whoever started it
        Line(listener, (to_host, int(to_port)), float(one_way)).run(until=sys.stdin.fileno())


if __name__ == "__main__":
    main(*sys.argv[1:])
