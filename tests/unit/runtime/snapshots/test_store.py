from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.pandas import column, data_frames, range_indexes

from mlplat.errors import RefusedError, UsageError
from mlplat.runtime.hashing import hash_rows
from mlplat.runtime.snapshots.place import Place
from mlplat.runtime.snapshots.store import DamagedRecordError, Snapshot, Snapshots, pack, rows_of, unpack

Keep = Callable[[pd.DataFrame], Snapshot]
texts = st.none() | st.text(st.characters(exclude_categories=["Cs"]), max_size=5)


@settings(max_examples=20)
@given(
    data_frames(
        [
            column("whole", dtype="int64"),
            column("number", dtype="float64"),
            column("flag", dtype="bool"),
            column("text", elements=texts, dtype=object),
            column("time", dtype="datetime64[ns]"),
        ],
        index=range_indexes(max_size=20),
    )
)
def test_what_is_restored_is_what_was_learned_from(frame: pd.DataFrame) -> None:
    frame = frame.assign(
        time=frame["time"].dt.tz_localize("UTC"),
        text=frame["text"].astype("str").where(frame["text"].notna(), None),
        gaps=frame["whole"].astype("Int64").mask(frame["flag"]),
        zoned=frame["time"].dt.tz_localize(None).dt.tz_localize("UTC").dt.tz_convert("America/New_York"),
    )
    learned = unpack(pack(frame))
    restored = unpack(pack(learned))
    pd.testing.assert_frame_equal(restored, learned)
    assert hash_rows(restored) == hash_rows(learned) == hash_rows(frame)


def test_a_snapshot_is_kept_once_and_found_by_the_beginning_of_its_hash(
    store: Snapshots, keep: Keep, rows: pd.DataFrame
) -> None:
    first, second, again = keep(rows), keep(rows.head(50)), keep(rows)
    assert [each.hash for each in store.all()] == [first.hash, second.hash]
    assert (again.created, again.used) == (first.created, "2020-01-01T02:00:00+00:00")
    assert store.find(first.name[:8]) == again
    assert hash_rows(store.rows(store.find(first.hash))) == first.hash
    for wanted in ("0" * 8, first.name[:4]):
        with pytest.raises(UsageError, match="no snapshot begins"):
            store.find(wanted)


def test_the_newest_keep_their_rows_and_all_their_records(store: Snapshots, keep: Keep, rows: pd.DataFrame) -> None:
    made = [keep(rows.head(count)) for count in (10, 20, 30, 40)]
    keep(rows.head(20))
    keep(rows.head(50))
    assert len(store.all()) == 5
    assert [each.rows for each in store.all() if store.has_rows(each)] == [50, 20, 40]
    with pytest.raises(RefusedError, match="are kept no longer") as caught:
        store.rows(made[0])
    assert "keep_snapshots" in (caught.value.hint or "")


@pytest.mark.parametrize("left", [b"\xf5\0", b"[]", b'{"a": 1}'])
def test_a_damaged_record_is_named_and_keeps_no_run_from_its_own(
    store: Snapshots, place: Place, keep: Keep, rows: pd.DataFrame, left: bytes
) -> None:
    damaged, other = keep(rows), keep(rows.head(10))
    path = f"snapshots/{damaged.name}/snapshot.json"
    place.write(path, left)
    for look in (store.all, lambda: store.find(other.hash), lambda: store.origins(other.hash)):
        with pytest.raises(
            DamagedRecordError, match=f"{damaged.name}/snapshot.json: is no snapshot's record"
        ) as caught:
            look()
        assert "put back a copy" in str(caught.value.hint)
    # Another run goes on, and the rows of what nobody can read stay, however little is kept.
    keep(rows.head(20))
    store.retain(1)
    assert place.has(rows_of(damaged))
    assert not store.has_rows(other)
    assert keep(rows).hash == damaged.hash
    assert {each.hash for each in store.all()} >= {damaged.hash, other.hash}


def test_rows_that_were_changed_are_not_trained_on(
    store: Snapshots, place: Place, keep: Keep, rows: pd.DataFrame
) -> None:
    made = keep(rows)
    stream = io.BytesIO()
    rows.assign(y=1 - rows["y"]).to_parquet(stream)
    place.write(rows_of(made), stream.getvalue())
    with pytest.raises(RefusedError, match="they were changed"):
        store.rows(made)


@pytest.mark.usefixtures("in_bucket")
def test_a_bucket_is_a_place_like_any_other(keep: Keep, rows: pd.DataFrame, tmp_path: Path) -> None:
    store = Snapshots(Place.of(tmp_path))
    made = [keep(rows.head(count)) for count in (10, 20, 30, 40)]
    assert [each.hash for each in store.all()] == [each.hash for each in reversed(made)]
    assert [store.has_rows(each) for each in made] == [False, True, True, True]
    assert hash_rows(store.rows(made[-1])) == made[-1].hash
    assert not (tmp_path / ".mlplat").exists()


def test_a_column_that_has_no_one_type_is_named() -> None:
    with pytest.raises(UsageError, match=r"cannot be kept as Parquet: .*odd"):
        pack(pd.DataFrame({"odd": [1, "x", 2.0]}, dtype=object))
