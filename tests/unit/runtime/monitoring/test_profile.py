"""A profile comes back as it was kept, and what is no profile is said to be none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mlplat.bundle import Column
from mlplat.errors import StateError
from mlplat.runtime.monitoring import profile
from mlplat.runtime.monitoring.profile import Profile
from mlplat.runtime.monitoring.windows import Calendar

COLUMNS = (
    Column(name="carrier", type="string"),
    Column(name="hour", type="long"),
    Column(name="wind", type="double", nullable=True),
    Column(name="holiday", type="boolean"),
)


@pytest.fixture(scope="module")
def made(rows: pd.DataFrame) -> Profile:
    labels = rows["y"].to_numpy(dtype=np.float64)
    scores = np.linspace(0, 1, 50)
    return profile.make(
        rows, COLUMNS, labels, scores, task="binary", asked=rows["at"], calendar=Calendar(7, "America/New_York")
    )


def test_a_profile_comes_back_as_it_was_kept(made: Profile, tmp_path: Path) -> None:
    made.save(tmp_path)
    read = Profile.load(tmp_path)
    assert (read.base, read.spread, read.calendar, read.blocks) == (made.base, made.spread, made.calendar, made.blocks)
    for first, second in zip((*made.columns, made.scores), (*read.columns, read.scores), strict=True):
        assert np.array_equal(first.counts, second.counts)
        assert np.array_equal(first.nulls, second.nulls)
        assert np.array_equal(first.cells.cuts, second.cells.cuts)
        assert second.thresholds == pytest.approx(first.thresholds, abs=1e-6)


def test_every_row_of_every_column_is_in_it(made: Profile, rows: pd.DataFrame) -> None:
    assert made.rows == len(rows)
    for column in made.columns:
        assert column.counts.sum() + column.nulls.sum() == len(rows)
    wind = next(column for column in made.columns if column.name == "wind")
    assert wind.null_share == pytest.approx(rows["wind"].isna().mean())


def test_thresholds_are_kept_of_every_measure_that_a_column_has(made: Profile) -> None:
    measured = {column.name: set(column.thresholds) for column in made.columns}
    assert measured["wind"] == {"psi", "ks", "missing"}
    assert measured["carrier"] == {"psi", "missing", "categories"}


def test_without_times_nothing_is_calibrated(rows: pd.DataFrame) -> None:
    labels, scores = np.ones(len(rows)), np.ones(3)
    made = profile.make(rows, COLUMNS, labels, scores, task="binary", asked=None, calendar=Calendar(7, "UTC"))
    assert [column.thresholds for column in made.columns] == [{}] * len(COLUMNS)
    assert made.blocks == ()


def test_no_row_can_be_read_from_the_files(made: Profile, tmp_path: Path) -> None:
    made.save(tmp_path)
    with np.load(tmp_path / profile.ARRAYS, allow_pickle=False) as arrays:
        shapes = {name: arrays[name].shape for name in arrays}
    assert all(len(made.columns) * 200 > max(shape) for shape in shapes.values())
    assert all(shape[0] in (1, len(made.blocks)) for name, shape in shapes.items() if not name.endswith("_cuts"))


@pytest.mark.parametrize("text", ["", "{}", '{"version": 99}', "[]"])
def test_what_is_no_profile_is_said_to_be_none(made: Profile, tmp_path: Path, text: str) -> None:
    made.save(tmp_path)
    (tmp_path / profile.DOCUMENT).write_text(text)
    with pytest.raises(StateError):
        Profile.load(tmp_path)
