"""Refusing a bad file with its rows shown, before anything is learned from it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd

from mlplat.errors import RefusedError

if TYPE_CHECKING:
    from pandera.pandas import DataFrameSchema

SHOWN = 5


def validate(frame: pd.DataFrame, schema: DataFrameSchema, what: str) -> pd.DataFrame:
    """Return a table (rows × columns) that holds to a schema. Raises `RefusedError` naming checks, rows and values."""
    from pandera.errors import SchemaErrors

    try:
        return schema.validate(frame, lazy=True)
    except SchemaErrors as error:
        raise _refusal(error.failure_cases, what) from error


def _shown(row: Any, value: Any) -> str:
    # A rule for the table, or for a column that is not there, fails in no row.
    return repr(value) if pd.isna(row) else f"row {row}: {value!r}"


def _refusal(cases: pd.DataFrame, what: str) -> RefusedError:
    lines = []
    cases = cases.fillna({"column": "table"})
    for (column, check), found in cases.groupby(["column", "check"], dropna=False, sort=False):
        shown = ", ".join(map(_shown, found["index"].head(SHOWN), found["failure_case"].head(SHOWN)))
        lines.append(f"  {column}: {check}: {len(found)} times ({shown})")
    return RefusedError(
        "\n".join([f"{what} does not hold to its schema:", *lines]), hint="mend the data, or the schema"
    )
