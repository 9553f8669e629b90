from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from mlplat.errors import UsageError
from mlplat.runtime.snapshots import commands
from mlplat.runtime.snapshots.place import Place
from mlplat.runtime.snapshots.store import Snapshot, pack
from mlplat.runtime.snapshots.tombstones import Tombstones

Keep = Callable[[pd.DataFrame], Snapshot]
Erase = Callable[..., Any]


@pytest.fixture
def erase(tmp_path: Path) -> Erase:
    def asked(column: str, value: str, *, dry_run: bool) -> Any:
        told: dict[str, Any] = {"log": None, "log_key": None, "features": None, "versions": [], "unreached": []}
        told |= {"verb": "erase", "project": "tests", "reason": "asked", "dry_run": dry_run}
        return commands.answer(tmp_path, {**told, "column": column, "value": value})

    return asked


@pytest.mark.parametrize("dry_run", [True, False])
def test_a_misspelt_column_is_no_entity_that_nobody_holds(
    erase: Erase, keep: Keep, rows: pd.DataFrame, place: Place, *, dry_run: bool
) -> None:
    keep(rows)
    with pytest.raises(UsageError, match="no training set has a column `whom`") as raised:
        erase("whom", "7", dry_run=dry_run)
    assert raised.value.hint == "did you mean `who`? `mlplat data show` lists the columns"
    assert not Tombstones(place).all()


def test_an_entity_that_nobody_holds_yet_is_kept_away(
    erase: Erase, keep: Keep, rows: pd.DataFrame, place: Place
) -> None:
    keep(rows)
    erase("who", "4711", dry_run=False)
    assert len(Tombstones(place).all()) == 1


def test_a_column_that_only_another_place_has_is_looked_for_there(
    erase: Erase, keep: Keep, rows: pd.DataFrame, place: Place
) -> None:
    keep(rows)
    place.write("quarantine/t/1.parquet", pack(rows.rename(columns={"who": "whom"})))
    assert [held["holder"] for held in erase("whom", "7", dry_run=True)["held"]] == ["quarantine"]


def test_before_the_first_training_every_column_may_come(erase: Erase, place: Place) -> None:
    erase("who", "7", dry_run=False)
    assert len(Tombstones(place).all()) == 1
