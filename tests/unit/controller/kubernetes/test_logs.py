"""What the bucket keeps of prediction logs: as long and as large as the platform says, and never the newest less."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlplat.controller.errands import Errands
from mlplat.controller.kubernetes.bucket import Bucket
from mlplat.controller.kubernetes.logs import TIME, Logs, excess, retain
from mlplat.controller.kubernetes.settings import Log, Objects, Settings

NOW = datetime(2024, 5, 1, tzinfo=UTC)
FOLDER = "flights/predictions/flights.late/r1"


def key(age: timedelta, run: str = "aa", folder: str = FOLDER) -> str:
    return f"{folder}/{NOW - age:{TIME}}-{run}-000001.parquet"


class Store:
    """A bucket by size; what is looked for and removed is noted."""

    def __init__(self, kept: dict[str, int]) -> None:
        self.kept, self.looks = kept, 0

    def list_objects_v2(self, *, Bucket: str, Prefix: str, **_: str) -> dict[str, Any]:  # noqa: N803 - boto3's names
        assert Bucket == "data"
        self.looks += 1
        return {"Contents": [{"Key": key, "Size": size} for key, size in self.kept.items() if key.startswith(Prefix)]}

    def delete_objects(self, *, Bucket: str, Delete: dict[str, Any]) -> None:  # noqa: N803
        assert Bucket == "data"
        for each in Delete["Objects"]:
            del self.kept[each["Key"]]


PARTS = st.dictionaries(st.integers(0, 10_000), st.integers(1, 100), max_size=12)


@settings(deadline=None, max_examples=60, derandomize=True)
@given(PARTS, st.integers(1, 400), st.none() | st.integers(1, 10_000))
def test_what_is_left_is_within_both_limits_and_is_the_newest(
    ages: dict[int, int], most: int, oldest: int | None
) -> None:
    parts = {key(timedelta(minutes=age)): size for age, size in ages.items()}
    seconds = None if oldest is None else oldest * 60.0
    over = excess(parts, Log(bucket="data", keep_bytes=most, keep_seconds=seconds), NOW)
    left = sorted(parts.keys() - set(over))
    assert sum(parts[each] for each in left) <= most or len(left) == 1, "the newest may be larger than all that is kept"
    assert all(oldest is None or age <= oldest for age in ages if key(timedelta(minutes=age)) in left)
    assert not (left and over) or max(over) < min(left), "the oldest go first"
    young = [age for age in ages if oldest is None or age <= oldest]
    if young:
        assert key(timedelta(minutes=min(young))) in left
    if sum(ages[age] for age in young) <= most:
        assert len(left) == len(young), "nothing goes that there is room and time for"


def test_each_revision_has_its_own_room_and_what_is_no_part_stays() -> None:
    other = FOLDER.replace("r1", "r2")
    kept = {key(timedelta(hours=hour), folder=folder): 60 for hour in (1, 2) for folder in (FOLDER, other)}
    store = Store({**kept, f"{FOLDER}/notes.txt": 9_000, "flights/projects/x/rows.parquet": 9_000})
    assert retain(Bucket(store, "data"), ["flights"], Log(bucket="data", keep_bytes=100), NOW) == 2
    assert sorted(store.kept) == sorted(
        [key(timedelta(hours=1)), key(timedelta(hours=1), folder=other), f"{FOLDER}/notes.txt",
         "flights/projects/x/rows.parquet"]
    )  # fmt: skip


def told(log: Log | None) -> Settings:
    return Settings(
        tracking="http://t", namespaces={"late": "flights", "early": "flights"}, image="i",
        objects=Objects(bucket="artifacts"), port=8000, log=log,
    )  # fmt: skip


@pytest.mark.parametrize(("log", "looks"), [(Log(bucket="data"), [1, 1, 2]), (None, [0, 0, 0])])
def test_the_bucket_is_looked_at_once_an_hour(log: Log | None, looks: list[int]) -> None:
    store = Store({})
    logs = Logs(store, lambda: told(log), Errands(lambda call: call()))
    found = []
    for minutes in (0, 59, 61):
        logs.attend(NOW + timedelta(minutes=minutes))
        found.append(store.looks)
    assert found == looks


def test_a_store_that_says_no_is_asked_again_an_hour_later(caplog: pytest.LogCaptureFixture) -> None:
    from botocore.exceptions import EndpointConnectionError

    class Down(Store):
        def list_objects_v2(self, **_: str) -> dict[str, Any]:
            self.looks += 1
            raise EndpointConnectionError(endpoint_url="http://objects")

    store = Down({})
    logs = Logs(store, lambda: told(Log(bucket="data")), Errands(lambda call: call()))
    for minutes in (0, 30, 61):
        logs.attend(NOW + timedelta(minutes=minutes))
    assert store.looks == 2
    assert "prediction logs stay as they are: s3://data does not answer" in caplog.text
