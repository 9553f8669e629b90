"""HTTP/1.1 on a listening socket: requests in, answers out, and everything a client may do wrong in between.

llhttp (`httptools`) reads the bytes; this module keeps what a parser does not: how many connections there are, how much
they may send and how long they may take to, the order of pipelined answers, and an end that loses no answer. A request
is handed to one function as soon as it is whole, and answered by a call, now or later: no task, no coroutine and no
second object a message, which is what an answer of 50 µs would mostly consist of (docs/adr/0008).
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import secrets
import socket
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import formatdate
from http import HTTPStatus
from typing import cast

import httptools
import orjson

JSON = b"content-type: application/json\r\n"
CLIENT_GONE = 499
"""Status under which a request is counted whose client did not wait for its answer (nginx's number for it)."""
SWEEP_SECONDS = 1.0
LINGER_SECONDS = 2.0
"""Time for which what a refused client still sends is read and thrown away, so that it gets to read why."""
MOST_REFUSED = 128
"""Connections above the limit that are told so; further ones are just closed."""
_REQUEST_ID = re.compile(rb"[!-~]{1,128}")
_HEADS = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus}
_EMPTY = b""
_NEVER = float("inf")


@dataclass(frozen=True)
class Limits:
    """What clients may take up."""

    connections: int = 1024
    """Connections at a time: as many as Envoy opens to one upstream by default."""
    head_bytes: int = 32 * 2**10
    headers: int = 100
    head_seconds: float = 10.0
    """From a connection's or a request's first byte to the end of its headers."""
    body_bytes: int = 8 * 2**20
    body_seconds: float = 10.0
    """From the end of the headers to the end of the body."""
    buffered_bytes: int = 64 * 2**20
    """Bodies of all connections together that are held at a time."""
    idle_seconds: float = 75.0
    """Between two requests; longer than the gateway keeps an idle connection, so that this side never closes first."""
    write_seconds: float = 30.0
    """For a client to take its answer."""


class Request:
    """One whole request, to be answered once."""

    __slots__ = ("_connection", "began", "body", "gone", "headers", "keep", "method", "name", "path")

    def __init__(
        self, connection: Connection | None, method: bytes, path: str, headers: dict[bytes, bytes], body: bytes
    ) -> None:
        self._connection = connection
        self.method, self.path, self.headers, self.body = method, path, headers, body
        self.began = _NEVER if connection is None else connection.began
        """`time.monotonic()` at its first byte."""
        self.name = _EMPTY
        self.keep = True
        self.gone = False
        """Whether the client went away; it is not answered then."""

    def answer(self, status: int, body: bytes, headers: bytes = JSON) -> None:
        """Send the answer; `headers` are whole lines. Only on the loop's thread."""
        if self._connection is not None and not self.gone:
            self._connection.answer(self, status, body, headers)


Handler = Callable[[Request], None]
"""Answers a request now or later."""
Refused = Callable[[int], None]
"""Is told the status of each request that no handler saw."""


class Hub:
    """All connections of one server."""

    def __init__(self, handler: Handler, limits: Limits, refused: Refused) -> None:
        self.handler, self.limits, self.refused = handler, limits, refused
        self.connections: set[Connection] = set()
        self.buffered = 0
        """Bytes of bodies that are held."""
        self.stopping = False
        self.date = _EMPTY
        # Unique in this process by its count, among processes by 64 random bits: a UUID costs twenty times as much.
        self._prefix, self._count = secrets.token_hex(8).encode(), 0
        self._idle = asyncio.Event()
        self._sweeper: asyncio.TimerHandle | None = None
        self._listener: asyncio.Server | None = None

    def next_name(self) -> bytes:
        """Return a request's name that no other request has."""
        self._count += 1
        return b"%s%016x" % (self._prefix, self._count)

    async def listen(self, bound: socket.socket, backlog: int = 1024) -> None:
        """Take connections from a bound socket from now on."""
        loop = asyncio.get_running_loop()
        self._sweep(loop)
        self._listener = await loop.create_server(lambda: Connection(self, loop), sock=bound, backlog=backlog)

    async def stop(self, seconds: float) -> bool:
        """Take nothing new, answer what is there for at most `seconds`; tell whether all of it was answered."""
        self.stopping = True
        if self._listener is not None:
            self._listener.close()
        for connection in tuple(self.connections):
            connection.wind_down()
        self._notice()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._idle.wait(), seconds)
        done = not self.connections
        for connection in tuple(self.connections):
            connection.abort()
        if self._sweeper is not None:
            self._sweeper.cancel()
        return done

    def add(self, connection: Connection) -> int:
        """Count a new connection; return how many there are."""
        self.connections.add(connection)
        return len(self.connections)

    def remove(self, connection: Connection) -> None:
        """Forget a connection that ended."""
        self.connections.discard(connection)
        self._notice()

    def _notice(self) -> None:
        if self.stopping and not self.connections:
            self._idle.set()

    def _sweep(self, loop: asyncio.AbstractEventLoop) -> None:
        """Look at every connection's time, and write the date of the answers to come."""
        self.date = f"date: {formatdate(usegmt=True)}\r\n".encode()
        now = time.monotonic()
        for connection in [one for one in self.connections if one.due < now]:
            connection.overdue()
        limits = self.limits
        shortest = min(limits.head_seconds, limits.body_seconds, limits.idle_seconds, limits.write_seconds)
        self._sweeper = loop.call_later(min(SWEEP_SECONDS, shortest / 2), self._sweep, loop)


class Connection(asyncio.Protocol):
    """One client's connection: the parser's callbacks, the order of answers, and what is due by when."""

    def __init__(self, hub: Hub, loop: asyncio.AbstractEventLoop) -> None:
        self.hub, self._loop, self._limits = hub, loop, hub.limits
        self._transport: asyncio.Transport
        self._parser = httptools.HttpRequestParser(self)
        self.began = time.monotonic()
        self.due = self.began + self._limits.head_seconds
        """`time.monotonic()` from which the client has taken too long."""
        self._phase = "head"  # of what is read next: head, body, or lingering when nothing counts any more
        self._current: Request | None = None
        self._waiting: deque[Request] = deque()
        self._refusal: tuple[int, str] | None = None
        self._blocked = self._begun_here = False
        self._begin()

    def _begin(self) -> None:
        self._url = _EMPTY
        self._headers: dict[bytes, bytes] = {}
        self._parts: list[bytes] = []
        self._head_size = self._size = self._left = 0
        self._method, self._keep = _EMPTY, True

    # What the loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Greet a client, or refuse one too many."""
        self._transport = cast("asyncio.Transport", transport)
        excess = self.hub.add(self) - self._limits.connections
        if excess > MOST_REFUSED:
            self.abort()
        elif excess > 0:
            self._refuse(503, f"more than {self._limits.connections} connections are open")

    def _feed_body(self, data: bytes | memoryview) -> bytes | memoryview:
        """Take what the parser leaves of a body; return what is behind it."""
        part = bytes(data[: self._left])
        self._left -= len(part)
        self.on_body(part)
        if not self._left:
            self._complete()
        return data[len(part) :]

    def connection_lost(self, _: Exception | None) -> None:
        """Forget the client; whatever is computed for it is not sent.

        A client that ended its side only, waiting for an answer, looks the same and is taken for gone, as by other
        servers: what a gateway gave up would be computed otherwise.
        """
        self.hub.buffered -= self._size
        self._size = 0
        for request in (self._current, *self._waiting):
            if request is not None:
                request.gone = True
                self.hub.buffered -= len(request.body)
        self._current = None
        self._waiting.clear()
        self.hub.remove(self)

    def data_received(self, data: bytes) -> None:
        """Read what came."""
        if self._phase == "lingering":
            return
        if self._phase == "idle":
            self._phase, self.began = "head", time.monotonic()
            self.due = self.began + self._limits.head_seconds
        self._begun_here = False
        try:
            self._feed(data)
        except httptools.HttpParserCallbackError as error:
            raise error.__context__ or error from None
        except httptools.HttpParserError as error:
            self._refusal = self._refusal or (400, f"this is no HTTP request: {error}")
        if self._phase == "head" and not self._begun_here:
            # The parser keeps a header that has not ended to itself: without this it could grow and grow.
            self._count_head(len(data))
        if self._refusal is not None:
            if self._current is None:
                self._refuse(*self._refusal)
            else:
                self._transport.pause_reading()

    def _feed(self, data: bytes) -> None:
        rest: bytes | memoryview = data
        while rest:
            if self._left:
                rest = self._feed_body(rest)
                continue
            try:
                self._parser.feed_data(rest)
            except httptools.HttpParserUpgrade as upgrade:
                # A client may offer another protocol; a server may go on with this one behind the request.
                self._parser = httptools.HttpRequestParser(self)
                rest = memoryview(rest)[upgrade.args[0] :]
            else:
                return

    def pause_writing(self) -> None:
        """Wait for a client that does not read."""
        self._blocked = True
        self.due = time.monotonic() + self._limits.write_seconds

    def resume_writing(self) -> None:
        """Go on: the client has read."""
        self._blocked = False
        self.due = self._due()
        self._next()

    # What the parser calls.

    def on_message_begin(self) -> None:
        """Start a request."""
        if self._phase != "head":  # another one in the same bytes
            self._phase, self.began = "head", time.monotonic()
            self.due = self._due()
        self._begun_here = True
        self._begin()

    def on_url(self, url: bytes) -> None:
        """Take a piece of the target."""
        self._url += url
        self._count_head(len(url))

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take one header; what is there twice is a list."""
        name, headers = name.lower(), self._headers
        headers[name] = headers[name] + b", " + value if name in headers else value
        self._count_head(len(name) + len(value) + 4)

    def on_headers_complete(self) -> None:
        """Refuse what is not wanted before its body comes."""
        self._phase = "body"
        self._method, self._keep = self._parser.get_method(), self._parser.should_keep_alive()
        self.due = self._due()
        stated = self._headers.get(b"content-length")
        if len(self._headers) > self._limits.headers:
            self._refusal = 431, f"there are more than {self._limits.headers} headers"
        elif stated is not None and int(stated) > self._limits.body_bytes:
            self._refusal = 413, f"the body is larger than {self._limits.body_bytes} bytes"
        elif self._headers.get(b"expect", _EMPTY).lower() == b"100-continue" and self._current is None:
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, part: bytes) -> None:
        """Take a piece of the body."""
        if self._refusal is not None:
            return
        self._size += len(part)
        self.hub.buffered += len(part)
        if self._size > self._limits.body_bytes:
            self._drop_body(413, f"the body is larger than {self._limits.body_bytes} bytes")
        elif self.hub.buffered > self._limits.buffered_bytes:
            self._drop_body(503, "the server holds as many requests as it has room for")
        else:
            self._parts.append(part)

    def on_message_complete(self) -> None:
        """Hand a whole request over, or go on to the body that the parser leaves of one that offers an upgrade."""
        if self._refusal is not None:
            return
        if self._parser.should_upgrade():
            if b"transfer-encoding" in self._headers:
                self._refusal = 400, "a request that offers another protocol must state its content-length"
                return
            self._left = int(self._headers.get(b"content-length", b"0"))
        if not self._left:
            self._complete()

    def _complete(self) -> None:
        """Hand a whole request over, in its turn."""
        if self._refusal is not None:
            return
        path = self._url.partition(b"?")[0].decode("latin-1")
        body = self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
        request = Request(self, self._method, path, self._headers, body)
        given = self._headers.get(b"x-request-id")
        request.name = given if given is not None and _REQUEST_ID.fullmatch(given) else self.hub.next_name()
        request.keep = self._keep
        self._size, self._parts = 0, []
        self._phase = "done"
        if self._current is None and not self._blocked:
            self._handle(request)
        else:
            self._waiting.append(request)
            self._transport.pause_reading()

    def _count_head(self, size: int) -> None:
        self._head_size += size
        if self._head_size > self._limits.head_bytes:
            self._refusal = self._refusal or (431, f"the headers are larger than {self._limits.head_bytes} bytes")
            self._url, self._headers = _EMPTY, {}

    def _drop_body(self, status: int, message: str) -> None:
        self.hub.buffered -= self._size
        self._size, self._parts = 0, []
        self._refusal = status, message

    # Requests and answers.

    def _handle(self, request: Request) -> None:
        self._current, self.due = request, _NEVER
        self.hub.handler(request)

    def answer(self, request: Request, status: int, body: bytes, headers: bytes) -> None:
        """Send the answer to the current request, and turn to the next one."""
        hub = self.hub
        hub.buffered -= len(request.body)
        keep = request.keep and not hub.stopping and self._refusal is None
        self._transport.write(
            b"%s%s%sx-request-id: %s\r\n%scontent-length: %d\r\n\r\n%s"
            % (
                _HEADS.get(status) or _HEADS[500],
                hub.date,
                headers,
                request.name,
                _EMPTY if keep else b"connection: close\r\n",
                len(body),
                body if request.method != b"HEAD" else _EMPTY,
            )
        )
        self._current = None
        if not keep:
            self._end()
            self._transport.close()
            return
        if self._phase == "done":
            self._phase = "idle"
        self.due = self._due()
        if self._waiting:
            self._loop.call_soon(self._next)

    def _due(self) -> float:
        limits = self._limits
        if self._blocked:
            return self.due
        if self._current is not None:
            return _NEVER
        if self._phase == "idle":
            return self.began + limits.idle_seconds
        return self.began + limits.head_seconds + (limits.body_seconds if self._phase == "body" else 0)

    def _next(self) -> None:
        """Handle the next pipelined request, or read on."""
        if self._current is not None or self._blocked or self._phase == "lingering":
            return
        if self._waiting:
            self._handle(self._waiting.popleft())
        if not self._waiting and not self._transport.is_closing():
            self._transport.resume_reading()

    def _refuse(self, status: int, message: str) -> None:
        """Answer what is no request, or too much of one, and end the connection."""
        self.hub.refused(status)
        body = orjson.dumps({"error": message})
        head = b"%s%s%sx-request-id: %s\r\nconnection: close\r\ncontent-length: %d\r\n%s\r\n" % (
            _HEADS[status],
            self.hub.date,
            JSON,
            self.hub.next_name(),
            len(body),
            b"retry-after: 1\r\n" if status == HTTPStatus.SERVICE_UNAVAILABLE else _EMPTY,
        )
        self._transport.write(head + body)
        self._linger()

    def _linger(self) -> None:
        """End the connection once the client has had the time to read."""
        self._end()
        if self._transport.is_closing():
            return
        self._transport.resume_reading()
        self._transport.write_eof()

    def _end(self) -> None:
        """Let nothing that still comes count."""
        self._phase, self.due = "lingering", time.monotonic() + LINGER_SECONDS
        for request in self._waiting:
            self.hub.buffered -= len(request.body)
        self._waiting.clear()

    # Time.

    def overdue(self) -> None:
        """End what took too long, with a reason where a request had begun."""
        reading = self._phase == "body" or (self._phase == "head" and self._head_size > 0)
        if self._blocked or not reading:
            self.abort()
            return
        seconds = self._limits.body_seconds if self._phase == "body" else self._limits.head_seconds
        what = "body" if self._phase == "body" else "headers"
        self._refuse(408, f"the {what} did not come within {seconds:g} s")

    def wind_down(self) -> None:
        """End an idle connection now, and any other one after its answers."""
        silent = self._phase == "idle" or (self._phase == "head" and not self._head_size)
        if silent and self._current is None:
            self._transport.close()

    def abort(self) -> None:
        """End the connection whatever is on it."""
        self._transport.abort()
