"""A query on a real PostgreSQL: times with zones, decimals, and a server-side cursor."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from urllib.parse import quote

import pandas as pd
import psycopg
import pytest

import postgres
from mlplat.errors import UnreachableError
from mlplat.runtime.sources import reading, sql
from mlplat.spec.sources import SqlSpec

SPEC = SqlSpec(url_env="ROWS", query="SELECT * FROM rows", watermark="at")


@pytest.fixture(scope="module")
def server() -> Iterator[postgres.Postgres]:
    with postgres.required() as found:
        yield found


def test_a_query_is_followed_by_a_time(
    server: postgres.Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = quote(postgres.PASSWORD, safe="")
    address = f"postgresql+psycopg://{postgres.MASTER}:{secret}@127.0.0.1:{server.port}/sales"
    monkeypatch.setenv("ROWS", address)
    with psycopg.connect(address.replace("+psycopg", "").replace("/sales", "/postgres"), autocommit=True) as database:
        database.execute("CREATE DATABASE sales")
    with psycopg.connect(address.replace("+psycopg", "")) as database:
        database.execute("CREATE TABLE rows (at timestamptz, price numeric(8, 2), name text)")
        database.execute("INSERT INTO rows VALUES ('2020-01-01T00:00Z', 1.50, 'a'), ('2020-01-02T00:00Z', NULL, 'b')")
        database.commit()
        first = reading.read(sql.fetch(SPEC, tmp_path))
        database.execute("INSERT INTO rows VALUES ('2020-01-02T00:00Z', 2.25, 'c'), ('2020-01-03T00:00Z', 3, NULL)")
        database.commit()
    frame = reading.read(sql.fetch(SPEC, tmp_path)).sort_values(["at", "name"])
    assert len(first) == 2
    assert frame["name"].fillna("-").tolist() == ["a", "b", "c", "-"]
    assert frame["price"].dropna().tolist() == [Decimal("1.50"), Decimal("2.25"), Decimal("3.00")]
    assert frame["at"].max() == pd.Timestamp("2020-01-03T00:00Z")
    monkeypatch.setenv("ROWS", f"postgresql+psycopg://somebody:hunter2@127.0.0.1:{server.port}/postgres")
    with pytest.raises(UnreachableError, match="the database of `ROWS` does not answer") as caught:
        sql.fetch(SPEC, tmp_path)
    assert "hunter2" not in str(caught.value)
