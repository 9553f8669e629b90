from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pandera.pandas as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlplat.runtime import table
from mlplat.runtime.sources import files, ondisk, parts, reading, sampling
from mlplat.runtime.steps import preparation
from mlplat.spec.project import ProjectSpec

MakeSpec = Callable[..., ProjectSpec]


def rows(count: int) -> pd.DataFrame:
    source = np.random.default_rng(count)
    at = pd.Timestamp("2013-01-01") + pd.to_timedelta(source.integers(0, 40, count), unit="h")
    return pd.DataFrame(
        {
            "at": at.astype(str),
            "code": ["007"] * (count // 2) + ["x"] * (count - count // 2),
            "number": np.where(np.arange(count) < count // 2, 1.0, source.normal(size=count)),
            "flag": pd.array(source.random(count) < 0.5, dtype="boolean"),
            "empty": np.nan,
            "y": np.where(source.random(count) < 0.1, np.nan, source.integers(0, 2, count)),
        }
    ).astype({"flag": object})


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
@pytest.mark.parametrize("parts", [1, 3])
def test_a_sample_of_what_is_larger_than_memory_is_that_of_the_whole(
    make_spec: MakeSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str, parts: int
) -> None:
    frame = rows(300)
    frame.loc[5, "flag"] = None
    for number, part in enumerate(np.array_split(np.arange(len(frame)), parts)):
        path, chosen = tmp_path / f"{number}{suffix}", frame.iloc[part]
        chosen.to_csv(path, index=False) if suffix == ".csv" else chosen.to_parquet(path, index=False)
    monkeypatch.setattr(ondisk, "BATCH", 37)
    spec = make_spec()
    units = files.local(f"*{suffix}", tmp_path)
    whole = preparation._sampled(table.prepare(reading.read(units), spec), 50, "at")
    taken = table.prepare(sampling.take(units, spec.data, 50), spec)
    # Whether there are nulls, a sample may not know.
    pd.testing.assert_frame_equal(taken.astype({"flag": "boolean"}), whole.astype({"flag": "boolean"}))


def test_columns_of_parquet_are_what_they_are_when_all_is_read(make_spec: MakeSpec, tmp_path: Path) -> None:
    at = pd.date_range("2013-11-02", periods=60, freq="h", tz="Europe/Berlin")
    frame = pd.DataFrame(
        {
            "at": at.as_unit("ms"),
            "seen": at.tz_convert("UTC").as_unit("ns"),
            "local": at.tz_localize(None).as_unit("s"),
            "kind": pd.Categorical(["a", "b"] * 30),
            "count": pd.array([1, None] * 30, dtype="Int32"),
            "flag": pd.array([True, None] * 30, dtype="boolean"),
            "small": np.arange(60, dtype=np.float32),
            "text": ["x", None] * 30,
            # As others than ours call theirs.
            **dict.fromkeys(("quarter", "rows", "labelled", "place", "file_number", "wanted", "numbered"), "x"),
            "y": [0, 1] * 30,
        }
    )
    for number in range(2):
        frame.iloc[number * 30 : (number + 1) * 30].to_parquet(tmp_path / f"{number}.parquet", index=False)
    spec = make_spec(data__timezone="America/New_York")
    units = files.local("*.parquet", tmp_path)
    whole = reading.read(units)
    pd.testing.assert_frame_equal(sampling.take(units, spec.data, 100), whole)
    with parts.opened(units, spec.data, 100, need=60, free=10**9) as found:
        pd.testing.assert_frame_equal(found.read(pa.DataFrameSchema({})), whole)


@settings(max_examples=25)
@given(parts=st.lists(st.lists(st.sampled_from(["1", "2.5", "x", "", "True"]), min_size=1, max_size=4), min_size=1))
def test_a_column_has_one_type_however_its_file_is_cut(
    tmp_path_factory: pytest.TempPathFactory, parts: list[list[str]]
) -> None:
    folder = tmp_path_factory.mktemp("parts")
    cells = [cell for part in parts for cell in part]
    (folder / "whole.csv").write_text("a,b\n" + "".join(f"{cell},1\n" for cell in cells))
    for number, part in enumerate(parts):
        (folder / f"{number:03}.csv").write_text("a,b\n" + "".join(f"{cell},1\n" for cell in part))
    whole = table.read(folder / "whole.csv")
    cut = reading.read(files.local("[0-9]*.csv", folder))
    assert [str(value) for value in cut["a"].dropna()] == [str(value) for value in whole["a"].dropna()]


def test_no_more_than_a_batch_of_a_csv_file_is_held(
    make_spec: MakeSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held: list[int] = []
    batches = ondisk._batches
    rows(500).to_csv(tmp_path / "rows.csv", index=False)
    monkeypatch.setattr(ondisk, "BATCH", 50)

    def watched(path: Path, kinds: dict[str, str] | None) -> object:
        for batch in batches(path, kinds):
            held.append(len(batch))
            yield batch

    monkeypatch.setattr(ondisk, "_batches", watched)
    monkeypatch.setattr(table, "read", lambda *_: pytest.fail("the file was read as a whole"))
    assert len(sampling.take(files.local("rows.csv", tmp_path), make_spec().data, 20)) == 20
    assert max(held) == 50
    assert sum(held) == 2 * 500, "once for its types, and once for its rows"
