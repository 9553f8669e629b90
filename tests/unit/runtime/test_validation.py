from __future__ import annotations

import pandas as pd
import pandera.pandas as pa
import pytest

from mlplat.errors import RefusedError
from mlplat.runtime import record
from mlplat.runtime.validation import REASON, validate
from mlplat.spec.sources import BadRowsSpec

SCHEMA = pa.DataFrameSchema(
    {
        "hour": pa.Column(int, pa.Check.in_range(0, 23)),
        "carrier": pa.Column(str, pa.Check.isin(["AA", "B6"]), nullable=True),
    },
    checks=pa.Check(lambda frame: len(frame) < 100, name="few rows", error="few rows"),
)


def test_a_table_that_holds_is_returned_as_it_is() -> None:
    frame = pd.DataFrame({"hour": [1, 2], "carrier": ["AA", None]})
    pd.testing.assert_frame_equal(validate(frame, SCHEMA, "flights"), frame)


def test_every_check_is_named_with_its_rows_and_values() -> None:
    frame = pd.DataFrame({"hour": [1, 24, 99], "carrier": ["AA", "ZZ", "B6"]})
    with pytest.raises(RefusedError) as caught:
        validate(frame, SCHEMA, "flights of 2013")
    lines = caught.value.message.splitlines()
    assert lines[0] == "flights of 2013 does not hold to its schema:"
    assert lines[1:] == [
        "  hour: in_range(0, 23): 2 times (row 1: 24, row 2: 99)",
        "  carrier: isin(['AA', 'B6']): 1 times (row 1: 'ZZ')",
    ]


def test_only_the_first_rows_of_many_are_shown() -> None:
    with pytest.raises(RefusedError, match=r"hour: .*: 50 times \(row 0: 24, row 1: 24, .*row 4: 24\)"):
        validate(pd.DataFrame({"hour": [24] * 50, "carrier": ["AA"] * 50}), SCHEMA, "flights")


def test_a_missing_column_and_a_rule_for_the_whole_table_name_no_row() -> None:
    with pytest.raises(RefusedError) as caught:
        validate(pd.DataFrame({"carrier": ["AA"] * 100}), SCHEMA, "flights")
    assert caught.value.message.splitlines()[1:] == [
        "  table: column_in_dataframe: 1 times ('hour')",
        "  table: few rows: 1 times (False)",
    ]


QUARANTINE = BadRowsSpec(policy="quarantine", max_share=0.3)


def test_bad_rows_are_set_aside_with_their_reasons_and_counted() -> None:
    frame = pd.DataFrame({"hour": [1, 24, 3, 99, 5, 6, 7, 8], "carrier": ["AA", "ZZ", "B6", "AA", *["AA"] * 4]})
    with record.recording() as noted:
        good = validate(frame, SCHEMA, "flights", bad_rows=QUARANTINE)
    assert good["hour"].tolist() == [1, 3, 5, 6, 7, 8]
    (table, bad), *none = noted.quarantine
    assert (table, none) == ("flights", [])
    assert dict(zip(bad["hour"], bad[REASON], strict=True)) == {
        24: "hour: in_range(0, 23); carrier: isin(['AA', 'B6'])",
        99: "hour: in_range(0, 23)",
    }
    assert noted.tables == [{"name": "flights", "rows": 8, "quarantined": 2}]


@pytest.mark.parametrize(
    ("hours", "why"),
    [([1, 24, 99], "2 of 3 rows are bad"), ([1] * 100, "few rows")],
    ids=["more than may be", "the table as a whole"],
)
def test_what_cannot_be_set_aside_is_refused_all_the_same(hours: list[int], why: str) -> None:
    with pytest.raises(RefusedError, match=why):
        validate(pd.DataFrame({"hour": hours, "carrier": "AA"}), SCHEMA, "flights", bad_rows=QUARANTINE)
