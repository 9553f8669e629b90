"""Fixtures of units that run a project's flow."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from mlplat.contracts import Connection

FLOW = """
import json, os, pathlib, sys
from metaflow import FlowSpec, Parameter, step


class TinyFlow(FlowSpec):
    until = Parameter("until", default="")
    sample = Parameter("sample", default=0)
    overrides = Parameter("set-json", default="{}")

    @step
    def start(self):
        print("reading")
        self.parts = [1, 2]
        self.next(self.fit, foreach="parts")

    @step
    def fit(self):
        self.part = self.input
        self.next(self.judge)

    @step
    def judge(self, inputs):
        self.total = sum(each.part for each in inputs)
        if pathlib.Path("broken").exists():
            raise ValueError("the data is broken\\nin two places")
        if pathlib.Path("wait").exists():
            pathlib.Path("waiting").touch()
            import signal
            signal.pause()
        self.next(self.end)

    @step
    def end(self):
        status = "refused" if pathlib.Path("refuse").exists() else "registered"
        seen = {name: os.environ.get(name) for name in ("MLFLOW_TRACKING_URI", "MLPLAT_CLOCK", "METAFLOW_PROFILE")}
        result = {
            "status": status, "step": "end", "message": "auc is too low" if status == "refused" else "",
            "model": "tiny/late", "version": None if status == "refused" else "1",
            "digest": "sha256:" + "ab" * 32, "run_id": "r",
            "metrics": {"auc": 0.75}, "seen": seen, "given": [self.until, self.sample, json.loads(self.overrides)],
            "gate": {"version": 1, "passed": status != "refused", "champion": None, "rules": [
                {"name": "auc floor", "passed": status != "refused", "required": 0.7, "measured": 0.65, "detail": ""}]},
        }
        pathlib.Path(os.environ["MLPLAT_RESULT"]).write_text(json.dumps(result))
        if status == "refused":
            sys.exit(1)


if __name__ == "__main__":
    TinyFlow()
"""


PROJECT = """\
version: 1
project: tiny
model: late
task: binary
data: {source: flights, target: late}
"""


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    """Return a project with one small Metaflow flow, `train`; files in it make the flow fail, refuse or wait."""
    folder = tmp_path / "tiny"
    (folder / "flows").mkdir(parents=True)
    (folder / "mlplat.yaml").write_text(PROJECT)
    (folder / "flows/train.py").write_text(FLOW)
    return folder


class _Answer(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200 if self.path.startswith("/api/2.0/mlflow/experiments/get?") else 404)
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def connection() -> Iterator[Connection]:
    """Return a connection whose tracking address answers that it is ready, and is written where projects look."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Answer)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    address = f"http://127.0.0.1:{server.server_port}"
    made = Connection(
        "mlplat", "local", "local", address, "http://127.0.0.1:1", "sqlite:////none", "2013-04-01T00:00:00Z"
    )
    made.write()
    yield made
    server.shutdown()
    server.server_close()
    thread.join()
