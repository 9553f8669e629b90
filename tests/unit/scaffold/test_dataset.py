from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from mlplat.errors import UsageError
from mlplat.scaffold import dataset

GOOD = "id,amount,left,at\n1,2.5,yes,2024-01-01\n2,-1e3,no,2024-01-02T10:00:00Z\n3,,,\n"


def check(tmp_path: Path, content: str | bytes, name: str = "data.csv", **changes: str) -> str | None:
    path = tmp_path / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return dataset.check(path, **{"task": "binary", "target": "left", "time": "", **changes})


@pytest.mark.parametrize(
    "changes", [{}, {"time": "at"}, {"task": "regression", "target": "amount"}, {"target": "amount"}], ids=str
)
def test_a_sound_table_is_taken(tmp_path: Path, changes: dict[str, str]) -> None:
    assert check(tmp_path, GOOD, **changes) is None


def test_a_byte_order_mark_is_no_part_of_the_first_column(tmp_path: Path) -> None:
    assert check(tmp_path, b"\xef\xbb\xbf" + b"left,a\nyes,1\nno,2\n") is None


@pytest.mark.parametrize(
    ("content", "changes", "message"),
    [
        (GOOD, {"target": "churned"}, "has no column `churned`"),
        (GOOD, {"time": "when"}, "has no column `when`"),
        (GOOD, {"target": "left", "time": "left"}, "both the target and the time column"),
        ("", {}, "has no column `left`"),
        ("id,left\n", {}, "no rows"),
        ("id;left\n1;yes\n", {}, "separated by ';'"),
        ("left,left\n1,2\n", {}, "has the column `left` twice"),
        ("id,left\n1,yes,2\n", {}, "data.csv:2: has 3 fields, its header 2"),
        ("id,left\n1,\n2,NA\n", {}, "has no values"),
        ("id,left\n1,yes\n2,yes\n", {}, "is always `yes`"),
        ("id,left\n1,a\n2,b\n3,c\n", {}, "more than two values"),
        (
            "left\n2.5\nhigh\n",
            {"task": "regression"},
            "data.csv:3: the target `left` is `high`, which is no number",
        ),
        ("id,left\n1,inf\n2,3\n", {"task": "regression"}, "no number"),
        (
            "left,at\nyes,2024-01-01\nno,soon\n",
            {"time": "at"},
            "data.csv:3: `at` is `soon`, which is no time",
        ),
        ("left,at\nyes,\nno,\n", {"time": "at"}, "the time column `at` has no values"),
        (b"left\nyes\n\xff\n", {}, "is not UTF-8"),
        ('left\n"yes', {}, "is no CSV"),
    ],
)
def test_what_cannot_be_learned_from_is_refused_with_its_reason(
    tmp_path: Path, content: str | bytes, changes: dict[str, str], message: str
) -> None:
    with pytest.raises(UsageError) as refusal:
        check(tmp_path, content, **changes)
    assert message in refusal.value.message


def test_many_numbers_as_target_of_a_binary_task_point_to_regression(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as refusal:
        check(tmp_path, "left\n1\n2\n3\n")
    assert "task=regression" in str(refusal.value.hint)


def test_a_column_that_seems_constant_in_the_rows_looked_at_is_not_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dataset, "ROWS", 2)
    assert check(tmp_path, "left\nno\nno\nyes\n") is None


@pytest.mark.parametrize("name", ["data.xlsx", "data", "data.csv.gz"])
def test_other_kinds_of_file_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match="not supported"):
        check(tmp_path, GOOD, name)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no data file"):
        dataset.check(tmp_path / "x.csv", task="binary", target="a", time="")


def parquet(tmp_path: Path) -> Path:
    path = tmp_path / "data.parquet"
    pd.DataFrame({"left": ["yes", "no"], "größe": [1, 2]}).to_parquet(path)
    return path


def test_a_parquet_file_s_columns_are_found_and_the_rest_is_said_to_wait(tmp_path: Path) -> None:
    note = dataset.check(parquet(tmp_path), task="binary", target="größe", time="left")
    assert "first `mlplat run train`" in str(note)


def test_a_parquet_file_without_the_target_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="has no column `churned`"):
        dataset.check(parquet(tmp_path), task="binary", target="churned", time="")


@pytest.mark.parametrize("cut", [0, 5, 100, -1])
def test_a_parquet_file_that_was_cut_off_is_refused(tmp_path: Path, cut: int) -> None:
    content = parquet(tmp_path).read_bytes()
    with pytest.raises(UsageError, match="is no Parquet file"):
        check(tmp_path, content[:cut], "cut.parquet")
