"""A version on its way between two registries, whose answers are those of MLflow 3.17.2, shortened.

How it is judged over there is tested where it is done (`runtime/steps/test_ending.py`).
"""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from mlplat.bundle import Contract, digest
from mlplat.cli import cli
from mlplat.contracts import Connection
from mlplat.errors import MlplatError, RefusedError, UsageError
from mlplat.runs import prepare
from mlplat.runtime.promotion import Arrived

PROGRAM = """#!{python}
import json, os, pathlib, shutil, sys
assert sys.argv[1:4] == ["-m", "mlplat.runtime.promotion", "flights"], sys.argv
shutil.copytree(sys.argv[4], {seen!r})
result = json.loads({result!r})
if result:
    pathlib.Path(os.environ["MLPLAT_RESULT"]).write_text(json.dumps(result))
pathlib.Path({seen!r}, "asked.json").write_text(
    json.dumps([sys.argv[5:], os.environ["MLFLOW_TRACKING_URI"], os.environ["MLPLAT_STACK"]])
)
sys.exit(0 if result.get("status") == "registered" else 1)
"""
YAML = """version: 1
project: flights
model: late
task: binary
data: {source: rows.csv, target: late}
"""


@dataclass
class Held:
    """What a registry holds: versions by number, and artifact files by path."""

    versions: dict[str, dict[str, Any]] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)

    def put(self, number: str, bundle: Path, *, passed: bool = True, **tags: str) -> str:
        """Register a bundle; return its digest."""
        found = digest(bundle)
        given = {
            "mlplat.digest": found,
            "mlplat.gate": "passed",
            **{f"mlplat.{key}": text for key, text in tags.items()},
        }
        self.versions[number] = {
            "name": "flights.late",
            "version": number,
            "creation_timestamp": 1795254651105,
            "run_id": f"r{number}",
            "source": f"mlflow-artifacts:/1/r{number}/artifacts/model",
            "tags": [{"key": key, "value": text} for key, text in given.items()],
        }
        at = f"1/r{number}/artifacts"
        for path in bundle.rglob("*"):
            if path.is_file():
                self.files[f"{at}/model/{path.relative_to(bundle).as_posix()}"] = path.read_bytes()
        self.files[f"{at}/gate/report.json"] = json.dumps({"digest": found, "passed": passed, "rules": []}).encode()
        self.files[f"{at}/card/card.md"] = b"# its card"
        self.files[f"{at}/monitoring/profile.json"] = b"{}"
        return found

    def answer(self, path: str, query: dict[str, str]) -> bytes | None:
        """Return what a GET is answered with; None for what is not there."""
        _, mark, name = path.partition("/mlflow-artifacts/artifacts")
        if mark and name:
            return self.files.get(name.lstrip("/"))
        if mark:
            return json.dumps({"files": self._listed(query["path"])}).encode()
        routes: dict[str, Any] = {
            "experiments/get": {"experiment": {}},
            "registered-models/search": {"registered_models": []},
            "model-versions/search": {"model_versions": list(self.versions.values())},
            "runs/get": {
                "run": {
                    "info": {"artifact_uri": f"mlflow-artifacts:/1/{query.get('run_id')}/artifacts"},
                    "data": {"params": [{"key": "training.trees", "value": "7"}, {"key": "task", "value": "binary"}]},
                }
            },
        }
        found = routes.get(path.partition("/mlflow/")[2])
        return json.dumps(found).encode() if found is not None else None

    def _listed(self, folder: str) -> list[dict[str, Any]]:
        below = {name.removeprefix(f"{folder}/").split("/")[0] for name in self.files if name.startswith(f"{folder}/")}
        return [{"path": name, "is_dir": f"{folder}/{name}" not in self.files} for name in sorted(below)]


@contextmanager
def serving(held: Held) -> Iterator[str]:
    """Serve a registry; yield its address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            found = held.answer(parts.path, {name: values[0] for name, values in parse_qs(parts.query).items()})
            self.send_response(200 if found is not None else 404)
            self.end_headers()
            self.wfile.write(found if found is not None else b'{"error_code": "RESOURCE_DOES_NOT_EXIST"}')

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    folder = tmp_path / "bundle"
    (folder / "deep").mkdir(parents=True)
    (folder / "deep" / "model.skops").write_bytes(b"a model")
    contract = Contract(project="flights", model="late", task="binary", columns=(), classes=(0, 1))
    (folder / "mlplat.json").write_text(contract.model_dump_json())
    return folder


@pytest.fixture
def stacks(connection: Connection) -> Iterator[dict[str, Held]]:
    """Return what two stacks' registries hold, which are known here as `dev` and `staging`."""
    held = {"dev": Held(), "staging": Held()}
    with ExitStack() as stack:
        for name, each in held.items():
            replace(connection, stack=name, tracking=stack.enter_context(serving(each))).write()
        yield held


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "flights"
    folder.mkdir()
    (folder / "mlplat.yaml").write_text(YAML)
    monkeypatch.chdir(folder)
    return folder


Judged = Callable[[dict[str, Any]], Path]


@pytest.fixture
def judged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Judged:
    """Return what makes the project's Python one that comes to a result; it keeps what it was given."""

    def make(result: dict[str, Any]) -> Path:
        program, seen = tmp_path / "bin" / "python", tmp_path / "seen"
        program.parent.mkdir()
        program.write_text(PROGRAM.format(python=sys.executable, seen=str(seen), result=json.dumps(result)))
        program.chmod(0o755)
        monkeypatch.setattr(prepare, "prepare", lambda *_argv, **_named: program)
        return seen

    return make


def promote(*more: str) -> None:
    cli(["model", "promote", "--version", "3", "--from", "dev", "--to", "staging", *more], standalone_mode=False)


def test_what_is_judged_over_there_is_what_was_registered_here(
    project: Path,
    stacks: dict[str, Held],
    bundle: Path,
    judged: Judged,
    capsys: pytest.CaptureFixture[str],
) -> None:
    found = stacks["dev"].put("3", bundle, commit="c0ffee", holdout="sha256:h", learned_until="2013-03-31")
    stacks["staging"].put("1", bundle, digest="sha256:of-another-model")
    # What the run over there registers.
    stacks["staging"].put("2", bundle, gate="")
    seen = judged({"status": "registered", "version": "2"})
    promote("--until", "2013-06-01")
    assert found in capsys.readouterr().out
    arrived = Arrived.read(seen)
    assert arrived.digest == found
    assert dict(arrived.origin.tags) == {
        "mlplat.commit": "c0ffee",
        "mlplat.learned_until": "2013-03-31",
        "mlplat.promoted_from": "mlplat/dev version 3",
    }
    assert dict(arrived.origin.settings) == {"trees": "7"}
    kept = {path.relative_to(seen).as_posix() for path in seen.rglob("*") if path.is_file()}
    assert {"origin/gate/report.json", "origin/card/card.md", "kept/monitoring/profile.json"} <= kept
    arguments, tracking, stack = json.loads((seen / "asked.json").read_text())
    assert arguments == ["--until", "2013-06-01"]
    assert (tracking, stack) == (Connection.read("mlplat", "staging").tracking, "staging")


def test_a_card_is_printed_as_it_was_rendered(
    project: Path, stacks: dict[str, Held], bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stacks["dev"].put("3", bundle)
    cli(["model", "show", "--card", "-s", "dev"], standalone_mode=False)
    assert capsys.readouterr().out == "# its card"
    with pytest.raises(MlplatError, match="no card is kept with flights/late version 3"):
        cli(["model", "show", "--html", "-s", "dev"], standalone_mode=False)


def test_an_exported_version_says_where_its_readme_is(
    project: Path, stacks: dict[str, Held], bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = stacks["dev"].put("3", bundle)
    cli(["model", "export", "late", "--version", "3", "--as", "image", "out", "-s", "dev"], standalone_mode=False)
    assert capsys.readouterr().out == "out/README.md\n"
    assert digest(project / "out" / "model") == found


def test_what_is_there_already_is_left_as_it_is(
    project: Path, stacks: dict[str, Held], bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = stacks["dev"].put("3", bundle)
    stacks["staging"].put("8", bundle)
    promote("--json")
    told = json.loads(capsys.readouterr().out)
    assert (told["version"], told["digest"], told["stack"], told["new"]) == ("8", found, "staging", False)


def test_a_refusal_says_the_rules_and_registers_nothing(
    project: Path, stacks: dict[str, Held], bundle: Path, judged: Judged
) -> None:
    stacks["dev"].put("3", bundle)
    rule = {"name": "no_worse_than_champion", "passed": False, "measured": -0.1, "required": -0.01, "detail": "worse"}
    judged({"status": "refused", "message": "the gate said no", "gate": {"rules": [rule]}})
    with pytest.raises(RefusedError, match=r"registered nowhere: the gate said no\nno_worse_than_champion: -0.1"):
        promote()


def test_a_process_that_was_killed_is_no_promotion(
    project: Path, stacks: dict[str, Held], bundle: Path, judged: Judged
) -> None:
    stacks["dev"].put("3", bundle)
    judged({})
    with pytest.raises(Exception, match="nothing is registered"):
        promote()


def test_a_version_that_no_gate_has_passed_goes_nowhere(project: Path, stacks: dict[str, Held], bundle: Path) -> None:
    stacks["dev"].put("3", bundle, passed=False)
    with pytest.raises(RefusedError, match="has no passed gate report for its digest"):
        promote()


def test_files_that_were_changed_after_the_gate_go_nowhere(
    project: Path, stacks: dict[str, Held], bundle: Path, judged: Judged
) -> None:
    stacks["dev"].put("3", bundle)
    stacks["dev"].files["1/r3/artifacts/model/deep/model.skops"] = b"another model"
    judged({"status": "registered", "version": "1"})
    with pytest.raises(RefusedError, match="was registered as"):
        promote()


def test_only_a_models_own_project_can_judge_it_and_only_for_another_stack(
    project: Path, stacks: dict[str, Held]
) -> None:
    with pytest.raises(UsageError, match="this project's model is `flights/late`"):
        promote("other/model")
    with pytest.raises(UsageError, match="are both `dev`"):
        cli(["model", "promote", "--version", "3", "--from", "dev", "--to", "dev"], standalone_mode=False)
