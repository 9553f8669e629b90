"""A platform's endpoint documents as the verbs for endpoints find them, with somebody who answers wishes."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from mlplat.bundle import Column, Contract, Example
from mlplat.cli import cli
from mlplat.contracts import Connection
from mlplat.controller import wishes
from mlplat.controller.document import Event, Revision, Status
from mlplat.controller.store import SqliteStore
from mlplat.errors import MlplatError
from mlplat.labels import Name
from mlplat.spec.rollout import RolloutPolicy

LATE = Name("flights", "late")
NOW = datetime(2013, 7, 1, tzinfo=UTC)


@dataclass
class Endpoints:
    """A platform without processes: its store, and the command line on it."""

    folder: Path
    path: Path
    threads: list[threading.Thread] = field(default_factory=list)

    def run(self, *arguments: str, stdin: str | None = None) -> Result:
        """Type a command; its exit code is the one a person would see."""
        result = CliRunner().invoke(cli, arguments, input=stdin, standalone_mode=False)
        if isinstance(result.exception, MlplatError):
            result.exit_code = result.exception.exit_code
        elif result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    def deployed(self, status: Status | None = None) -> None:
        """Have version 1 serve."""
        with SqliteStore(self.path) as store:
            spec = wishes.deploy(LATE, LATE, "1", RolloutPolicy(), by="ada")
            store.wish(LATE, lambda _: spec, self.event("wished"))
            store.report(LATE, 1, status or self.serving(), [self.event("promoted")])

    def serving(self, **changes: Any) -> Status:
        """Return the status of version 1 in service, with changes."""
        folder = self.folder / "bundle"
        folder.mkdir(exist_ok=True)
        contract = Contract(
            project="flights", model="late", task="binary", classes=(False, True), threshold=0.5,
            columns=(Column(name="origin", type="string"), Column(name="distance", type="double", nullable=True)),
            examples=(Example(row={"origin": "JFK", "distance": 1089.0}, prediction=0.25),),
        )  # fmt: skip
        (folder / "mlplat.json").write_text(contract.model_dump_json())
        revision = Revision(
            number=1, model=str(LATE), version="1", digest="sha256:1", source="mlflow-artifacts:/1", port=9001,
            state="ready", since=0, created=NOW, folder=str(folder),
        )  # fmt: skip
        status = Status(
            phase="serving", message="version 1 (r1) serves", observed_generation=1, champion=1, last_revision=1,
            revisions=(revision,), since=NOW,
        )  # fmt: skip
        return status.model_copy(update=changes)

    def event(self, kind: str, text: str = "it happened") -> Event:
        return Event(time=NOW, generation=1, kind=kind, text=text)

    def answer(self, status: Callable[[Status], Status], *events: Event) -> None:
        """Do as a controller would with the next wish."""
        with SqliteStore(self.path) as store:
            present = store.get(LATE)
        after = present.spec.generation if present else 0

        def work() -> None:
            with SqliteStore(self.path) as store:
                while (found := store.get(LATE)) is None or found.spec.generation == after:
                    threading.Event().wait(0.01)
                new = status(found.status).model_copy(update={"observed_generation": found.spec.generation})
                store.report(LATE, found.spec.generation, new, events)

        self.threads.append(threading.Thread(target=work, daemon=True))
        self.threads[-1].start()


@pytest.fixture
def endpoints(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free_port: int) -> Iterator[Endpoints]:
    """Return a platform `mlplat` that was stood up on this computer, called from outside any project."""
    path = tmp_path / "platform" / "endpoints.db"
    gateway = f"http://127.0.0.1:{free_port}"
    Connection("mlplat", "local", "local", gateway, gateway, f"sqlite:///{path}").write()
    SqliteStore(path).close()
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    made = Endpoints(tmp_path, path)
    yield made
    for thread in made.threads:
        thread.join(10)
        assert not thread.is_alive()


@dataclass
class Upstream:
    """What the gateway is asked, and answers."""

    status: int = 200
    answer: Any = None
    asked: list[tuple[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    """Of each request, by their names in small letters."""


@pytest.fixture
def upstream(free_port: int) -> Iterator[Upstream]:
    """Answer where the gateway would, one prediction a row unless told otherwise."""
    said = Upstream()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            said.asked.append((self.path, body))
            said.headers.append({name.lower(): value for name, value in self.headers.items()})
            predictions = [{"label": False, "probability": 0.25} for _ in body["rows"]]
            default = {"model": "flights/late", "version": "1", "revision": "r1", "predictions": predictions}
            content = json.dumps(default if said.answer is None else said.answer).encode()
            self.send_response(said.status)
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", free_port), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield said
        server.shutdown()
        thread.join()


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return an empty folder, in which the commands run, with git settings of its own."""
    folder = tmp_path / "place"
    folder.mkdir()
    settings = tmp_path / "gitconfig"
    settings.write_text("[user]\n\tname = Ada\n\temail = ada@example.org\n")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(settings))
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    monkeypatch.chdir(folder)
    return folder
