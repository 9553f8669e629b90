"""An API server as far as forwarding a port goes: the stream that a kubelet answers (subprotocol `v4.channel.k8s.io`).

Each frame begins with its channel: 0 is the data of the port, 1 its errors; the first frame of each names the port.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import http.server
import json
import struct
import threading
from collections.abc import Callable, Iterator
from io import BufferedIOBase
from pathlib import Path

MAGIC = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
BINARY, CLOSE = 0x82, 0x88
DATA, ERRORS = b"\x00", b"\x01"


@contextlib.contextmanager
def server(folder: Path, answer: Callable[[bytes], bytes], fault: str = "") -> Iterator[Path]:
    """Yield the kubeconfig of a server whose only pod answers so, or whose port has a fault."""

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            if "tracking-1/portforward?ports=5000" not in self.path:
                self.send_error(404, "no such pod")
                return
            self._open()
            for channel in (DATA, ERRORS):
                _write(self.wfile, channel + struct.pack("<H", 5000))
            if fault:
                _write(self.wfile, ERRORS + fault.encode())
            while data := _read(self.rfile):
                _write(self.wfile, DATA + answer(data[1:]))
            self.close_connection = True

        def _open(self) -> None:
            key = self.headers["Sec-WebSocket-Key"].encode()
            self.send_response(101)
            self.send_header("Upgrade", "websocket")
            self.send_header("Connection", "Upgrade")
            accepted = hashlib.sha1(key + MAGIC, usedforsecurity=False).digest()
            self.send_header("Sec-WebSocket-Accept", base64.b64encode(accepted).decode())
            self.send_header("Sec-WebSocket-Protocol", self.headers["Sec-WebSocket-Protocol"])
            self.end_headers()
            self.wfile.flush()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        running.daemon_threads = True
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield _kubeconfig(folder, running.server_address[1])
        running.shutdown()
        thread.join()


def _kubeconfig(folder: Path, port: int) -> Path:
    path = folder / "kubeconfig"
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "tests",
        "clusters": [{"name": "tests", "cluster": {"server": f"http://127.0.0.1:{port}"}}],
        "users": [{"name": "tests", "user": {"token": "for tests"}}],
        "contexts": [{"name": "tests", "context": {"cluster": "tests", "user": "tests"}}],
    }
    path.write_text(json.dumps(document))
    return path


def _write(stream: BufferedIOBase, data: bytes) -> None:
    length = bytes([len(data)]) if len(data) < 126 else b"\x7e" + struct.pack(">H", len(data))
    with contextlib.suppress(OSError):
        stream.write(bytes([BINARY]) + length + data)
        stream.flush()


def _read(stream: BufferedIOBase) -> bytes:
    """Return a frame's data; nothing once the client has ended."""
    head = stream.read(2)
    if len(head) < 2 or head[0] == CLOSE:
        return b""
    size = head[1] & 0x7F
    if size == 126:
        size = struct.unpack(">H", stream.read(2))[0]
    mask, data = stream.read(4), stream.read(size)
    return bytes(each ^ mask[index % 4] for index, each in enumerate(data))
