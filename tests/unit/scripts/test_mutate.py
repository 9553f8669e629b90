"""What survives a change of the code is told once, keeps what was judged of it, and fails until somebody has."""

from __future__ import annotations

import importlib.util
import json
import tomllib
from types import ModuleType
from typing import Any

import pytest

from commands import ROOT


@pytest.fixture(scope="module")
def mutate() -> ModuleType:
    spec = importlib.util.spec_from_file_location("mutate_script", ROOT / "scripts" / "mutate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def survivor(judgement: str = "", became: str = "b") -> dict[str, str]:
    return {"function": "f", "was": "a", "became": became, "judgement": judgement}


def result(*survivors: dict[str, str]) -> dict[str, Any]:
    return {"changes": 9, "noticed": 9 - len(survivors), "survivors": list(survivors)}


def test_every_module_that_is_changed_is_there_and_so_are_its_tests(mutate: ModuleType) -> None:
    for module, tests in mutate.MODULES.items():
        assert (ROOT / "platform" / "mlplat" / f"{module}.py").is_file()
        assert all((ROOT / test).is_file() for test in tests)


def test_a_judgement_stays_with_the_same_change_and_with_no_other(mutate: ModuleType) -> None:
    before = {"modules": {"runtime/split": result(survivor("equal")), "runtime/spans": result(survivor("kept"))}}
    made = mutate.merged(before, {"runtime/split": result(survivor(), survivor(became="c"))})["modules"]
    assert [each["judgement"] for each in made["runtime/split"]["survivors"]] == ["equal", ""]
    assert made["runtime/spans"] == before["modules"]["runtime/spans"]
    assert list(made) == ["runtime/spans", "runtime/split"], "in the order of the list"


def test_it_fails_until_every_survivor_is_judged(mutate: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    results = {"modules": {"runtime/split": result(survivor("equal"), survivor(became="c"))}}
    assert mutate.report(results, ["runtime/split"]) == 1
    told = capsys.readouterr().err
    assert "runtime/split: 7 of 9 changes noticed" in told
    assert "+ c" in told
    assert "+ b" not in told
    assert mutate.report({"modules": {"runtime/split": result(survivor("equal"))}}, ["runtime/split"]) == 0


def test_a_change_is_told_by_its_function_and_its_lines(mutate: ModuleType) -> None:
    assert mutate.function("mlplat.runtime.split.x__day__mutmut_3") == "_day"
    assert mutate.function("mlplat.controller.window.xǁWindowǁsince__mutmut_12") == "Window.since"
    diff = "--- a\n+++ b\n@@ -1 +1 @@\n def f():\n-    return a < b\n+    return a <= b\n"
    assert mutate.change(diff) == {"was": "return a < b", "became": "return a <= b"}


def test_what_ended_in_no_known_way_counts_as_no_change(
    mutate: ModuleType, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mutate, "WORK", tmp_path)
    ended = {0: "-a\n+b", 1: "-c\n+d", -24: "-e\n+f", -14: "-g\n+h", -11: "-i\n+j"}
    outcomes = [
        {"name": f"mlplat.runtime.split.x__day__mutmut_{place}", "code": code, "diff": diff}
        for place, (code, diff) in enumerate(ended.items())
    ]
    (tmp_path / "outcomes.json").write_text(json.dumps(outcomes))
    found = mutate.found()
    assert (found["changes"], found["noticed"]) == (4, 3)
    assert found["survivors"] == [{"function": "_day", "was": "a", "became": "b", "judgement": ""}]


def test_the_copy_is_set_up_as_the_checkout_is(mutate: ModuleType) -> None:
    made = tomllib.loads(mutate.settings("runtime/split"))["tool"]
    assert made["pytest"]["ini_options"]["addopts"] == "--strict-config --strict-markers --import-mode=importlib -ra"
    assert made["mutmut"]["only_mutate"] == ["src/mlplat/runtime/split.py"]


def test_an_unknown_module_is_refused_by_name(mutate: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    assert mutate.main(["runtime/splt"]) == 2
    assert "`runtime/splt` is no module that is changed" in capsys.readouterr().err
