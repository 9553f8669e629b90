from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mlplat.errors import UsageError
from mlplat.runtime import table
from mlplat.spec.project import ProjectSpec

MakeSpec = Callable[..., ProjectSpec]


@pytest.fixture
def spec(make_spec: MakeSpec) -> ProjectSpec:
    return make_spec(data={"source": "rows.csv", "target": "y", "refused": ["after"]})


@pytest.fixture
def timed(make_spec: MakeSpec) -> ProjectSpec:
    return make_spec(data__timezone="America/New_York", data__label_time="done")


def prepared(spec: ProjectSpec, **columns: Any) -> pd.DataFrame:
    length = len(next(iter(columns.values()))) if columns else 2
    return table.prepare(pd.DataFrame({"y": ([0, 1] * length)[:length], **columns}), spec)


@pytest.mark.parametrize("suffix", [".csv", ".CSV", ".parquet"])
def test_csv_and_parquet_are_read_alike(tmp_path: Path, suffix: str) -> None:
    frame = pd.DataFrame({"a": [1, 2], "b": ["x", None], "c": [0.5, None]})
    path = tmp_path / f"rows{suffix}"
    frame.to_parquet(path) if suffix == ".parquet" else frame.to_csv(path, index=False)
    pd.testing.assert_frame_equal(table.read(path), frame)


def test_a_byte_order_mark_is_not_part_of_the_first_name(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("a,b\n1,2\n", encoding="utf-8-sig")
    assert table.read(path).columns.tolist() == ["a", "b"]


def test_a_column_of_numbers_with_a_text_far_down_is_of_texts_throughout(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("a\n" + "1\n" * 600_000 + "x\n")
    assert {type(value) for value in table.read(path)["a"]} == {str}


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("rows.xlsx", b"", "`.xlsx` files are not supported"),
        ("rows", b"", "`` files are not supported"),
        ("rows.csv", None, "there is no data file"),
        ("rows.csv", b"", "cannot be read"),
        ("rows.csv", b"a,b\n", "holds no rows"),
        ("rows.csv", b'a\n"1\n', "cannot be read"),
        ("rows.csv", b"a\n\xff\n", "cannot be read"),
        ("rows.parquet", b"a,b\n1,2\n", "cannot be read"),
    ],
)
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, name: str, content: bytes | None, why: str) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(UsageError, match=why) as caught:
        table.read(tmp_path / name)
    assert str(tmp_path / name) in caught.value.message


def test_columns_become_numbers_truth_values_and_texts(spec: ProjectSpec) -> None:
    made = prepared(
        spec,
        whole=[1, 2, 3],
        gaps=pd.array([1, None, 3], dtype="Int64"),
        flag=[True, False, True],
        maybe=[True, None, False],
        money=[Decimal("1.50"), None, Decimal(2)],
        text=["a", None, "b"],
        mixed=["a", 1, None],
        category=pd.Categorical([7, 8, 7]),
    )
    kinds = {name: str(made[name].dtype) for name in made.columns.difference(["y"])}
    assert kinds == {
        "whole": "int64", "gaps": "Int64", "flag": "bool", "maybe": "boolean", "money": "float64",
        "text": "str", "mixed": "str", "category": "str",
    }  # fmt: skip
    assert made["text"].isna().tolist() == [False, True, False]
    assert made["mixed"].tolist()[:2] == ["a", "1"]
    assert made["mixed"].isna().tolist() == [False, False, True]
    assert made["category"].tolist() == ["7", "8", "7"]


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ([1.0, float("inf")], "`x` is infinite in row 1"),
        ([-float("inf"), None], "`x` is infinite in row 0"),
        (list(pd.to_datetime(["2013-01-01", "2013-01-02"])), "`x` holds datetime64 values"),
        (list(pd.to_timedelta([1, 2], unit="h")), "`x` holds timedelta64 values"),
        ([b"a", b"b"], "`x` holds bytes values"),
        ([[1], [2]], "`x` holds mixed values"),
        ([{"a": 1}, None], "`x` holds mixed values"),
        ([1j, 2j], "`x` holds complex values"),
    ],
)
def test_what_no_model_is_asked_with_is_refused_before_training(spec: ProjectSpec, values: list[Any], why: str) -> None:
    with pytest.raises(UsageError, match=why):
        prepared(spec, x=values)


def test_a_refused_column_may_hold_anything(spec: ProjectSpec) -> None:
    assert prepared(spec, x=[1, 2], after=[[1], [2]])["after"].tolist() == [[1], [2]]


@pytest.mark.parametrize("missing", ["y", "at", "done"])
def test_a_column_that_is_not_there_is_named_with_those_that_are(timed: ProjectSpec, missing: str) -> None:
    frame = pd.DataFrame({"y": [0, 1], "at": ["2013-01-01"] * 2, "done": ["2013-01-01"] * 2}).drop(columns=missing)
    with pytest.raises(UsageError, match=f"has no column `{missing}`") as caught:
        table.prepare(frame, timed)
    assert "its columns are" in str(caught.value.hint)


@pytest.mark.parametrize("column", ["at", "done"])
@pytest.mark.parametrize(
    ("value", "why"),
    [
        ("soon", "holds what is no time"),
        ("01/02/2013", "holds what is no time"),
        ("2013-01-01T00:00:00Z", "holds what is no time"),
        (None, "is missing in row 1"),
    ],
)
def test_a_time_that_is_none_is_refused(timed: ProjectSpec, column: str, value: str | None, why: str) -> None:
    frame = pd.DataFrame({"y": [0, 1], "at": ["2013-01-01T05:00"] * 2, "done": ["2013-01-01 06:00"] * 2})
    frame.loc[1, column] = value
    with pytest.raises(UsageError, match=f"`{column}` {why}"):
        table.prepare(frame, timed)


def test_a_number_is_no_time(timed: ProjectSpec) -> None:
    with pytest.raises(UsageError, match="`at` holds numbers and no times"):
        prepared(timed, at=[2013, 2014], done=["2013-01-01"] * 2)


def test_times_are_read_in_the_zone_and_kept_in_utc(timed: ProjectSpec) -> None:
    texts = ["2013-07-01 12:00", "2013-03-10T02:30", "2013-11-03 01:30"]
    made = prepared(timed, at=texts, done=texts)
    assert made["at"].dt.strftime("%m-%dT%H:%MZ").tolist() == ["07-01T16:00Z", "03-10T07:00Z", "11-03T05:30Z"]
    assert made["done"].dt.strftime("%H:%M").tolist()[-1] == "06:30", "known at the later of two hours of one name"


def test_times_with_offsets_mean_what_they_say(timed: ProjectSpec) -> None:
    texts = ["2013-01-01T00:00:00+01:00", "2013-07-01T00:00:00+02:00"]
    made = prepared(timed, at=texts, done=list(pd.to_datetime(["2013-01-01", "2013-07-01"], utc=True)))
    assert made["at"].dt.strftime("%m-%dT%H:%MZ").tolist() == ["12-31T23:00Z", "06-30T22:00Z"]
    assert made["done"].dt.strftime("%m-%dT%H:%MZ").tolist() == ["01-01T00:00Z", "07-01T00:00Z"]


def test_the_time_of_a_group_may_be_missing_with_its_values(make_spec: MakeSpec) -> None:
    spec = make_spec(data__features={"weather": {"columns": ["wind"], "known": "seen"}})
    made = prepared(spec, at=["2013-01-01"] * 2, wind=[1.0, None], seen=["2012-12-31", None])
    assert made["seen"].isna().tolist() == [False, True]


def test_rows_without_a_target_are_left_out(spec: ProjectSpec) -> None:
    made = table.prepare(pd.DataFrame({"y": [0, None, 1], "x": [1, 2, 3]}), spec)
    assert made["x"].tolist() == [1, 3]
    assert made.index.tolist() == [0, 1]
    with pytest.raises(UsageError, match="missing in every row"):
        table.prepare(pd.DataFrame({"y": [None, None], "x": [1, 2]}), spec)


def test_a_group_that_is_missing_is_refused(make_spec: MakeSpec) -> None:
    spec = make_spec(data={"source": "rows.csv", "target": "y", "group": "who"})
    with pytest.raises(UsageError, match="`who` is missing in row 1"):
        prepared(spec, who=["a", None])


@pytest.mark.parametrize(
    ("values", "classes"),
    [
        ([1, 0], (0, 1)),
        ([1.0, 0.0, None], (0, 1)),
        ([2, 10], (2, 10)),
        ([True, False], (False, True)),
        ([True, None, False], (False, True)),
        (["no", "yes"], ("no", "yes")),
        (pd.Categorical(["b", "a"]), ("a", "b")),
    ],
)
def test_the_positive_class_is_the_later_one(spec: ProjectSpec, values: Any, classes: tuple[Any, ...]) -> None:
    made = table.prepare(pd.DataFrame({"y": values, "x": range(len(values))}), spec)
    found = table.classes_of(made["y"])
    assert found == classes
    assert [type(one) for one in found] == [type(one) for one in classes]
    assert (made["y"] == classes[-1]).sum() == 1


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ([1, 1], "has 1 values"),
        ([1, 2, 3], "has 3 values"),
        ([0.5, 1.5], "cannot be classes"),
        (["a", 1], "cannot be classes"),
        ([True, "no"], "cannot be classes"),
    ],
)
def test_a_target_that_is_not_two_classes_is_refused(spec: ProjectSpec, values: list[Any], why: str) -> None:
    with pytest.raises(UsageError, match=why):
        table.prepare(pd.DataFrame({"y": values}), spec)


@pytest.mark.parametrize("bad", ["many", "inf", "-inf"])
def test_a_number_to_predict_is_a_number(make_spec: MakeSpec, bad: str) -> None:
    spec = make_spec(task="regression", data={"source": "rows.csv", "target": "y"})
    assert table.prepare(pd.DataFrame({"y": ["1", "2.5"]}), spec)["y"].tolist() == [1.0, 2.5]
    with pytest.raises(UsageError, match="which is no number"):
        table.prepare(pd.DataFrame({"y": ["1", bad]}), spec)


def test_features_are_those_named_or_all_that_have_no_other_part(make_spec: MakeSpec) -> None:
    frame = pd.DataFrame(np.zeros((1, 6)), columns=["y", "at", "done", "wind", "after", "hour"])
    every = make_spec(data__label_time="done", data__refused=["after"])
    assert table.feature_names(frame, every) == ["wind", "hour"]
    named = make_spec(data__features={"schedule": {"columns": ["hour"]}})
    assert table.feature_names(frame, named) == ["hour"]
