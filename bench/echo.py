"""An ASGI application that reads a body and answers: what a server on this computer can reach before it does anything.

It is the first and the last row of every run, so that a reader sees whether the computer was as fast at the end as at
the beginning. Runs in an environment of its own: `python -m uvicorn bench.echo:application`.
"""

from __future__ import annotations

from typing import Any

ANSWER = b'{"predictions":[{"label":1,"probability":0.5}]}'
HEADERS = [(b"content-type", b"application/json"), (b"content-length", str(len(ANSWER)).encode())]


async def application(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Answer every request with the same few bytes once its body is there."""
    if scope["type"] != "http":
        return
    while (await receive()).get("more_body"):
        pass
    await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
    await send({"type": "http.response.body", "body": ANSWER})
