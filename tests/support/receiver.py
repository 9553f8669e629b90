"""A receiver of webhooks on this computer: it takes what is posted and answers with a status."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any


@dataclass
class Receiver:
    """What came."""

    port: int = 0
    status: int = 200
    taken: list[tuple[str, dict[str, str], Any]] = field(default_factory=list)
    """Path, headers and content of each message."""


@contextlib.contextmanager
def receiving() -> Iterator[Receiver]:
    """Yield a receiver that listens on 127.0.0.1."""
    receiver = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            receiver.taken.append((self.path, dict(self.headers.items()), body))
            self.send_response(receiver.status)
            self.send_header("Location", "/elsewhere")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
            """Stay silent."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=lambda: server.serve_forever(poll_interval=0.02), daemon=True)
        thread.start()
        receiver.port = server.server_port
        yield receiver
        server.shutdown()
        thread.join()
