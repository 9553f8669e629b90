from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from mlplat.errors import UsageError
from mlplat.runtime.sources import files


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for name in ("data/b.csv", "data/a.csv", "data/deep/c.csv", "data/notes.txt", "data/.hidden.csv"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        pd.DataFrame({"a": [1]}).to_csv(path, index=False)
    return tmp_path


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("data/a.csv", ["data/a.csv"]),
        ("data/*.csv", ["data/.hidden.csv", "data/a.csv", "data/b.csv"]),
        ("data/**/c.csv", ["data/deep/c.csv"]),
        ("data", ["data/a.csv", "data/b.csv", "data/deep/c.csv"]),
    ],
)
def test_a_source_is_its_files_in_the_order_of_their_names(project: Path, source: str, names: list[str]) -> None:
    assert [unit.name for unit in files.local(source, project)] == names


def test_a_file_is_known_by_its_content(project: Path) -> None:
    first = files.local("data/a.csv", project)
    assert files.local("data/a.csv", project) == first
    (project / "data/a.csv").write_text("a\n2\n")
    assert files.local("data/a.csv", project)[0].etag != first[0].etag


@pytest.mark.parametrize("source", ["data/nothing.csv", "data/*.parquet"])
def test_a_source_without_files_is_named(project: Path, source: str) -> None:
    with pytest.raises(UsageError, match=r"there is no data file .*data/"):
        files.local(source, project)


def test_what_is_brought_never_enters_the_projects_repository(project: Path) -> None:
    files.place_of(project / files.FETCHED, "s3://bucket")
    assert (project / files.FETCHED / ".gitignore").read_text() == "*\n"
