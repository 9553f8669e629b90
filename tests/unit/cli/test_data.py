"""`mlplat data` in a project whose environment is the tests' own."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner, Result

from mlplat.cli import cli, dataplaces
from mlplat.cli import data as verb
from mlplat.cli.dataplaces import Log
from mlplat.contracts import Connection
from mlplat.errors import UnreachableError, UsageError
from mlplat.runs import data as runs
from mlplat.runtime import table
from mlplat.runtime.split import Window
from mlplat.runtime.steps import preparation
from mlplat.runtime.steps.preparation import Options
from mlplat.spec.project import read

SPEC = """\
project: tests
model: late
task: binary
data: {source: rows.csv, target: y, time: at, keys: [who]}
"""
Invoke = Callable[..., Result]


def rows(count: int) -> pd.DataFrame:
    source = np.random.default_rng(0)
    at = pd.Timestamp("2013-01-01", tz="UTC") + pd.to_timedelta(np.arange(count) * 3, unit="h")
    y = source.integers(0, 2, count)
    return pd.DataFrame({"at": at, "who": np.arange(count) % 50, "wind": source.normal(size=count), "y": y})


def train(project: Path, frame: pd.DataFrame) -> str:
    """Keep rows as a training run does; return their hash."""
    spec = read(project / "mlplat.yaml")
    options = Options(Window("2013-06-01"))
    made = preparation.begin(spec, options, lambda *_: frame, table.prepare, project=project)
    return made.data_hash.removeprefix("sha256:")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "mlplat.yaml").write_text(SPEC)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("mlplat.runs.prepare.prepare", lambda *_, **__: Path(sys.executable))
    return tmp_path


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Answer in this process what a project's own would take seconds to."""
    from mlplat.runtime.snapshots.commands import answer

    monkeypatch.setattr(runs, "ask", lambda folder, _python, request, **_: answer(folder, request))


@pytest.fixture
def invoke(project: Path, here: None) -> Invoke:
    return lambda *arguments: CliRunner().invoke(cli, ["data", *arguments])


@pytest.fixture
def platform(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, Any]:
    """Return a platform's answers: its model versions, and where its prediction logs lie."""
    known: dict[str, Any] = {"versions": []}
    Connection("mlplat", "local", "local", "", "", f"sqlite:///{tmp_path / 'endpoints.db'}").write()
    monkeypatch.setattr(verb, "_versions", lambda *_: (known["versions"], []))
    monkeypatch.setattr(dataplaces.Here, "log", lambda *_: Log(str(tmp_path / "log")))
    return known


def test_snapshots_are_listed_with_the_versions_that_learned_from_them(
    project: Path, invoke: Invoke, platform: dict[str, Any]
) -> None:
    assert "no snapshots yet" in invoke("list").stderr
    made = train(project, rows(1200))
    platform["versions"] = [{"version": "3", "data": f"sha256:{made}"}, {"version": "4", "data": "sha256:other"}]
    head, line = invoke("list").stdout.splitlines()
    assert head.split() == ["SNAPSHOT", "USED", "ROWS", "KEPT", "MODELS"]
    assert line.split()[0] == made[:12]
    assert line.split()[2:] == ["1200", "yes", "3"]
    (told,) = json.loads(invoke("list", "--json").stdout)
    assert (told["hash"], told["models"]) == (f"sha256:{made}", ["3"])


def test_a_snapshot_is_shown_with_its_columns_and_their_quality(
    project: Path, invoke: Invoke, platform: dict[str, Any]
) -> None:
    made = train(project, rows(1200))
    shown = invoke("show", made[:8]).stdout
    assert f"hash       sha256:{made}" in shown
    assert "0 rows twice, 0 in quarantine, the newest row 27 hours old" in shown
    (who,) = [line.split() for line in shown.splitlines() if line.startswith("who ")]
    assert who == ["who", "int64", "100.0%", "50", "-", "-"], "of a key no range is shown"


def test_two_snapshots_are_compared(project: Path, invoke: Invoke, platform: dict[str, Any]) -> None:
    first = train(project, rows(1200))
    frame = rows(1200)
    second = train(project, frame.assign(wind=frame["wind"] + (frame.index < 600)).tail(1190))
    shown = invoke("diff", first[:12], second[:12]).stdout
    assert "rows: 1200 and then 1190: 0 added, 10 removed, 590 changed (by who, at)" in shown
    assert "`wind` in 590 rows" in shown
    assert "`wind`: distributions are" in shown


def test_an_erasure_is_looked_at_first_and_then_done(project: Path, invoke: Invoke, platform: dict[str, Any]) -> None:
    made = train(project, rows(1200))
    platform["versions"] = [{"version": "3", "data": f"sha256:{made}"}]
    looked = invoke("erase", "who=7", "--dry-run").stdout
    assert "model versions that learned from them: 3" in looked
    assert "yes" in invoke("list").stdout, "nothing was erased"
    done = invoke("erase", "who=7", "--reason", "asked")
    assert done.exit_code == 0
    assert "tombstone " in done.stdout
    told = json.loads(invoke("erase", "who=7", "--reason", "asked", "--json").stdout)
    assert [each["rows"] for each in told["held"]] == [24]
    assert "rows were erased" in invoke("list").stdout


def test_a_feature_server_that_is_away_leaves_the_erasure_unfinished_and_says_so(
    project: Path, invoke: Invoke, platform: dict[str, Any], free_port: int
) -> None:
    train(project, rows(1200))
    store = f"sqlite:///{project / 'endpoints.db'}"
    Connection("mlplat", "local", "local", "", "", store, features=f"http://127.0.0.1:{free_port}").write()
    looked = invoke("erase", "who=7", "--dry-run")
    assert (looked.exit_code, "not looked into: the online store: " in looked.stderr) == (0, True)
    done = invoke("erase", "who=7", "--reason", "asked")
    assert (done.exit_code, "tombstone " in done.stdout) == (1, True)
    assert f"  the online store: the feature server at http://127.0.0.1:{free_port}/tests" in str(done.exception)
    Connection("mlplat", "local", "local", "", "", store).write()
    assert invoke("erase", "who=7", "--reason", "asked").exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "why"), [(["who"], "names no entity"), (["who=7"], "an erasure has a reason"), (["=7"], "names no")]
)
def test_an_erasure_names_an_entity_and_a_reason(invoke: Invoke, arguments: list[str], why: str) -> None:
    done = invoke("erase", *arguments)
    assert isinstance(done.exception, UsageError)
    assert why in str(done.exception)


def test_what_could_not_be_reached_is_told_and_kept_and_no_success(project: Path, invoke: Invoke) -> None:
    train(project, rows(1200))
    done = invoke("erase", "who=7", "--reason", "asked")
    assert done.exit_code == 1
    assert "what was reached is done; what was not:" in str(done.exception)
    (stone,) = [json.loads(path.read_text()) for path in project.glob(".mlplat/data/erasures/*.json")]
    assert [each.partition(":")[0] for each in stone["unreached"]] == [
        "the registry", "the online store", "the prediction log",
    ]  # fmt: skip
    assert [each["done"] for each in stone["held"]] == [True]


def test_a_projects_own_process_answers_and_refuses(project: Path) -> None:
    made = train(project, rows(1200))
    python = Path(sys.executable)
    request = {"verb": "show", "snapshot": made}
    assert runs.ask(project, python, request)["rows"] == 1200
    with pytest.raises(UsageError, match="no snapshot begins"):
        runs.ask(project, python, {**request, "snapshot": "0" * 12})


def test_a_clusters_logs_are_not_taken_for_erased() -> None:
    found = Connection("mlplat", "prod", "kubernetes", "http://tracking", "http://gateway", "kubernetes:prod")
    with pytest.raises(UnreachableError, match="on its cluster"):
        runs.log(found)
