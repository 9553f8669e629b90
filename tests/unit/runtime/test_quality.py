from __future__ import annotations

from collections.abc import Callable

import pandas as pd
import pytest

from mlplat.runtime import quality
from mlplat.runtime.record import Record
from mlplat.spec.project import ProjectSpec

NOW = pd.Timestamp("2013-01-03T12:00Z")


@pytest.fixture
def spec(make_spec: Callable[..., ProjectSpec]) -> ProjectSpec:
    return make_spec(data__keys=["who"])


def test_a_report_measures_every_column_and_shows_no_key_and_no_text(spec: ProjectSpec) -> None:
    frame = pd.DataFrame(
        {
            "at": pd.to_datetime(["2013-01-01", "2013-01-02", "2013-01-02"], utc=True),
            "who": [1, 2, 2],
            "name": ["private", None, None],
            "wind": [1.0, 3.0, 3.0],
        }
    )
    noted = Record(tables=[{"name": "rows.csv", "rows": 5, "quarantined": 2}])
    found = quality.report(frame, spec.data, noted, NOW)
    later = pd.concat([frame, frame.assign(at=NOW + pd.Timedelta(days=9))])
    assert quality.report(later, spec.data, noted, NOW)["freshness_hours"] == 36.0
    columns = found.pop("columns")
    assert found == {
        "rows": 3,
        "duplicates": 1,
        "quarantined": 2,
        "freshness_hours": 36.0,
        "tables": [{"name": "rows.csv", "rows": 5, "quarantined": 2}],
    }
    assert columns["who"] == {"type": "int64", "completeness": 1.0, "distinct": 2}
    assert columns["name"] == {"type": "str", "completeness": 0.333333, "distinct": 1}
    assert (columns["wind"]["min"], columns["wind"]["max"]) == (1.0, 3.0)
    assert columns["at"]["max"] == "2013-01-02T00:00:00+00:00"
    assert quality.metrics({**found, "columns": columns}, ["name", "wind"]) == {
        "quality.rows": 3.0,
        "quality.duplicates": 1.0,
        "quality.quarantined": 2.0,
        "quality.freshness_hours": 36.0,
        "quality.completeness": 0.333333,
    }
