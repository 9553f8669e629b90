"""Refusing a bad file with its rows shown, before anything is learned from it; or setting its bad rows aside."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd

from mlplat.errors import RefusedError
from mlplat.runtime import record
from mlplat.spec.sources import BadRowsSpec

if TYPE_CHECKING:
    from pandera.pandas import DataFrameSchema

SHOWN = 5
REASON = "mlplat_reason"
"""Column of the rows that were set aside: the checks that each did not pass."""


def validate(
    frame: pd.DataFrame, schema: DataFrameSchema, what: str, *, bad_rows: BadRowsSpec | None = None
) -> pd.DataFrame:
    """Return a table (rows × columns) that holds to a schema, without the rows that do not where these may be few.

    Raises `RefusedError` naming checks, rows and values: for any bad row, or with `quarantine` for more of them than
    may be, and for a fault that lies in no single row, such as a missing column.
    """
    from pandera.errors import SchemaErrors

    noted = {"name": what, "rows": len(frame), "quarantined": 0}
    record.current().tables.append(noted)
    try:
        return schema.validate(frame, lazy=True)
    except SchemaErrors as error:
        cases = error.failure_cases
        if bad_rows is None or bad_rows.policy == "refuse":
            raise _refusal(cases, what) from error
    bad = _bad(frame, cases)
    if cases["index"].isna().any() or len(bad) > bad_rows.max_share * len(frame):
        raise _refusal(cases, what, share=f"{len(bad)} of {len(frame)} rows are bad")
    record.current().quarantine.append((what, bad))
    noted["quarantined"] = len(bad)
    good = frame.drop(index=bad.index).reset_index(drop=True)
    try:
        return schema.validate(good, lazy=True)
    except SchemaErrors as error:
        raise _refusal(error.failure_cases, what) from error


def _bad(frame: pd.DataFrame, cases: pd.DataFrame) -> pd.DataFrame:
    """Return the rows that failed, with the checks that each failed."""
    named = cases.dropna(subset=["index"]).assign(rule=lambda each: each["column"].astype("str") + ": " + each["check"])
    reasons = named.groupby("index")["rule"].agg(lambda rules: "; ".join(dict.fromkeys(rules)))
    reasons.index = reasons.index.astype(frame.index.dtype)
    return frame.loc[reasons.index].assign(**{REASON: reasons})


def _shown(row: Any, value: Any) -> str:
    # A rule for the table, or for a column that is not there, fails in no row.
    return repr(value) if pd.isna(row) else f"row {row}: {value!r}"


def _refusal(cases: pd.DataFrame, what: str, share: str | None = None) -> RefusedError:
    lines = []
    cases = cases.fillna({"column": "table"})
    for (column, check), found in cases.groupby(["column", "check"], dropna=False, sort=False):
        shown = ", ".join(map(_shown, found["index"].head(SHOWN), found["failure_case"].head(SHOWN)))
        lines.append(f"  {column}: {check}: {len(found)} times ({shown})")
    head = f"{what} does not hold to its schema{f': {share}' if share else ''}:"
    hint = "mend the data, or the schema"
    return RefusedError("\n".join([head, *lines]), hint=f"{hint}, or allow more (`data.bad_rows`)" if share else hint)
