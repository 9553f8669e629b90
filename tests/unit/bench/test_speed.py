"""A server that answers otherwise than its model is not measured."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from bench import models, speed
from bench.forms import rows_form
from bench.load import LoadError
from bench.models import Sample


class Answers(BaseHTTPRequestHandler):
    """Answers with what a test says."""

    probability = 0.0
    status = 200

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        body = json.dumps({"predictions": [{"label": 1, "probability": self.probability}]}).encode()
        self.send_response(self.status)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Say nothing."""


@pytest.fixture
def address() -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), Answers)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Sample:
    return models.cancer(tmp_path_factory.mktemp("cancer"))


def right(sample: Sample) -> float:
    from mlplat.serving.model import load

    folder: Path = sample.bundles["skops"].folder
    return float(load(folder).predict(sample.first(1))[0]["probability"])


def test_the_models_own_answer_is_let_through(address: str, sample: Sample, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Answers, "probability", right(sample))
    speed.check(speed.aim("a server", sample, rows_form(), 1, address), sample)


def test_another_answer_is_refused(address: str, sample: Sample, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Answers, "probability", right(sample) - 1e-3)
    with pytest.raises(LoadError, match="answers otherwise"):
        speed.check(speed.aim("a server", sample, rows_form(), 1, address), sample)


def test_an_answer_for_fewer_rows_is_refused(address: str, sample: Sample, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Answers, "probability", right(sample))
    with pytest.raises(LoadError, match="answers otherwise"):
        speed.check(speed.aim("a server", sample, rows_form(), 2, address), sample)


def test_a_refusal_is_shown(address: str, sample: Sample, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Answers, "status", 503)
    with pytest.raises(LoadError, match="answers with 503"):
        speed.check(speed.aim("a server", sample, rows_form(), 1, address), sample)
