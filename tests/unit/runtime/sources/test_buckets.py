from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mlplat.errors import UnreachableError, UsageError
from mlplat.runtime.sources import buckets

ADDRESS = "s3://rows-of-tests/daily"


@pytest.fixture
def bucket(object_store: str) -> Iterator[Any]:
    import boto3

    made = boto3.resource("s3").Bucket("rows-of-tests")
    made.create()
    yield made
    made.objects.delete()


def put(bucket: Any, **contents: str) -> None:
    for name, text in contents.items():
        bucket.put_object(Key=f"daily/{name}.csv", Body=text.encode())


def names(units: list[Any]) -> list[str]:
    return [unit.name.rpartition("/")[2] for unit in units]


def test_objects_below_the_prefix_are_brought_whole(bucket: Any, tmp_path: Path) -> None:
    put(bucket, b="a\n2\n", a="a\n1\n")
    bucket.put_object(Key="daily-of-somebody-else/x.csv", Body=b"a\n9\n")
    bucket.put_object(Key="daily/readme.txt", Body=b"words")
    units = buckets.fetch(ADDRESS, tmp_path)
    assert [(unit.name, unit.path.read_text()) for unit in units] == [
        ("s3://rows-of-tests/daily/a.csv", "a\n1\n"),
        ("s3://rows-of-tests/daily/b.csv", "a\n2\n"),
    ]


def test_only_new_and_changed_objects_are_asked_for_again(
    bucket: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(bucket, a="a\n1\n", b="a\n2\n")
    before = {unit.name: unit.path.stat().st_ino for unit in buckets.fetch(ADDRESS, tmp_path)}
    put(bucket, b="a\n3\n", c="a\n4\n")
    after = buckets.fetch(ADDRESS, tmp_path)
    kept = [unit.name for unit in after if before.get(unit.name) == unit.path.stat().st_ino]
    assert names(after) == ["a.csv", "b.csv", "c.csv"]
    assert kept == [f"{ADDRESS}/a.csv"]
    assert after[1].path.read_text() == "a\n3\n"


def test_what_the_bucket_holds_no_longer_is_no_longer_kept(bucket: Any, tmp_path: Path) -> None:
    put(bucket, a="a\n1\n", b="a\n2\n")
    gone = buckets.fetch(ADDRESS, tmp_path)[1].path
    bucket.Object("daily/b.csv").delete()
    gone.with_name(".half-brought").touch()
    assert names(buckets.fetch(ADDRESS, tmp_path)) == ["a.csv"]
    assert len(list(gone.parent.iterdir())) == 1


def test_a_bucket_with_nothing_and_one_that_is_not_there_are_named(bucket: Any, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=f"{ADDRESS}: holds no CSV"):
        buckets.fetch(ADDRESS, tmp_path)
    with pytest.raises(UnreachableError, match=r"s3://no-such-bucket: .*does not exist"):
        buckets.fetch("s3://no-such-bucket", tmp_path)
