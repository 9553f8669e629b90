"""What a request holds becomes typed columns, or a refusal that names the place."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.pandas import column, data_frames, range_indexes

from mlplat.bundle import Column
from mlplat.serving.columns import LISTED, Columns, InputError, Schema

ONE = {"text": "a", "whole": 1, "number": 0.5, "flag": True}
SCHEMA = Schema(
    [
        Column(name="text", type="string", nullable=True),
        Column(name="whole", type="long"),
        Column(name="number", type="double", nullable=True),
        Column(name="flag", type="boolean"),
    ]
)


def refused(rows: object, schema: Schema = SCHEMA) -> tuple[str, ...]:
    with pytest.raises(InputError) as caught:
        schema.from_rows(rows)
    return caught.value.details


def test_columns_have_the_contracts_types() -> None:
    columns = SCHEMA.from_rows([ONE, ONE | {"text": None, "number": None}])
    assert [array.dtype for array in columns.values()] == [np.object_, np.int64, np.float64, np.bool_]
    assert columns["text"].tolist()[0] == "a"
    assert np.isnan(columns["text"][1])
    assert np.isnan(columns["number"][1])


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"text": 5}, "rows[1].text: must be a string, not 5"),
        ({"text": ["a"]}, "rows[1].text: must be a string, not a list"),
        ({"whole": None}, "rows[1].whole: must not be null"),
        ({"whole": 1.5}, "rows[1].whole: must be a whole number, not 1.5"),
        ({"whole": True}, "rows[1].whole: must be a whole number, not true"),
        ({"whole": 2**63}, "rows[1].whole: must be a whole number of 64 bits"),
        ({"whole": 1e19}, "rows[1].whole: must be a whole number of 64 bits"),
        ({"number": True}, "rows[1].number: must be a number, not true"),
        ({"number": "1"}, 'rows[1].number: must be a number, not "1"'),
        ({"number": float("nan")}, "rows[1].number: must be a finite number"),
        ({"number": float("inf")}, "rows[1].number: must be a finite number"),
        ({"number": 10**400}, "rows[1].number: must be a finite number"),
        ({"flag": 1}, "rows[1].flag: must be true or false, not 1"),
        ({"colour": "red"}, "rows[1].colour: the model has no such column"),
    ],
)
def test_a_wrong_value_is_named_with_row_and_column(changes: dict[str, Any], reason: str) -> None:
    assert refused([ONE, ONE | changes]) == (reason,)


@pytest.mark.parametrize("value", [3, 3.0])
def test_an_exactly_whole_number_is_one(value: float) -> None:
    assert SCHEMA.from_rows([ONE | {"whole": value}])["whole"].tolist() == [3]


@pytest.mark.parametrize("value", [2**63 - 1, -(2**63)])
def test_every_int64_is_kept_exactly(value: int) -> None:
    assert SCHEMA.from_rows([ONE | {"whole": value}])["whole"].tolist() == [value]


def test_a_whole_number_is_a_number() -> None:
    assert SCHEMA.from_rows([ONE | {"number": 7}])["number"].tolist() == [7.0]


@pytest.mark.parametrize("rows", [None, {}, "rows", 3, []])
def test_rows_are_a_list_that_holds_some(rows: object) -> None:
    assert refused(rows)[0].startswith("rows: ")


@pytest.mark.parametrize("row", [None, [], "text", 4, ["text", "whole", "number", "flag"]])
def test_a_row_is_an_object(row: object) -> None:
    assert refused([ONE, row])[0].startswith("rows[1]: must be an object")


def test_all_problems_are_told_at_once_up_to_a_bound() -> None:
    row = {"text": 1, "whole": "x", "odd": 0}
    assert refused([row]) == (
        "rows[0].text: must be a string, not 1",
        'rows[0].whole: must be a whole number, not "x"',
        "rows[0].number: is missing",
        "rows[0].flag: is missing",
        "rows[0].odd: the model has no such column",
    )
    assert len(refused([row] * 50)) == LISTED


def test_a_clients_own_text_is_cut_in_messages() -> None:
    assert len(refused([ONE | {"x" * 10_000: 1}])[0]) < 150
    assert len(refused([ONE | {"whole": "y" * 10_000}])[0]) < 150


@pytest.mark.parametrize("value", [True, None, 2**62])
def test_a_nullable_whole_number_is_checked_as_strictly(value: Any) -> None:
    schema = Schema([Column(name="n", type="long", nullable=True)])
    if value is True:
        assert refused([{"n": value}, {"n": None}], schema)
    else:
        assert schema.from_rows([{"n": value}])["n"].dtype == np.float64


def test_a_nullable_whole_number_beyond_64_bits_is_refused() -> None:
    schema = Schema([Column(name="n", type="long", nullable=True)])
    assert refused([{"n": None}, {"n": 2**64}], schema) == ("rows[1].n: must be a whole number of 64 bits",)


@pytest.mark.parametrize("null", [None, np.nan, pd.NA, pd.NaT])
def test_every_null_of_pandas_is_null(null: Any) -> None:
    frame = pd.DataFrame(
        {"text": ["a", null], "whole": [1, 2], "number": [null, 1.0], "flag": [True, False]}, dtype=object
    )
    columns = SCHEMA.from_frame(frame)
    assert np.isnan(columns["text"][1])
    assert np.isnan(columns["number"][0])


def test_pandas_own_nullable_types_are_taken() -> None:
    frame = pd.DataFrame(
        {
            "text": pd.array(["a", None], dtype="string"),
            "whole": pd.array([1, 2], dtype="Int64"),
            "number": pd.array([None, 2.5], dtype="Float64"),
            "flag": pd.array([True, False], dtype="boolean"),
        }
    )
    assert SCHEMA.from_frame(frame)["number"].tolist()[1] == 2.5


FRAMES = data_frames(
    [
        column(
            "text", elements=st.none() | st.text(st.characters(exclude_categories=["Cs"]), max_size=3), dtype=object
        ),
        column("whole", elements=st.integers(-(2**63), 2**63 - 1), dtype="int64"),
        column("number", elements=st.floats(allow_infinity=False) | st.just(np.nan), dtype="float64"),
        column("flag", dtype="bool"),
    ],
    index=range_indexes(min_size=1, max_size=20),
)


def outcome(schema: Schema, frame: pd.DataFrame) -> tuple[Columns, tuple[str, ...]]:
    """Return a frame's columns, or why it is refused."""
    try:
        return schema.from_frame(frame), ()
    except InputError as error:
        return {}, error.details


@given(FRAMES, st.booleans())
def test_a_frame_of_the_columns_own_types_is_read_as_one_of_single_values(frame: pd.DataFrame, nullable: bool) -> None:
    """The former is taken as it is; the latter a value at a time."""
    chosen = [each.model_copy(update={"nullable": nullable or each.name == "number"}) for each in SCHEMA.columns]
    schema = Schema(chosen)
    wanted, refused = outcome(schema, frame.astype(object))
    found, said = outcome(schema, frame.astype({"text": "str"}))
    assert (list(found), said) == (list(wanted), refused)
    for name, array in wanted.items():
        made = pd.Series(found[name], dtype=found[name].dtype)
        pd.testing.assert_series_equal(made, pd.Series(array, dtype=array.dtype))
    if found:
        assert len({id(text) for text in found["text"]}) == frame["text"].nunique(dropna=False)


def test_a_frame_without_a_column_is_refused() -> None:
    with pytest.raises(InputError, match="flag: is missing"):
        SCHEMA.from_frame(pd.DataFrame([ONE]).drop(columns="flag"))


def test_a_frame_made_of_columns_keeps_their_types_even_when_all_are_null() -> None:
    frame = SCHEMA.to_frame(SCHEMA.from_rows([ONE | {"text": None, "number": None}]))
    assert frame.dtypes.astype(str).to_dict() == {
        "text": "object",
        "whole": "int64",
        "number": "float64",
        "flag": "bool",
    }
