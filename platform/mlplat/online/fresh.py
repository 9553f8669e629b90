"""A request that fails for what was applied a moment ago is answered again, once the registry was read anew."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from time import monotonic as clock

from starlette.concurrency import run_in_threadpool
from starlette.types import ASGIApp, Message, Receive, Scope, Send

BAD = 400
PAUSE_SECONDS = 1.0
"""After a reading in vain: whoever asks for what is nowhere must not keep the registry's database busy."""
PATHS = ("/get-online-features", "/push", "/write-to-online-store")
"""Whose requests may be made twice."""
NEVER = float("-inf")


class Fresh:
    """An application whose memory of the registry is read anew where it does not know what it is asked for."""

    def __init__(self, app: ASGIApp, refresh: Callable[[], None]) -> None:
        self._app = app
        self._refresh = refresh
        self._reading = asyncio.Lock()
        self._read = self._vain = NEVER
        """When the last reading began, and when one last was of no use."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http" or not scope["path"].endswith(PATHS):
            await self._app(scope, receive, send)
            return
        asked, body = clock(), await _whole(receive)
        answer = await self._answer(scope, body)
        if _is_bad(answer) and await self._is_read_since(asked):
            answer = await self._answer(scope, body)
            if _is_bad(answer):
                self._vain = clock()
        for message in answer:
            await send(message)

    async def _is_read_since(self, asked: float) -> bool:
        """Have the registry read, once for all who wait for it; tell whether that began after somebody asked."""
        async with self._reading:
            if self._read >= asked:
                return True
            if clock() <= self._vain + PAUSE_SECONDS:
                return False
            self._read = clock()
            await run_in_threadpool(self._refresh)
            return True

    async def _answer(self, scope: Scope, body: bytes) -> list[Message]:
        answer: list[Message] = []
        given: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

        async def receive() -> Message:
            return given.pop() if given else {"type": "http.disconnect"}

        async def send(message: Message) -> None:
            answer.append(message)

        try:
            await self._app(dict(scope), receive, send)
        except Exception:
            # An error is answered, and then raised again for the server's log; Feast has written it down itself.
            if not answer:
                raise
        return answer


def _is_bad(answer: list[Message]) -> bool:
    return bool(answer[0]["status"] >= BAD)


async def _whole(receive: Receive) -> bytes:
    parts = []
    while True:
        message = await receive()
        parts.append(message.get("body", b""))
        if not message.get("more_body"):
            return b"".join(parts)
