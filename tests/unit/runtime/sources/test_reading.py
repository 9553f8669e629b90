from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pandera.pandas as pa
import pytest

from mlplat.errors import RefusedError, UsageError
from mlplat.runtime import record, sources
from mlplat.runtime.sources import memory
from mlplat.spec.project import ProjectSpec

MakeSpec = Callable[..., ProjectSpec]
ANY = pa.DataFrameSchema({})


@pytest.fixture
def spec(make_spec: MakeSpec) -> ProjectSpec:
    return make_spec(data__source="*.csv")


def test_what_was_read_is_noted(spec: ProjectSpec, tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / f"{name}.csv").write_text(f"at,y\n2013-01-01,{name}\n")
    with record.recording() as noted:
        assert sources.load(spec, tmp_path, ANY)["y"].tolist() == ["a", "b"]
    assert [(each["name"], each["size"]) for each in noted.sources] == [("a.csv", 18), ("b.csv", 18)]
    assert noted.tables == [{"name": "*.csv", "rows": 2, "quarantined": 0}]


def test_a_file_with_other_columns_is_named(spec: ProjectSpec, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("at,y\n2013-01-01,1\n")
    (tmp_path / "b.csv").write_text("at,why\n2013-01-01,1\n")
    with pytest.raises(UsageError, match=r"b\.csv: has other columns than a\.csv: `why`"):
        sources.load(spec, tmp_path, ANY)


def test_codes_that_look_like_numbers_in_one_file_stay_codes(spec: ProjectSpec, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("code,n\n007,1\n,2\n")
    (tmp_path / "b.csv").write_text("code,n\nx,2.5\n")
    frame = sources.load(spec, tmp_path, ANY)
    assert frame["code"].dropna().tolist() == ["007", "x"]
    assert frame["n"].tolist() == [1, 2, 2.5]


def test_larger_than_memory_is_said_before_it_is_read(
    spec: ProjectSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pd.DataFrame({"at": "2013-01-01", "y": range(10_000)}).to_csv(tmp_path / "a.csv", index=False)
    monkeypatch.setattr(memory, "available", lambda: 100_000)
    monkeypatch.setattr("mlplat.runtime.table.read", lambda *_: pytest.fail("the file was read as a whole"))
    with pytest.raises(RefusedError, match=r"takes about .* GiB of memory") as caught:
        sources.load(spec, tmp_path, ANY)
    assert "--sample N" in (caught.value.hint or "")
    with record.recording(sample=100):
        assert len(sources.load(spec, tmp_path, ANY)) == 100


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_an_estimate_is_near_what_a_table_takes(tmp_path: Path, suffix: str) -> None:
    frame = pd.DataFrame({"a": range(20_000), "b": "some text", "c": 0.123456})
    path = tmp_path / f"rows{suffix}"
    frame.to_csv(path, index=False) if suffix == ".csv" else frame.to_parquet(path)
    assert memory.held(path) == pytest.approx(frame.memory_usage(index=False, deep=True).sum(), rel=0.2)


@pytest.mark.parametrize(("limit", "wanted"), [("max", None), ("1000000", 1_000_000 - 600_000 + 200_000)])
def test_a_container_has_no_more_memory_than_it_is_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str, wanted: int | None
) -> None:
    for name, text in {"max": limit, "current": "600000", "stat": "anon 5\ninactive_file 200000\n"}.items():
        (tmp_path / f"memory.{name}").write_text(text)
    monkeypatch.setattr(memory, "CGROUP", tmp_path)
    free = memory.available()
    assert free == wanted if wanted else free > 1_000_000
