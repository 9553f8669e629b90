"""`mlplat data review` on the log of a platform on this computer."""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from click.testing import CliRunner, Result
from pyarrow import parquet

from mlplat.cli import cli, dataplaces
from mlplat.cli.dataplaces import Log
from mlplat.errors import UnreachableError, UsageError
from mlplat.runs import data as runs
from mlplat.runtime.snapshots.place import Place
from mlplat.runtime.snapshots.reviews import Reviews
from mlplat.serving import parts

SPEC = "project: tests\nmodel: late\ntask: binary\ndata: {source: rows.csv, target: y, time: at}\n"
Invoke = Callable[..., Result]


@pytest.fixture
def invoke(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Invoke:
    """Answer in this process what a project's own would take seconds to; there is a log of three answers."""
    from mlplat.runtime.snapshots.commands import answer

    (tmp_path / "mlplat.yaml").write_text(SPEC)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("mlplat.runs.prepare.prepare", lambda *_, **__: Path(sys.executable))
    monkeypatch.setattr(runs, "ask", lambda folder, _python, request, **_: answer(folder, request))
    monkeypatch.setattr(dataplaces.Here, "log", lambda *_: Log(str(tmp_path / "log")))
    folder = tmp_path / "log/tests.late/r1"
    folder.mkdir(parents=True)
    same = {"endpoint": "tests/late", "revision": "r1", "model": "tests/late", "version": "3", "digest": "d"}
    times = pa.array([1_370_000_000_000_000 + place for place in range(3)], pa.timestamp("us", tz="UTC"))
    columns = {name: [value] * 3 for name, value in same.items()}
    answers = {"probability": [0.45, 0.5, 0.9], "label": [0, 1, 1], "abstained": [True, True, False]}
    rows = {"input_who": ["=cmd()", "b", "c"], "input_wind": [1.5, None, 2.0]}
    table = pa.table({"time": times, "request_id": ["q"] * 3, "row": [0, 1, 2], **columns, **rows, **answers})
    metadata = {parts.METADATA: json.dumps({"version": 2, "classes": [0, 1]})}
    parquet.write_table(table.replace_schema_metadata(metadata), folder / "1.parquet")
    return lambda *arguments, **more: CliRunner().invoke(cli, ["data", "review", *arguments], **more)


def test_what_waits_is_listed_shown_and_labelled(invoke: Invoke, tmp_path: Path) -> None:
    listed = invoke()
    assert listed.stdout.splitlines()[0].split() == ["ANSWER", "ASKED", "PROBABILITY", "VERSION"]
    assert "2 answers wait; 0 are labelled" in listed.stderr
    answer = listed.stdout.splitlines()[-1].split()[0]
    assert "wind                     None" in invoke("show", answer).stdout
    made = invoke("label", answer, "1", "--note", "asked")
    assert (made.exit_code, made.stdout) == (0, "")
    assert "labelled 1, 0 had that label already" in made.stderr
    assert "label 1 at " in (shown := invoke("show", answer).stdout)
    assert shown.rstrip().endswith(": asked")
    told = json.loads(invoke("--json").stdout)
    assert (len(told["waiting"]), len(told["labelled"])) == (1, 1)


def test_a_file_goes_out_is_filled_in_and_comes_back(invoke: Invoke, tmp_path: Path) -> None:
    text = invoke("--csv").stdout
    first, second = csv.DictReader(io.StringIO(text))
    assert (first["probability"], first["row.wind"], second["row.wind"]) == ("0.45", "1.5", "")
    assert first["row.who"] == "'=cmd()", "no spreadsheet computes what somebody asked an endpoint"
    assert isinstance(invoke("label", "--csv", "-", input=text).exception, UsageError), "none is filled in"
    filled = text.replace(f"{first['id']},,", f"{first['id']}, 1 ,twice checked").encode("utf-8-sig")
    (tmp_path / "back.csv").write_bytes(filled)
    assert "labelled 1, 0 had" in invoke("label", "--csv", "back.csv").stderr
    assert "labelled 0, 1 had" in invoke("label", "--csv", "back.csv").stderr
    (found,) = Reviews(Place.of(tmp_path)).all()
    assert (found.answer.id, found.value, found.labels[0].note) == (first["id"], 1, "twice checked")
    assert "1 answers wait" in invoke().stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["label"], "give an answer and its label"),
        (["label", "a"], "give an answer and its label"),
        (["label", "a", "1", "--csv", "f"], "give an answer and its label"),
        (["label", "a", "1"], "there is no answer `a`"),
        (["label", "--csv", "nowhere.csv"], "nowhere.csv: No such file"),
        (["label", "--csv", "mlplat.yaml"], "mlplat.yaml: has no column `id`"),
        (["show", "a"], "there is no answer `a`"),
    ],
)
def test_what_cannot_be_labelled_is_wrong_usage(invoke: Invoke, arguments: list[str], said: str) -> None:
    done: Any = invoke(*arguments)
    assert isinstance(done.exception, UsageError)
    assert done.stdout == ""
    assert said in done.exception.message


def test_without_a_log_to_look_into_nothing_is_said_to_wait(invoke: Invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(_self: Any, unreached: list[str]) -> Log:
        unreached.append("the prediction log: no platform")
        return Log()

    monkeypatch.setattr(dataplaces.Here, "log", unknown)
    done = invoke()
    assert isinstance(done.exception, UnreachableError)
    assert done.stdout == ""
    assert "no platform" in done.exception.message
