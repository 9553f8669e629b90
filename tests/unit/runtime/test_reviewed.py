"""Rows that people labelled: learned from, within a share, and never judging."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mlplat.runtime import reviewed, table
from mlplat.runtime.hashing import hash_rows
from mlplat.runtime.snapshots.place import Place
from mlplat.runtime.snapshots.reviews import Answer, Label, Reviewed, Reviews
from mlplat.runtime.split import Window
from mlplat.runtime.steps import preparation
from mlplat.runtime.steps.preparation import Options, Prepared
from mlplat.spec.project import ProjectSpec

MakeSpec = Callable[..., ProjectSpec]
MAY = Options(Window("2013-05-01"))
PRESENT = datetime(2013, 5, 1, tzinfo=UTC)


def said(time: str, value: Any = 1, *, at: str = "2013-04-20T00:00:00+00:00", **changes: Any) -> Reviewed:
    """Return a label of an answer that was asked for at a time."""
    row = {"carrier": "AA", "hour": 11, "wind": 12.5, "holiday": True} | changes.pop("row", {})
    known: dict[str, Any] = {"endpoint": "tests/late", "revision": "r1", "model": "tests/late", "version": "3"}
    known |= {"id": f"{time}{value}", "digest": "d", "probability": 0.5, "classes": (0, 1)}
    return Reviewed(Answer(**(known | changes), time=f"{time}:07+00:00", row=row), (Label(value, at),))


def keep(project: Path, known: Sequence[Reviewed]) -> None:
    for each in known:
        label = each.labels[0]
        now = datetime.fromisoformat(label.time)
        Reviews(Place.of(project)).label(each.answer, label.value, note="", now=now, known=None)


def begin(spec: ProjectSpec, rows: pd.DataFrame, project: Path, options: Options = MAY) -> Prepared:
    return preparation.begin(spec, options, lambda *_: rows, table.prepare, project=project)


def fair(made: Prepared) -> list[str]:
    """Return what must not be moved by reviews: the rows that calibrate and judge."""
    blocks = [made.split.calibration, made.split.holdout]
    return [hash_rows(made.features.iloc[block].assign(label=made.labels[block])) for block in blocks]


def test_reviewed_rows_are_learned_from_and_neither_calibrate_nor_judge(
    make_spec: MakeSpec, rows: pd.DataFrame, tmp_path: Path
) -> None:
    spec = make_spec(data__lead_hours=2, search__folds=2, search__trials=2)
    before = begin(spec, rows, tmp_path / "without")
    assert before.split.cuts is not None
    assert before.split.cuts.calibration_start[:10] == "2013-03-19"
    known = [said("2013-02-01T10:00"), said("2013-03-01T10:00", 0, row={"wind": None})]
    late = [said("2013-03-25T10:00"), said("2013-04-10T10:00"), said("2013-04-30T10:00")]
    keep(tmp_path, [*known, *late])
    made = begin(spec, rows, tmp_path)

    assert made.split.reviewed == 2
    learned = made.features.iloc[made.split.train[-2:]]
    assert learned.to_dict("list") == {
        "carrier": ["AA", "AA"],
        "hour": [11, 11],
        "wind": [12.5, pytest.approx(np.nan, nan_ok=True)],
        "holiday": [True, True],
    }
    assert made.labels[made.split.train[-2:]].tolist() == [1, 0]
    assert made.features.dtypes.to_dict() == before.features.dtypes.to_dict()
    assert np.array_equal(made.split.train[:-2], before.split.train)
    assert fair(made) == fair(before)
    assert (made.holdout_hash, made.window_hash) == (before.holdout_hash, before.window_hash)
    assert made.asked is not None
    assert made.asked.iloc[made.split.train[-2]].isoformat() == "2013-02-01T10:00:07+00:00"
    # Folds judge as well.
    for one, other in zip(made.folds, before.folds, strict=True):
        assert np.array_equal(one.train, other.train)
        assert np.array_equal(one.test, other.test)
    assert made.split.described()["rows"]["train, of them reviewed"] == 2
    assert table.REVIEWED not in made.features

    # The snapshot gives all of it again, whatever was labelled since.
    keep(tmp_path, [said("2013-02-02T10:00")])
    again = begin(spec, rows, tmp_path, Options(MAY.window, snapshot=made.data_hash))
    assert again.data_hash == made.data_hash != before.data_hash
    assert np.array_equal(again.split.train, made.split.train)


def test_reviewed_rows_are_no_more_than_their_share_and_the_newest(
    make_spec: MakeSpec, rows: pd.DataFrame, tmp_path: Path
) -> None:
    days = pd.date_range("2013-01-05", "2013-03-10", freq="6h")
    keep(tmp_path, [said(f"{day:%Y-%m-%dT%H:%M}", int(day.day % 2)) for day in days])
    made = begin(make_spec(data__reviewed_share=0.1), rows, tmp_path)
    count, of = made.split.reviewed, len(made.split.train)
    assert of / 10 - 1 < count <= of / 10 < len(days)
    assert made.asked is not None
    chosen = made.asked.iloc[made.split.train[-count:]]
    assert chosen.min() == pd.Timestamp(days[-count], tz="UTC") + pd.Timedelta(seconds=7)
    assert begin(make_spec(data__reviewed_share=0), rows, tmp_path).split.reviewed == 0


@pytest.mark.parametrize(
    "known",
    [
        said("2013-02-01T10:00", model="tests/other"),
        said("2013-02-01T10:00", at="2013-05-02T00:00:00+00:00"),
        said("2013-02-01T10:00", 2),
    ],
    ids=["of another model", "labelled later than this run's present", "a label that no row has"],
)
def test_what_cannot_be_a_row_of_this_run_is_left_out(make_spec: MakeSpec, rows: pd.DataFrame, known: Reviewed) -> None:
    assert reviewed.joined(rows, make_spec(), [known], PRESENT) is rows


def test_an_answer_whose_log_hid_a_feature_is_no_row(make_spec: MakeSpec, rows: pd.DataFrame) -> None:
    known = said("2013-02-01T10:00")
    del known.answer.row["wind"]
    assert reviewed.joined(rows, make_spec(), [known], PRESENT) is rows


def test_the_last_label_by_the_run_s_present_counts(make_spec: MakeSpec, rows: pd.DataFrame) -> None:
    known = said("2013-02-01T10:00")
    corrected = Reviewed(
        known.answer, (*known.labels, Label(0, "2013-04-25T00:00:00+00:00"), Label(1, "2013-06-01T00:00:00+00:00"))
    )
    assert reviewed.joined(rows, make_spec(), [corrected], PRESENT)["y"].iloc[-1] == 0


def test_a_row_whose_label_the_source_brings_is_not_learned_from_twice(make_spec: MakeSpec, rows: pd.DataFrame) -> None:
    spec = make_spec(monitoring__key=["carrier", "hour"], monitoring__key_hours=2)
    place = int(np.flatnonzero((rows["carrier"] == "B6") & (rows["at"] > "2013-02-01"))[0])
    there = rows.iloc[place]
    asked = f"{there['at'] + pd.Timedelta(minutes=50):%Y-%m-%dT%H:%M}"
    same = said(asked, row={"carrier": "B6", "hour": int(there["hour"])})
    assert reviewed.joined(rows, spec, [same], PRESENT) is rows
    other = said(asked, row={"carrier": "ZZ", "hour": int(there["hour"])})
    found = reviewed.joined(rows, spec, [same, other], PRESENT)
    assert found["carrier"].iloc[len(rows) :].tolist() == ["ZZ"]


def test_what_was_not_asked_with_is_null_and_no_other_column_changes_its_kind(
    make_spec: MakeSpec, rows: pd.DataFrame, tmp_path: Path
) -> None:
    wide = rows.assign(
        who=np.arange(len(rows)), flag=rows["hour"] > 9, note="x", told=rows["at"] - pd.Timedelta(hours=5)
    )
    groups = {"all": {"columns": ["carrier", "hour", "wind", "holiday"], "known": "told", "delay_minutes": 30}}
    spec = make_spec(data__keys=["who"], gate__groups=["flag"], data__features=groups, data__lead_hours=3)
    keep(tmp_path, [said("2013-02-01T10:00")])
    made = begin(spec, wide, tmp_path)
    assert made.split.reviewed == 1, "it was known when it was asked with"
    assert made.named["flag"].isna().sum() == 1


def test_rows_without_a_time_are_learned_from_unless_their_group_judges(
    make_spec: MakeSpec, rows: pd.DataFrame
) -> None:
    plain = rows.drop(columns="at").assign(who=[f"p{place % 60}" for place in range(len(rows))])
    spec = make_spec(data__time=None, data__group="who", data__features={"all": {"columns": ["hour", "who2"]}})
    plain = plain.assign(who2=plain["who"])
    known = [said("2013-02-01T10:00", row={"who": f"p{each}", "who2": f"p{each}"}) for each in range(60)]
    all_ = reviewed.joined(table.prepare(plain, spec), spec, known, PRESENT)
    made = preparation.prepare(spec, Options(), all_)
    learned = set(all_["who"].iloc[made.split.train])
    others = set(all_["who"].iloc[np.concatenate([made.split.calibration, made.split.holdout])])
    assert not learned & others
    assert made.split.reviewed == len(learned) > 20
    assert not reviewed.mask(all_)[np.concatenate([made.split.calibration, made.split.holdout])].any()
