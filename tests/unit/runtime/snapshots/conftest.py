"""A project with a few rows about a few people, and a place that is a folder or a bucket."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mlplat.runtime.hashing import hash_rows
from mlplat.runtime.record import Record
from mlplat.runtime.snapshots import keeping
from mlplat.runtime.snapshots.place import VARIABLE, Place
from mlplat.runtime.snapshots.store import Snapshot, Snapshots, pack, unpack
from mlplat.spec.project import ProjectSpec

Keep = Callable[[pd.DataFrame], Snapshot]


@pytest.fixture
def in_bucket(object_store: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    import boto3

    boto3.client("s3").create_bucket(Bucket="snapshots-of-tests")
    monkeypatch.setenv(VARIABLE, f"s3://snapshots-of-tests/{tmp_path.name}")
    return f"s3://snapshots-of-tests/{tmp_path.name}"


@pytest.fixture
def spec(make_spec: Callable[..., ProjectSpec]) -> ProjectSpec:
    return make_spec(data__keys=["who"], data__keep_snapshots=3)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place.of(tmp_path)


@pytest.fixture
def store(place: Place) -> Snapshots:
    return Snapshots(place)


@pytest.fixture
def keep(spec: ProjectSpec, store: Snapshots, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Keep:
    """Return what keeps rows as a run does, each later than the one before."""
    hours = iter(range(24))

    def kept(rows: pd.DataFrame) -> Snapshot:
        monkeypatch.setenv("MLPLAT_CLOCK", f"2020-01-01T{next(hours):02}:00:00Z")
        packed = pack(rows)
        rows = unpack(packed)
        present = pd.Timestamp("2013-07-20", tz="UTC").to_pydatetime()
        told = keeping.keep(rows, packed, hash_rows(rows), spec.data, Record(), project=tmp_path, present=present)
        return Snapshot(**json.loads(json.dumps(told)))

    return kept


def people(count: int = 200, seed: int = 0) -> pd.DataFrame:
    """Return rows (n × columns) of every type that a table has."""
    source = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "who": source.integers(0, 10, count),
            "at": pd.Timestamp("2013-01-01", tz="UTC") + pd.to_timedelta(np.arange(count), unit="h"),
            "text": source.choice(["a", "é", "x y"], count),
            "number": np.where(source.random(count) < 0.2, np.nan, source.normal(size=count)),
            "flag": source.random(count) < 0.5,
            "y": source.integers(0, 2, count),
        }
    )
    return frame.assign(maybe=frame["flag"].astype("boolean").mask(frame["number"].isna()))


@pytest.fixture
def rows() -> Any:
    return people()
