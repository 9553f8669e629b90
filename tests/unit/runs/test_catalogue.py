"""The registry's answers are those of MLflow 3.17.2, shortened; end-to-end tests ask a real one."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from mlplat.contracts import Connection
from mlplat.errors import UnreachableError, UsageError
from mlplat.labels import Name
from mlplat.runs.catalogue import Catalogue

LATE = Name("flights", "late")
TAGS = [{"key": "mlplat.digest", "value": "sha256:" + "ab" * 32}, {"key": "mlplat.gate", "value": "passed"}]
FORMAT = [
    {"key": "mlplat.format", "value": "onnx"},
    {"key": "mlplat.format_reason", "value": "answers as the trained model does"},
]
REPORT = {
    "passed": True,
    "champion": None,
    "rules": [{"name": "auc floor", "passed": True, "required": 0.55, "measured": 0.7, "detail": ""}],
}


def version(name: str, number: int, **more: Any) -> dict[str, Any]:
    return {"name": name, "version": str(number), "creation_timestamp": 1795254651105 + number, **more}


VERSIONS = [
    version("flights.late", 9, run_id="r9", tags=TAGS),
    version("flights.late", 10, run_id="r10", tags=[*TAGS, *FORMAT]),
    version("other", 1, run_id="r1"),
]
INFO = {"artifact_uri": "mlflow-artifacts:/1/r10/artifacts"}
REPORTED = "/api/2.0/mlflow-artifacts/artifacts/1/r10/artifacts/gate/report.json"
RUN = {"run": {"info": INFO, "data": {"metrics": [{"key": "log_loss", "value": 0.5}, {"key": "auc", "value": 0.71}]}}}


class _Registry(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        answer = REPORT if parts.path == REPORTED else self.answer(parts.path.rpartition("/mlflow/")[2], query)
        self.send_response(200 if answer is not None else 404)
        self.end_headers()
        self.wfile.write(json.dumps(answer or {"error_code": "RESOURCE_DOES_NOT_EXIST"}).encode())

    def answer(self, route: str, query: dict[str, str]) -> Any:
        wanted = query.get("filter", "").removeprefix("name='").rstrip("'")
        if route == "registered-models/search":
            return {"registered_models": [{"name": "flights.late", "aliases": [{"alias": "champion", "version": "9"}]}]}
        if route == "model-versions/search":
            found = [each for each in VERSIONS if not wanted or each["name"] == wanted]
            page = int(query.get("page_token", "0"))
            return {
                "model_versions": found[page : page + 1],
                "next_page_token": str(page + 1) if found[page + 1 :] else "",
            }
        if route != "runs/get":
            return None
        elsewhere = {"info": {"artifact_uri": f"mlflow-artifacts:/1/{query['run_id']}/artifacts"}}
        return RUN if query["run_id"] == "r10" else {"run": {**RUN["run"], **elsewhere}}

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def registry(connection: Connection) -> Iterator[str]:
    """Return the address of a registry, which the connection names too."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Registry)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    address = f"http://127.0.0.1:{server.server_port}"
    replace(connection, tracking=address).write()
    yield address
    server.shutdown()
    server.server_close()
    thread.join()


def test_versions_are_gathered_over_pages_newest_first_and_only_those_of_projects(registry: str) -> None:
    found = Catalogue(registry).versions()
    assert [(each.model, each.version) for each in found] == [("flights/late", "10"), ("flights/late", "9")]
    assert found[1].aliases == ["champion"]
    assert (found[0].gate, found[0].metrics) == ("passed", {"auc": 0.71, "log_loss": 0.5})


@pytest.mark.parametrize(("wanted", "number"), [(None, "10"), ("9", "9"), ("champion", "9")])
def test_a_version_is_found_by_number_alias_or_as_the_newest(registry: str, wanted: str | None, number: str) -> None:
    assert Catalogue(registry).find(LATE, wanted).version == number


@pytest.mark.parametrize("wanted", ["11", "challenger"])
def test_a_version_that_is_not_there_is_said(registry: str, wanted: str) -> None:
    with pytest.raises(UsageError, match=f"flights/late has no version or alias `{wanted}`"):
        Catalogue(registry).find(LATE, wanted)


def test_a_report_is_read_and_its_absence_is_not_an_error(registry: str) -> None:
    catalogue = Catalogue(registry)
    assert catalogue.report(catalogue.find(LATE, "10")) == REPORT
    assert catalogue.report(catalogue.find(LATE, "9")) is None


def test_a_registry_that_does_not_answer_is_said_with_what_starts_it(free_port: int) -> None:
    with pytest.raises(UnreachableError) as failure:
        Catalogue(f"http://127.0.0.1:{free_port}").versions()
    assert "`mlplat up`" in str(failure.value.hint)


def test_the_commands_print_what_is_registered(registry: str, capsys: pytest.CaptureFixture[str]) -> None:
    from mlplat.cli import cli

    cli(["model", "list"], standalone_mode=False)
    rows = capsys.readouterr().out.splitlines()
    assert rows[0].split() == ["MODEL", "VERSION", "ALIASES", "GATE", "DIGEST", "CREATED", "METRICS"]
    assert rows[2].split()[:5] == ["flights/late", "9", "champion", "passed", "sha256:abababababab"]
    cli(["model", "show", "flights/late"], standalone_mode=False)
    shown = capsys.readouterr().out
    for fact in ("version 10", "format onnx", "format_reason answers as the trained model does"):
        assert fact in " ".join(shown.split())
    assert "passed  auc floor: 0.7, required 0.55" in shown
    cli(["model", "show", "flights/late", "--version", "9", "--json"], standalone_mode=False)
    told = json.loads(capsys.readouterr().out)
    assert (told["version"], told["report"], told["format"]) == ("9", None, None)
