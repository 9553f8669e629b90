from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.model_selection import KFold

from mlplat.errors import RefusedError
from mlplat.runtime import folds, split
from mlplat.runtime.folds import Fold
from mlplat.spec.project import ProjectSpec

MakeSpec = Callable[..., ProjectSpec]


def hourly(days: int, *, shuffled: bool = False) -> pd.DataFrame:
    at = pd.Timestamp("2013-01-01", tz="UTC") + pd.to_timedelta(np.arange(days * 24), unit="h")
    frame = pd.DataFrame({"at": at, "y": np.arange(days * 24) % 2, "who": np.arange(days * 24) // 5})
    return frame.sample(frac=1, random_state=0).reset_index(drop=True) if shuffled else frame


def made(frame: pd.DataFrame, spec: ProjectSpec, train: Any = None) -> tuple[Fold, ...]:
    block = np.arange(len(frame)) if train is None else train
    return folds.make(frame, frame["y"].to_numpy(dtype=np.float64), spec, block)


@settings(max_examples=25)
@given(
    days=st.integers(40, 90),
    count=st.integers(2, 6),
    lead=st.sampled_from([0.0, 2.0, 30.0]),
    horizon=st.sampled_from([0.0, 24.0, 5.0 * 24]),
    shuffled=st.booleans(),
    part=st.integers(0, 2),
)
def test_every_fold_learns_only_what_was_known_before_its_first_prediction(
    make_spec: MakeSpec, days: int, count: int, lead: float, horizon: float, shuffled: bool, part: int
) -> None:
    frame = hourly(days, shuffled=shuffled)
    spec = make_spec(data__lead_hours=lead, data__label_horizon_hours=horizon, search__folds=count)
    # Not all rows are the training block's.
    block = np.flatnonzero((frame["at"] < frame["at"].max() - pd.Timedelta(days=part * 3)).to_numpy())
    found = made(frame, spec, block)
    asked, known = split.asked_at(frame, spec.data), split.known_at(frame, spec.data)
    assert len(found) == count
    ends = []
    for fold in found:
        assert known.iloc[fold.train].max() < asked.iloc[fold.test].min()
        assert set(fold.train) | set(fold.test) <= set(block)
        ends.append((frame["at"].iloc[fold.test].min(), frame["at"].iloc[fold.test].max()))
    assert all(last < first for (_, last), (first, _) in pairwise(ends))
    judged = np.concatenate([fold.test for fold in found])
    assert len(np.unique(judged)) == len(judged)
    # The later half, whole: its start is the same day whatever the number of folds.
    later = frame["at"].iloc[block] >= ends[0][0]
    assert later.sum() == len(judged)
    assert later.mean() == pytest.approx(0.5, abs=0.02)


def test_a_random_split_of_rows_with_a_time_is_refused(make_spec: MakeSpec) -> None:
    frame, spec = hourly(60), make_spec(data__label_horizon_hours=24.0)
    random = [Fold(*parts) for parts in KFold(4, shuffle=True, random_state=0).split(frame)]
    with pytest.raises(RefusedError, match="were not known when its first prediction") as caught:
        folds.refuse_mixed(random, split.asked_at(frame, spec.data), split.known_at(frame, spec.data))
    assert "never at random" in str(caught.value.hint)


def test_a_label_that_ripens_late_is_purged_and_nothing_else_is(make_spec: MakeSpec) -> None:
    frame = hourly(60)
    plain, purged = (made(frame, make_spec(search__folds=3, data__label_horizon_hours=hours)) for hours in (0.0, 48.0))
    for one, other in zip(plain, purged, strict=True):
        assert np.array_equal(one.test, other.test)
        assert set(one.train) - set(other.train) == set(np.sort(one.train)[-48:])


def test_a_group_is_on_one_side_of_every_fold(make_spec: MakeSpec) -> None:
    spec = make_spec(data={"source": "x.csv", "target": "y", "group": "who", "refused": ["at"]}, search__folds=3)
    frame = hourly(20)
    for fold in made(frame, spec):
        assert not set(frame["who"].iloc[fold.train]) & set(frame["who"].iloc[fold.test])


def test_without_time_and_groups_each_class_keeps_its_share(make_spec: MakeSpec) -> None:
    spec = make_spec(data={"source": "x.csv", "target": "y", "refused": ["at", "who"]}, search__folds=3)
    frame = hourly(20).assign(y=lambda rows: (rows.index % 5 == 0).astype(int))
    assert [frame["y"].iloc[fold.test].mean() for fold in made(frame, spec)] == pytest.approx([0.2] * 3, abs=0.01)


@pytest.mark.parametrize(
    ("settings", "days", "said"),
    [
        ({"search__folds": 20}, 30, "has 30 days, too few for 20 folds"),
        ({"search__folds": 4, "data__label_horizon_hours": 40.0 * 24}, 60, "rows of the rarer class"),
    ],
)
def test_folds_that_could_not_judge_are_refused(
    make_spec: MakeSpec, settings: dict[str, Any], days: int, said: str
) -> None:
    with pytest.raises(RefusedError, match=said):
        made(hourly(days), make_spec(**settings))


def test_a_fold_of_one_class_is_refused(make_spec: MakeSpec) -> None:
    frame = hourly(60)
    frame["y"] = (frame["at"] < frame["at"].iloc[24 * 50]).astype(int) * frame["y"]
    with pytest.raises(RefusedError, match=r"fold \d has 0 rows of the rarer class"):
        made(frame, make_spec(search__folds=4))


def test_nothing_is_divided_unless_it_is_asked_for(make_spec: MakeSpec) -> None:
    assert made(hourly(60), make_spec()) == ()
    assert len(made(hourly(60), make_spec(search__seeds=2))) == 4
    assert len(made(hourly(60), make_spec(search__trials=1))) == 4
