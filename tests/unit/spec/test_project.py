from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mlplat.errors import SpecError
from mlplat.spec.project import DataSpec, ProjectSpec, override, read

SMALL = """\
version: 1
project: flights
model: late
task: binary
data: {source: flights, target: late}
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "mlplat.yaml"
    path.write_text(text)
    return path


def problems(folder: Path, text: str) -> SpecError:
    with pytest.raises(SpecError) as caught:
        read(write(folder, text))
    assert caught.value.exit_code == 2
    return caught.value


def test_five_lines_are_a_project(tmp_path: Path) -> None:
    spec = read(write(tmp_path, SMALL))
    assert (spec.project, spec.platform, spec.split.holdout_days, spec.gate.margin) == ("flights", "mlplat", 28, 0.01)


def test_every_problem_is_said_at_once_with_its_line(tmp_path: Path) -> None:
    found = problems(
        tmp_path,
        SMALL.replace("binary", "ranking")
        + "split:\n  holdout_days: 7\n  holdot_fraction: 0.1\ngate: {margin: 0, confidence: high}\n",
    )
    shown = [f"{problem.line}: {problem.path}: {problem.message}" for problem in found.problems]
    assert len(shown) == 5
    assert shown[0].startswith("4: task: input should be 'binary' or 'regression', not \"ranking\"")
    assert shown[1].startswith("7: split.holdout_days: input should be greater than or equal to 28, not 7")
    assert shown[2] == "8: split.holdot_fraction: unknown key"
    assert shown[3].startswith("9: gate.margin: input should be greater than 0")
    assert shown[4].startswith("9: gate.confidence: input should be a valid number")


@pytest.mark.parametrize(
    ("line", "hint"),
    [
        ("gate: {margn: 0.1}", "did you mean `margin`? `mlplat explain --project gate` lists the keys"),
        ("gates: {}", "did you mean `gate`? `mlplat explain --project` lists the keys"),
        ("data2: {}", "did you mean `data`?"),
        ("zzz: {}", "`mlplat explain --project` lists the keys"),
    ],
)
def test_an_unknown_key_comes_with_the_nearest_one(tmp_path: Path, line: str, hint: str) -> None:
    assert hint in str(problems(tmp_path, f"{SMALL}{line}\n").hint)


@pytest.mark.parametrize("value", ['"28"', "28.5", "true", "28 days"])
def test_values_are_never_converted(tmp_path: Path, value: str) -> None:
    assert problems(tmp_path, f"{SMALL}split: {{holdout_days: {value}}}\n").problems[0].path == "split.holdout_days"


@pytest.mark.parametrize(
    ("data", "why"),
    [
        ("features: {a: {columns: [late]}}", "`late` is target as well"),
        ("features: {a: {columns: [x]}}, refused: [x]", "`x` is refused as well"),
        ("features: {a: {columns: [x]}, b: {columns: [x]}}", "`x` is in two groups"),
        ("features: {a: {columns: [x, x]}}", "`x` is in two groups"),
        ("lead_hours: 2", "need `time`"),
        ("label_time: done", "need `time`"),
        ("features: {a: {columns: [x], known: seen}}", "need `time`"),
        ("features: {a: {columns: [x], online: {keys: [k], ttl_minutes: 5}}}", "needs `time`"),
        ("time: at, features: {a: {columns: [x], online: {keys: [x], ttl_minutes: 5}}}", "`x` is itself looked up"),
        ("time: at, features: {a: {columns: [x], online: {keys: [late], ttl_minutes: 5}}}", "known only afterwards"),
        (
            "time: at, features: {a: {columns: [x], online: {keys: [r], ttl_minutes: 5}}}, refused: [r]",
            "known only afterwards",
        ),
        ("time: at, features: {a-b: {columns: [x], online: {keys: [k], ttl_minutes: 5}}}", "is named with small"),
        ("time: at, group: who", "group is for rows without `time`"),
        ("timezone: New York", "`New York` is no time zone"),
        ("timezone: America", "`America` is no time zone"),
        ("timezone: ../etc", "`../etc` is no time zone"),
    ],
)
def test_parts_that_do_not_fit_are_refused(tmp_path: Path, data: str, why: str) -> None:
    found = problems(tmp_path, SMALL.replace("target: late", f"target: late, {data}"))
    assert why in found.message
    assert found.problems[0].path.startswith("data")
    assert found.problems[0].line == 5


def test_fractions_that_leave_nothing_to_learn_from_are_refused(tmp_path: Path) -> None:
    text = f"{SMALL}split: {{holdout_fraction: 0.5, calibration_fraction: 0.45}}\n"
    assert "leave less than a tenth" in problems(tmp_path, text).message


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "holds no keys"),
        ("- a\n", "holds no keys"),
        ("version: 2\nproject: x\n", "is 2, and this mlplat knows 1"),
        ("a: [\n", "is no YAML"),
        (SMALL.replace("flights\n", "Flights!\n", 1), "project"),
    ],
)
def test_what_is_no_project_is_refused_as_a_whole(tmp_path: Path, text: str, why: str) -> None:
    assert why in problems(tmp_path, text).message


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="No such file"):
        read(tmp_path / "mlplat.yaml")


@pytest.fixture
def spec() -> ProjectSpec:
    return ProjectSpec(
        project="flights", model="late", task="binary", data=DataSpec(source="flights", target="late", time="at")
    )


@pytest.mark.parametrize(
    ("values", "path", "found"),
    [
        ({"training.trees": 20}, ("training", "trees"), 20),
        ({"data.refused": ["x"]}, ("data", "refused"), ("x",)),
        ({"data.features.weather.columns": ["wind"]}, ("data", "features"), None),
        ({"model": "early"}, ("model",), "early"),
        ({"split.train_days": None}, ("split", "train_days"), None),
    ],
)
def test_a_key_can_be_set_and_nothing_else_changes(
    spec: ProjectSpec, values: dict[str, Any], path: tuple[str, ...], found: Any
) -> None:
    made: Any = override(spec, values)
    back = override(made, {})
    assert back == made
    for part in path:
        made = getattr(made, part)
    assert made == found or (path[-1] == "features" and made["weather"].columns == ("wind",))
    assert override(spec, {}) == spec


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ({"training.tree": 20}, "training.tree: unknown key"),
        ({"training.trees": "20"}, "training.trees: input should be a valid integer"),
        ({"training.trees.more": 20}, "is no key: `trees` has none below it"),
        ({"trainin.trees": 20}, "trainin: unknown key"),
        ({"data.refused": ["wind"], "data.features.w.columns": ["wind"]}, "`wind` is refused as well"),
        ({"": 1}, "unknown key"),
    ],
)
def test_a_key_that_cannot_be_set_is_refused_by_name(spec: ProjectSpec, values: dict[str, Any], why: str) -> None:
    with pytest.raises(SpecError) as caught:
        override(spec, values)
    assert why in caught.value.message
    assert caught.value.message.startswith("--set: ")


def test_several_wrong_keys_are_said_at_once(spec: ProjectSpec) -> None:
    with pytest.raises(SpecError) as caught:
        override(spec, {"training.trees": 0, "gate.margin": 1.0, "model": "A"})
    assert {problem.path for problem in caught.value.problems} == {"training.trees", "gate.margin", "model"}
