"""Events as rows of a table, and back."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import pandas as pd

from mlplat.runtime.streams.event import Event

OWN = ("id", "kind", "key", "at", "known")
"""Columns that every event has; an event's values are the others."""


def frame(events: Iterable[Event], values: Iterable[str]) -> pd.DataFrame:
    """Return events as rows (events × `OWN` and `values`, null where an event has none)."""
    names = [*OWN, *values]
    rows = [[*(getattr(each, name) for name in OWN), *map(each.values.get, names[len(OWN) :])] for each in events]
    made = pd.DataFrame(rows, columns=names)
    return made.assign(**{name: pd.to_datetime(made[name], utc=True).dt.as_unit("us") for name in ("at", "known")})


def events(rows: pd.DataFrame) -> Iterator[Event]:
    """Return the events of a table that has the columns `OWN`; nulls become no value."""
    names = [str(name) for name in rows.columns if name not in OWN]
    plain = rows.astype(dict.fromkeys(names, object))
    plain = plain.where(plain.notna(), None)
    for row in plain.to_dict(orient="records"):
        values = {name: row[name] for name in names if row[name] is not None}
        times = {name: row[name].to_pydatetime() for name in ("at", "known")}
        yield Event(str(row["id"]), str(row["kind"]), str(row["key"]), times["at"], times["known"], values)
