"""The server as the process that it is: refusals before it binds, answers, and a clean end."""

from __future__ import annotations

import json
import select
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pyarrow.parquet as pq
import pytest

from mlplat.bundle import CONTRACT_FILE, digest

DEADLINE = 60.0
Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start() -> Iterator[Start]:
    """Start servers; end those that a test leaves."""
    running: list[subprocess.Popen[str]] = []

    def begin(bundle: Path, *arguments: str, port: int = 0, wanted: str | None = None) -> subprocess.Popen[str]:
        command = [
            sys.executable,
            "-m",
            "mlplat.serving",
            "--bundle",
            str(bundle),
            "--digest",
            wanted or digest(bundle),
        ]
        command += ["--endpoint", "flights/late", "--revision", "r1", "--model-version", "3", "--port", str(port)]
        running.append(subprocess.Popen([*command, *arguments], stderr=subprocess.PIPE, text=True))
        return running[-1]

    yield begin
    for process in running:
        if process.poll() is None:
            process.kill()
        process.communicate()


def address(process: subprocess.Popen[str]) -> str:
    """Return where a server that has started answers."""
    assert process.stderr is not None
    readable, _, _ = select.select([process.stderr], [], [], DEADLINE)
    assert readable, "the server did not start in time"
    line = process.stderr.readline()
    assert " at http://" in line, line + process.communicate()[1]
    return line.split(" at ")[1].split(",")[0]


def examples(bundle: Path) -> list[dict[str, Any]]:
    return [example["row"] for example in json.loads((bundle / CONTRACT_FILE).read_text())["examples"]]


def test_a_server_answers_logs_and_ends(pipeline_bundle: Path, tmp_path: Path, start: Start) -> None:
    process = start(pipeline_bundle, "--log-dir", str(tmp_path / "log"), "--log-seconds", "3600")
    url = address(process)
    with httpx.Client(base_url=url, timeout=DEADLINE) as client:
        assert client.get("/v2/health/ready").json() == {"ready": True}
        answer = client.post("/predict", json={"rows": examples(pipeline_bundle)}, headers={"x-request-id": "q-1"})
        assert len(answer.json()["predictions"]) == 20
        assert client.post("/predict", content=b"{").status_code == 400
        process.send_signal(signal.SIGTERM)
        assert process.wait(DEADLINE) == 0
    (part,) = (tmp_path / "log").iterdir()
    assert pq.read_table(part, columns=["request_id"]).to_pydict() == {"request_id": ["q-1"] * 20}


def test_a_request_that_runs_is_answered_before_the_end(pipeline_bundle: Path, start: Start) -> None:
    process = start(pipeline_bundle)
    host, port = address(process).removeprefix("http://").split(":")
    body = json.dumps({"rows": examples(pipeline_bundle)}).encode()
    with socket.create_connection((host, int(port)), timeout=DEADLINE) as connection:
        head = f"POST /predict HTTP/1.1\r\nhost: server\r\ncontent-length: {len(body)}\r\n\r\n".encode()
        connection.sendall(head + body[:-1])
        _wait_for_request(f"http://{host}:{port}")
        process.send_signal(signal.SIGTERM)
        _wait_for_closed(host, int(port))
        connection.sendall(body[-1:])
        assert connection.recv(65536).startswith(b"HTTP/1.1 200")
    assert process.wait(DEADLINE) == 0


def _wait_for_request(url: str) -> None:
    end = time.monotonic() + DEADLINE
    while "mlplat_buffered_bytes 0.0" in httpx.get(f"{url}/metrics", timeout=DEADLINE).text:
        assert time.monotonic() < end, "the server did not take the request"


def _wait_for_closed(host: str, port: int) -> None:
    end = time.monotonic() + DEADLINE
    while time.monotonic() < end:
        try:
            socket.create_connection((host, port), timeout=DEADLINE).close()
        except ConnectionError:
            return
    pytest.fail("the server still takes connections")


def refused(process: subprocess.Popen[str]) -> list[str]:
    _, said = process.communicate(timeout=DEADLINE)
    assert process.returncode == 1, said
    lines = said.splitlines()
    assert lines[0].startswith("error: "), said
    return lines


def test_another_digest_is_refused(pipeline_bundle: Path, start: Start, free_port: int) -> None:
    lines = refused(start(pipeline_bundle, port=free_port, wanted="sha256:" + "0" * 64))
    assert digest(pipeline_bundle) in lines[0]
    assert lines[1].startswith("hint: ")
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", free_port)).close()


def test_another_version_is_refused(pipeline_bundle: Path, tmp_path: Path, start: Start) -> None:
    folder = Path(shutil.copytree(pipeline_bundle, tmp_path / "bundle"))
    document = json.loads((folder / CONTRACT_FILE).read_text())
    document["environment"]["scikit-learn"] = "1.0.0"
    (folder / CONTRACT_FILE).write_text(json.dumps(document))
    assert "scikit-learn 1.0.0" in refused(start(folder))[0]


def test_a_planted_type_is_refused(pipeline_bundle: Path, tmp_path: Path, start: Start) -> None:
    folder = Path(shutil.copytree(pipeline_bundle, tmp_path / "bundle"))
    document = json.loads((folder / CONTRACT_FILE).read_text())
    document["trusted_types"] = [*document["trusted_types"], "os.system"]
    (folder / CONTRACT_FILE).write_text(json.dumps(document))
    assert "os.system" in refused(start(folder))[0]


def test_a_taken_port_is_said_to_be_taken(onnx_bundle: Path, start: Start) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        lines = refused(start(onnx_bundle, port=taken.getsockname()[1]))
    assert "cannot be had" in lines[0]


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="reads what a process has loaded from /proc")
def test_an_onnx_model_is_served_without_scikit_learn(onnx_bundle: Path, start: Start) -> None:
    process = start(onnx_bundle)
    address(process)
    loaded = Path(f"/proc/{process.pid}/maps").read_text()
    assert "onnxruntime" in loaded
    assert not any(name in loaded for name in ("/sklearn/", "/pandas/", "/pyarrow/"))


def test_wrong_options_are_a_usage_error(pipeline_bundle: Path, start: Start) -> None:
    process = start(pipeline_bundle, "--waiting", "0")
    _, said = process.communicate(timeout=DEADLINE)
    assert process.returncode == 2
    assert "--waiting: must be at least 1, not 0" in said
