"""What every online store does when a person is erased, held against a twin that was never told of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from mlplat.bundle import Column, Contract, LookUp
from mlplat.runtime.online import Online

WHOM = "person-4711"
AT = pd.Timestamp("2013-06-01T10:00Z")
VISITS = 1300
"""Rows of several pages and removals; half of them are one person's."""
PERSON, SHOP = Column(name="person", type="string"), Column(name="shop", type="long")
GROUPS: Mapping[str, tuple[Sequence[Column], Mapping[str, Any]]] = {
    "people": ([PERSON], {"tall": "boolean", "rate": "double"}),
    "visits": ([PERSON, SHOP], {"times": "long"}),
    "shops": ([SHOP], {"owner": "string", "size": "double"}),
}


def contract() -> Contract:
    """Return that of a version which looks all of it up."""
    found = tuple(
        LookUp(group=f"erased_{name}", keys=tuple(keys), columns=tuple(columns), ttl_seconds=60)
        for name, (keys, columns) in GROUPS.items()
    )
    types = tuple(Column(name=name, type=kind) for _, columns in GROUPS.values() for name, kind in columns.items())
    return Contract(project="p", model="late", task="binary", columns=types, features="erased", lookups=found)


def tables(visits: int = VISITS) -> dict[str, pd.DataFrame]:
    """Return rows of each group; those of one person are everywhere, in `shops` as a feature."""
    who = [WHOM if number < visits // 2 else f"person-{number % 7}" for number in range(visits)]
    return {
        "people": pd.DataFrame(
            {"person": [WHOM, "person-1", "7"], "tall": [True, False, None], "rate": [7.0, 0.5, 2.0]}
        ),
        "visits": pd.DataFrame({"person": who, "shop": range(visits), "times": [1, None] * (visits // 2)}),
        "shops": pd.DataFrame({"shop": [7, 8, -9], "owner": ["person-1", WHOM, None], "size": [8.0, 7.0, 7.25]}),
    }


def fill(server: Online, rows: Mapping[str, pd.DataFrame]) -> None:
    """Tell a server of everything and push rows, the last ones first."""
    server.define(contract())
    for name, (keys, _) in GROUPS.items():
        chosen = rows[name].iloc[::-1].assign(observed=AT)
        server.push(f"erased_{name}", chosen, keys=[key.name for key in keys], observed="observed")


def held(server: Online, column: str, value: str) -> dict[str, int]:
    """Return how many rows of an entity each group has."""
    return {each["group"].removeprefix("erased_"): each["rows"] for each in server.holding(column, value)}


def check(server: Online, twin: Online, visits: int = VISITS) -> None:
    """Erase a person, and hold what is left against what a twin has that was never told of them."""
    given = tables(visits)
    fill(server, given)
    fill(twin, {name: rows[~rows.isin([WHOM]).any(axis="columns")] for name, rows in given.items()})
    # As a person types it, whatever the column's type.
    assert held(server, "person", WHOM) == {"people": 1, "visits": visits // 2}
    assert held(server, "owner", WHOM) == {"shops": 1}
    assert held(server, "shop", "7") == {"shops": 1, "visits": 1}
    assert held(server, "size", "7") == {"shops": 1}
    assert held(server, "size", "7.25") == {"shops": 1}
    assert held(server, "tall", "True") == {"people": 1}
    assert held(server, "person", "7") == {"people": 1}
    assert held(server, "person", "person") == held(server, "nothing", "7") == {}
    before = {each["group"]: each["hash"] for each in server.holding("person", WHOM)}
    left = {each: server.erase(each, "person", WHOM) for each in before}
    left["erased_shops"] = server.erase("erased_shops", "owner", WHOM)
    assert held(server, "person", WHOM) == held(server, "owner", WHOM) == {}
    # Of the twin, by somebody who is in each group.
    wanted = {each["group"]: each["hash"] for who in ("person-1", "7") for each in twin.holding("person", who)}
    wanted |= {each["group"]: each["hash"] for each in twin.holding("shop", "7")}
    assert left == wanted
    assert not set(before.values()) & set(left.values())
    assert {each: server.erase(each, "person", WHOM) for each in before} == {each: left[each] for each in before}
    assert server.erase("erased_nothing", "person", WHOM) is None
    for key in ("7", "8", "-9"):
        last = server.erase("erased_shops", "shop", key)
    assert last is None, "nothing is left"
