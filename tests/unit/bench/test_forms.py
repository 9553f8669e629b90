"""Every form carries the same rows, and every answer is read to the same probabilities."""

from __future__ import annotations

import json

from bench import forms
from mlplat.bundle import Column, Row

COLUMNS = (
    Column(name="carrier", type="string"),
    Column(name="distance", type="long"),
    Column(name="gust", type="double", nullable=True),
)
ROWS: list[Row] = [
    {"carrier": "UA", "distance": 1400, "gust": 21.5},
    {"carrier": "B6", "distance": 200, "gust": None},
]


def test_rows_are_sent_as_they_are() -> None:
    form = forms.rows_form()
    assert json.loads(form.encode(ROWS)) == {"rows": ROWS}
    assert form.decode({"predictions": [{"label": 1, "probability": 0.75}]}) == [0.75]


def test_an_array_has_a_row_for_each_row() -> None:
    rows: list[Row] = [{"a": 1.0, "b": 2.0}, {"a": 3.0, "b": 4.0}]
    (tensor,) = json.loads(forms.array_form("/", output="probability").encode(rows))["inputs"]
    assert (tensor["shape"], tensor["data"]) == ([2, 2], [[1.0, 2.0], [3.0, 4.0]])


def test_columns_keep_their_types_and_nulls() -> None:
    inputs = json.loads(forms.columns_form("/", COLUMNS, output="probability").encode(ROWS))["inputs"]
    assert [(each["name"], each["datatype"], each["data"]) for each in inputs] == [
        ("carrier", "BYTES", ["UA", "B6"]),
        ("distance", "INT64", [1400, 200]),
        ("gust", "FP64", [21.5, None]),
    ]


def test_a_frame_has_doubles_for_numbers_and_says_what_texts_are() -> None:
    document = json.loads(forms.frame_form("/", COLUMNS, output=None).encode(ROWS))
    assert document["parameters"] == {"content_type": "pd"}
    assert [(each["datatype"], each["shape"]) for each in document["inputs"]] == [
        ("BYTES", [2, 1]),
        ("FP64", [2, 1]),
        ("FP64", [2, 1]),
    ]
    assert document["inputs"][0]["parameters"] == {"content_type": "str"}
    assert "outputs" not in document


def test_a_split_frame_has_a_row_for_each_row() -> None:
    form = forms.split_form("/invocations", COLUMNS)
    assert json.loads(form.encode(ROWS))["dataframe_split"] == {
        "columns": ["carrier", "distance", "gust"],
        "data": [["UA", 1400, 21.5], ["B6", 200, None]],
    }
    assert form.decode({"predictions": [[0.25, 0.75], [0.9, 0.1]]}) == [0.75, 0.1]


def test_one_probability_a_row_is_read_whether_a_server_answers_with_one_or_with_both() -> None:
    form = forms.array_form("/", output="probability")
    one = {"outputs": [{"shape": [2], "data": [0.75, 0.1]}]}
    both = {"outputs": [{"shape": [2, 2], "data": [0.25, 0.75, 0.9, 0.1]}]}
    assert form.decode(one) == form.decode(both) == [0.75, 0.1]
