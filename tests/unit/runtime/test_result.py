from __future__ import annotations

import json
from pathlib import Path

import pytest

from mlplat.errors import RefusedError
from mlplat.runtime.result import Result, reported


def test_a_result_is_written_whole_where_it_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "deep" / "result.json"
    monkeypatch.setenv("MLPLAT_RESULT", str(path))
    Result("refused", "gate", "auc_floor: too low", "tests/late", gate={"passed": False}).write()
    found = json.loads(path.read_text())
    assert (found["status"], found["version"], found["gate"]) == ("refused", None, {"passed": False})


def test_without_a_place_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLPLAT_RESULT", raising=False)
    monkeypatch.chdir(tmp_path)
    Result("passed", "gate", "", "tests/late").write()
    assert not list(tmp_path.iterdir())


def test_what_is_refused_in_a_step_ends_it_with_its_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLPLAT_RESULT", str(tmp_path / "result.json"))
    with pytest.raises(SystemExit) as ended, reported("start", "tests/late"):
        raise RefusedError("too few rows", hint="wait")
    assert ended.value.code == "error: too few rows\nhint: wait"
    found = json.loads((tmp_path / "result.json").read_text())
    assert (found["status"], found["step"], found["message"]) == ("failed", "start", "too few rows")


def test_a_fault_of_the_code_keeps_its_traceback(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLPLAT_RESULT", str(tmp_path / "result.json"))
    with pytest.raises(ZeroDivisionError), reported("start", "tests/late"):
        raise ZeroDivisionError
    assert not (tmp_path / "result.json").exists()
