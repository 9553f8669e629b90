"""HTTP/1.1 to one server: a body out, an answer in, over connections that are kept.

The other half of `connection.py`, and for the same reason (docs/adr/0008): llhttp reads the bytes, and the environment
of model servers, which projects share, holds no client library.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import NamedTuple
from urllib.parse import urlsplit

import httptools

MOST_BYTES = 64 * 2**20
"""Size of an answer: far above what a request of ours is answered with, and far below what ends this process."""
_PIECE = 2**16


class Answer(NamedTuple):
    """A whole answer."""

    status: int
    body: bytes


class Caller:
    """Posts JSON to one address. Whoever waits says for how long; one that is cancelled costs its connection."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._host, self._port = parts.hostname or "", parts.port or 80
        self._path = parts.path.rstrip("/")
        self._name = parts.netloc.rpartition("@")[2].encode()
        self._idle: list[_Connection] = []

    async def post(self, path: str, body: bytes) -> Answer:
        """Send JSON and return the answer. Raises `OSError`, `httptools.HttpParserError`.

        A kept connection may have been ended by the other side meanwhile: then the same is sent again over another, so
        it must be harmless to ask twice.
        """
        head = b"POST %s HTTP/1.1\r\nhost: %s\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
        message = head % ((self._path + path).encode(), self._name, len(body)) + body
        while self._idle:
            with contextlib.suppress(_EndedError):
                return await self._exchange(self._idle.pop(), message)
        return await self._exchange(_Connection(*await asyncio.open_connection(self._host, self._port)), message)

    def close(self) -> None:
        """End the connections that are kept."""
        for connection in self._idle:
            connection.writer.close()
        self._idle.clear()

    async def _exchange(self, connection: _Connection, message: bytes) -> Answer:
        try:
            answer, keep = await connection.exchange(message)
        except BaseException:
            connection.writer.close()
            raise
        if keep:
            self._idle.append(connection)
        else:
            connection.writer.close()
        return answer


class _EndedError(ConnectionError):
    """The other side ended a connection before it answered anything."""


class _Connection:
    """One connection, for one request at a time; the parser's callbacks."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self.writer = reader, writer
        self._parser = httptools.HttpResponseParser(self)
        self._begin()

    def _begin(self) -> None:
        self._parts: list[bytes] = []
        self._size = 0
        self._keep = self._done = False

    def on_headers_complete(self) -> None:
        """Ask whether the connection stays: the parser forgets it at the message's end."""
        self._keep = self._parser.should_keep_alive()

    def on_body(self, part: bytes) -> None:
        """Take a piece of the answer."""
        self._size += len(part)
        if self._size > MOST_BYTES:
            raise OSError(f"the answer is larger than {MOST_BYTES} bytes")
        self._parts.append(part)

    def on_message_complete(self) -> None:
        """Note the end."""
        self._done = True

    async def exchange(self, message: bytes) -> tuple[Answer, bool]:
        """Send a request; return the answer, and whether the connection takes another. Raises `_EndedError`."""
        self._begin()
        data = b""
        try:
            if not self._reader.at_eof():
                self.writer.write(message)
                data = await self._reader.read(_PIECE)
        except ConnectionError as error:
            raise _EndedError(str(error)) from error
        if not data:
            raise _EndedError("the server ended the connection without an answer")
        while True:
            self._feed(data)
            if self._done:
                return Answer(self._parser.get_status_code(), b"".join(self._parts)), self._keep
            if not (data := await self._reader.read(_PIECE)):
                raise ConnectionResetError("the server ended the connection in the middle of its answer")

    def _feed(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserCallbackError as error:
            raise error.__context__ or error from None
