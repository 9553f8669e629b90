from __future__ import annotations

import itertools
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pandera.pandas as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mlplat.errors import RefusedError, UsageError
from mlplat.runtime import sources, table
from mlplat.runtime.sources import memory, parts
from mlplat.runtime.spans import LATEST, sums
from mlplat.runtime.steps import building, preparation
from mlplat.spec.project import DataSpec, ProjectSpec

MakeSpec = Callable[..., ProjectSpec]
ANY = pa.DataFrameSchema({})
ZONE = "America/New_York"
AUTUMN = pd.Timestamp("2013-10-31")
"""Days before New York sets its clocks back: an hour that comes twice."""


def history(seed: int, count: int, hours: int) -> pd.DataFrame:
    """Return rows of three shops in no order, some without a target, at local times."""
    source = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "at": (AUTUMN + pd.to_timedelta(source.integers(0, hours * 4, count) * 15, unit="min")).astype(str),
            "shop": source.choice(["a", "b", "c"], count),
            "sold": source.integers(0, 9, count),
            "code": np.where(source.random(count) < 0.5, "007", "x"),
            "price": np.where(source.random(count) < 0.1, np.nan, source.normal(size=count)),
            "y": np.where(source.random(count) < 0.2, np.nan, source.integers(0, 2, count)),
        }
    )


def build(raw: pd.DataFrame, spec: ProjectSpec) -> pd.DataFrame:
    """Build each shop's sales of the hours before, rows without a target among them."""
    rows, every = table.prepare(raw, spec), table.prepare(raw.assign(y=np.arange(len(raw)) % 2), spec)
    spans = every.assign(start=every["at"], end=every["at"] + pd.Timedelta(hours=spec.data.lookback_hours))
    found = sums(rows, spans, asked="at", by=["shop"], columns=["sold"])
    latest = (rows["at"] - found[LATEST]).dt.total_seconds() / 60
    limit = spec.data.lookback_hours * 60
    return rows.assign(sold_before=found["sold"], minutes=latest.where(latest <= limit))


def write(frame: pd.DataFrame, folder: Path, suffix: str, files: int) -> None:
    for number, part in enumerate(np.array_split(np.arange(len(frame)), files)):
        path, chosen = folder / f"{number}{suffix}", frame.iloc[part]
        chosen.to_csv(path, index=False) if suffix == ".csv" else chosen.to_parquet(path, index=False)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have any table be larger than memory, and a part take a few rows only."""
    monkeypatch.setattr(memory, "need", lambda units: sum(1000 * (1 + len(table.read(unit.path))) for unit in units))
    monkeypatch.setattr(parts, "BYTES", 20_000)
    monkeypatch.setattr(memory, "available", lambda: 0)
    opened = parts.opened
    monkeypatch.setattr(parts, "opened", lambda units, data, count, need, _: opened(units, data, count, need, 10**9))


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_features_of_a_part_are_those_of_the_whole(make_spec: MakeSpec, tmp_path: Path, suffix: str) -> None:
    @settings(max_examples=25)
    @given(
        seed=st.integers(0, 10**6),
        count=st.integers(20, 400),
        hours=st.integers(1, 400),
        lookback=st.sampled_from([0.25, 7, 30]),
        sample=st.integers(1, 500),
        files=st.integers(1, 3),
    )
    def check(seed: int, count: int, hours: int, lookback: float, sample: int, files: int) -> None:
        for old in tmp_path.iterdir():
            old.unlink()
        frame = history(seed, count, hours)
        frame = pd.concat([frame, frame[:2].assign(at=str(AUTUMN), y=[0, 1])], ignore_index=True)
        write(frame, tmp_path, suffix, files)
        spec = make_spec(data__source=f"*{suffix}", data__timezone=ZONE, data__lookback_hours=lookback)
        both = preparation._sampled(build(frame, spec), None, "at")
        wanted = preparation._sampled(both, sample, "at").sort_values("at", kind="stable", ignore_index=True)
        if wanted["y"].nunique() < 2:
            return
        taken, noted = building.rows(spec, sample, load, build, project=tmp_path)
        assert noted.partial
        pd.testing.assert_frame_equal(taken, wanted, check_dtype=False)

    check()


def load(spec: ProjectSpec, project: Path) -> pd.DataFrame:
    return sources.load(spec, project, ANY)


def counted(rows: list[int], labelled: list[int]) -> pd.DataFrame:
    quarters = pd.Timestamp("2013-01-01", tz="UTC").timestamp() // parts.QUARTER + np.arange(len(rows)) * 4
    made = pd.DataFrame({"quarter": quarters.astype(int), "rows": rows, "labelled": labelled})
    return made[made["rows"] > 0].reset_index(drop=True)


@given(
    rows=st.lists(st.integers(0, 50), min_size=1, max_size=300).filter(any),
    limit=st.integers(1, 500),
    lookback=st.sampled_from([1.0, 24.0, 72.0]),
    count=st.integers(1, 200),
)
@example(rows=[10] * 2400, limit=1, lookback=72.0, count=200)
def test_every_row_that_is_wanted_is_in_one_part_and_a_part_is_as_large_as_it_has_to_be(
    make_spec: MakeSpec, rows: list[int], limit: int, lookback: float, count: int
) -> None:
    data = make_spec(data__lookback_hours=lookback, data__timezone="Asia/Kathmandu").data
    labelled = [(each + 1) // 2 for each in rows]
    found = parts.plan(counted(rows, labelled), data, count, limit=limit)
    assert sum(len(part.chosen) for part in found) == min(count, sum(labelled))
    assert all(part.chosen.min() >= 0 and part.chosen.max() < part.own for part in found)
    assert all(one.end <= other.start for one, other in itertools.pairwise(found))
    assert all(part.start.tz_convert("Asia/Kathmandu").hour == 12 for part in found)
    assert sum(part.held for part in found) <= 2 * sum(rows) + (lookback + 1) * 50, "none is read more than twice"
    days = lookback / 24 + 1
    assert all(part.held <= 2 * (limit + 24 * 50 * (days + 1)) for part in found)


@pytest.mark.usefixtures("small")
def test_bad_rows_are_noted_once_however_often_they_are_read(make_spec: MakeSpec, tmp_path: Path) -> None:
    frame = history(3, 300, 200)
    frame.loc[::10, "sold"] = -1
    write(frame, tmp_path, ".parquet", 2)
    aside = {"policy": "quarantine", "max_share": 0.5}
    spec = make_spec(data__source="*.parquet", data__timezone=ZONE, data__lookback_hours=30, data__bad_rows=aside)
    schema = pa.DataFrameSchema({"sold": pa.Column(int, pa.Check.ge(0))})
    kept: list[int] = []

    def read(spec: ProjectSpec, project: Path) -> pd.DataFrame:
        made = sources.load(spec, project, schema)
        kept.append(len(made))
        return made

    _, noted = building.rows(spec, 200, read, build, project=tmp_path)
    assert len(kept) > 2
    assert sum(kept) > 300, "rows before a part are read again"
    assert noted.tables == [{"name": "*.parquet", "rows": 300, "quarantined": 30}]
    ((name, bad),) = noted.quarantine
    assert (name, len(bad)) == ("*.parquet", 30)
    assert len(noted.sources) == 2


def test_what_a_part_takes_at_least_is_said_when_it_is_too_much(
    make_spec: MakeSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(history(1, 300, 200), tmp_path, ".parquet", 1)
    monkeypatch.setattr(memory, "available", lambda: 100)
    spec = make_spec(data__source="*.parquet", data__lookback_hours=48)
    with pytest.raises(RefusedError, match="48 hours before it take about") as caught:
        building.rows(spec, 10, load, build, project=tmp_path)
    assert "lookback_hours" in (caught.value.hint or "")


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize(
    ("column", "value", "said"),
    [
        ("at", None, "`at` is missing in"),
        ("at", "yesterday", r"\*\.csv: cannot be read: .*yesterday"),
        ("y", None, "`y` is missing in every row"),
        ("y", 1, "has 1 values"),
    ],
)
@pytest.mark.parametrize("lookback", [0, 5])
def test_what_cannot_be_built_is_said(
    make_spec: MakeSpec, tmp_path: Path, column: str, value: object, said: str, lookback: int
) -> None:
    frame = history(2, 100, 100).assign(y=1.0)
    odd = frame.index == 5 if column == "at" else np.full(len(frame), fill_value=True)
    frame = frame.assign(**{column: frame[column].where(~odd, value)})
    frame["y"] = frame["y"].where(frame.index != 7, 0) if column == "at" else frame["y"]
    write(frame, tmp_path, ".csv", 1)
    spec = make_spec(data__source="*.csv", data__lookback_hours=lookback)
    with pytest.raises(UsageError, match=said):
        building.rows(spec, 50, load, table.prepare, project=tmp_path)


@pytest.mark.usefixtures("small")
def test_a_sample_of_rows_is_refused_to_features_that_are_made_of_others(make_spec: MakeSpec, tmp_path: Path) -> None:
    write(history(5, 300, 100), tmp_path, ".parquet", 1)
    spec = make_spec(data__source="*.parquet", data__timezone=ZONE)

    def looking(raw: pd.DataFrame, spec: ProjectSpec) -> pd.DataFrame:
        return build(raw, spec).assign(mean=raw["sold"].mean())

    with pytest.raises(RefusedError, match="`mean` of a row is made of other rows") as caught:
        building.rows(spec, 100, load, looking, project=tmp_path)
    assert "data.lookback_hours" in (caught.value.hint or "")
    taken, noted = building.rows(spec, 100, load, table.prepare, project=tmp_path)
    assert len(taken) == 100
    assert noted.thinned


@pytest.mark.usefixtures("small")
def test_nothing_is_left_of_a_part_that_fails(
    make_spec: MakeSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(history(6, 300, 100), tmp_path, ".csv", 1)
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    spec = make_spec(data__source="*.csv", data__lookback_hours=5)

    def fails(_raw: pd.DataFrame, _spec: ProjectSpec) -> pd.DataFrame:
        assert list(scratch.iterdir())
        raise RefusedError("no")

    with pytest.raises(RefusedError):
        building.rows(spec, 100, load, fails, project=tmp_path)
    assert not list(scratch.iterdir())


def test_looking_back_needs_time(make_spec: MakeSpec) -> None:
    with pytest.raises(UsageError, match="lookback_hours"):
        make_spec(data__time=None, data__lookback_hours=1)


def test_settings_say_what_a_day_is_in(make_spec: MakeSpec) -> None:
    noons = parts._noons(np.array([0, 86_400 * 200]), ZONE)
    assert {each.hour for each in noons.tz_convert(ZONE)} == {12}
    assert isinstance(make_spec().data, DataSpec)
