from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pandera.pandas as pa
import pytest

from mlplat.errors import RefusedError
from mlplat.runtime import registry, sources, table
from mlplat.runtime.snapshots import erasure, holders, keeping
from mlplat.runtime.snapshots.place import Place
from mlplat.runtime.snapshots.store import Snapshots, unpack
from mlplat.runtime.snapshots.tombstones import Tombstones
from mlplat.runtime.split import Window
from mlplat.runtime.steps import ending, preparation
from mlplat.runtime.steps.preparation import Options, Prepared
from mlplat.runtime.steps.training import Trained
from mlplat.spec.project import ProjectSpec, override

SCHEMA = pa.DataFrameSchema({"wind": pa.Column(float, pa.Check.ge(-20), nullable=True)})
WINDOW = Window("2013-06-01")


@pytest.fixture
def project(tmp_path: Path, rows: pd.DataFrame) -> Path:
    frame = rows.assign(who=np.arange(len(rows)) % 40, after="s")
    frame.loc[[7, 9], "wind"] = -99.0
    frame.to_csv(tmp_path / "rows.csv", index=False)
    return tmp_path


@pytest.fixture
def rows() -> Any:
    """Return the runtime's rows in place of this folder's, which are too few to be divided."""
    source = np.random.default_rng(3)
    at = pd.Timestamp("2013-01-01", tz="UTC") + pd.to_timedelta(np.arange(2000) * 144, unit="min")
    return pd.DataFrame({"at": at, "wind": source.normal(size=2000), "y": source.integers(0, 2, 2000)})


@pytest.fixture
def spec(make_spec: Callable[..., ProjectSpec]) -> ProjectSpec:
    return make_spec(data__keys=["who"], data__refused=["after"], data__bad_rows={"policy": "quarantine"})


def begin(spec: ProjectSpec, project: Path, **asked: Any) -> Prepared:
    def load(spec: ProjectSpec, project: Path) -> pd.DataFrame:
        return sources.load(spec, project, SCHEMA)

    return preparation.begin(spec, Options(WINDOW, **asked), load, table.prepare, project=project)


def test_a_run_keeps_what_it_learns_from_and_says_where_it_came_from(spec: ProjectSpec, project: Path) -> None:
    made = begin(spec, project)
    kept = Snapshots(Place.of(project)).find(made.data_hash)
    assert list(kept.columns) == ["wind", "y", "at", "who"], "what was refused is not kept"
    assert kept.facts["sources"][0]["name"] == "rows.csv"
    assert kept.facts["availability"]["time"] == "at"
    assert kept.facts["quality"]["quarantined"] == 2
    assert made.snapshot["hash"] == made.data_hash


@pytest.mark.parametrize("sample", [None, 900])
def test_training_on_a_snapshot_again_is_training_on_the_same_rows(
    spec: ProjectSpec, project: Path, sample: int | None
) -> None:
    first = begin(spec, project, sample=sample)
    (project / "rows.csv").unlink()
    again = begin(spec, project, snapshot=first.data_hash[:20])
    assert (again.data_hash, again.holdout_hash) == (first.data_hash, first.holdout_hash)
    pd.testing.assert_frame_equal(again.features, first.features)
    assert again.snapshot["facts"] == first.snapshot["facts"]


def test_reading_the_same_source_again_keeps_nothing_new(spec: ProjectSpec, project: Path) -> None:
    begin(spec, project)
    before = Place.of(project).names("")
    begin(spec, project)
    assert Place.of(project).names("") == before


def test_a_project_that_keeps_no_rows_has_them_until_the_run_is_over(
    spec: ProjectSpec, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = override(spec, {"data.keep_snapshots": 0})
    made = begin(spec, project)
    store = Snapshots(Place.of(project))
    kept = store.find(made.data_hash)
    assert store.has_rows(kept), "its other steps read them"
    monkeypatch.setattr(registry, "is_connected", lambda: False)
    report = {"passed": True, "rules": [], "metrics": {}}
    ending.finish(spec, Options(WINDOW), made, Trained(b"", "sha256:0", None), report, project=project)
    assert not store.has_rows(kept)


@pytest.fixture
def secret(project: Path) -> bytes:
    """Return a text of one person that the source holds."""
    frame = pd.read_csv(project / "rows.csv")
    frame.assign(who=frame["who"].map(lambda number: f"person-{number}")).to_csv(project / "rows.csv", index=False)
    return b"person-9"


def test_what_steps_hand_on_holds_no_row_and_gives_all_of_them_again(
    spec: ProjectSpec, project: Path, secret: bytes
) -> None:
    """Metaflow keeps every artifact for good, in a store that no erasure looks into."""
    spec = override(spec, {"gate.slices": ["who"]})
    made = begin(spec, project)
    assert "person-9" in set(made.named["who"])
    handed_on = pickle.dumps(made)
    assert secret not in handed_on
    there = pickle.loads(handed_on)  # noqa: S301 - of this test
    assert vars(there).keys() == vars(made).keys()
    pd.testing.assert_frame_equal(there.features, made.features)
    pd.testing.assert_frame_equal(there.named, made.named)
    assert made.asked is not None
    assert there.asked is not None
    pd.testing.assert_series_equal(there.asked, made.asked)
    np.testing.assert_array_equal(there.labels, made.labels)
    np.testing.assert_array_equal(there.blocks, made.blocks)
    assert len(handed_on) < made.features.memory_usage(index=False).sum() * 3, "rows are told by their places"


def test_a_run_whose_rows_are_erased_meanwhile_ends_and_says_so(
    spec: ProjectSpec, project: Path, secret: bytes
) -> None:
    handed_on = pickle.dumps(begin(spec, project))
    found = holders.of(project, "tests", log=None, log_key=None, features=None)
    now = pd.Timestamp("2020-01-01", tz="UTC").to_pydatetime()
    erasure.erase(found, Tombstones(Place.of(project)), "who", secret.decode(), reason="asked", now=now, versions=[])
    with pytest.raises(RefusedError, match="kept no longer") as caught:
        pickle.loads(handed_on)  # noqa: S301 - of this test
    assert "what is left is snapshot" in (caught.value.hint or "")


def test_rows_that_were_set_aside_take_the_place_of_those_before(spec: ProjectSpec, project: Path) -> None:
    begin(spec, project)
    frame = pd.read_csv(project / "rows.csv")
    frame.assign(wind=frame["wind"].where(frame.index != 7, 0.0)).to_csv(project / "rows.csv", index=False)
    begin(spec, project)
    place = Place.of(project)
    (name,) = place.names("quarantine")
    assert unpack(place.read(name))["who"].tolist() == [9]


def test_what_was_erased_stays_away_and_what_is_left_is_what_the_source_then_gives(
    spec: ProjectSpec, project: Path
) -> None:
    begin(spec, project)
    place, found = Place.of(project), holders.of(project, "tests", log=None, log_key=None, features=None)
    now = pd.Timestamp("2020-01-01", tz="UTC").to_pydatetime()
    made = erasure.erase(found, Tombstones(place), "who", "9", reason="asked", now=now, versions=[])
    again = begin(spec, project)
    assert again.data_hash in {held.after for held in made.held}
    assert erasure.plan(found, "who", "9") == ([], [])


def test_nothing_of_it_enters_the_projects_repository(spec: ProjectSpec, project: Path) -> None:
    begin(spec, project)
    assert (project / ".mlplat/data/.gitignore").read_text() == "*\n"


def test_a_run_shows_its_data_and_is_compared_by_its_quality(spec: ProjectSpec, project: Path, tmp_path: Path) -> None:
    made = begin(spec, project)
    metrics = keeping.write_down(made.snapshot, list(made.snapshot["columns"])[:1], tmp_path / "pages")
    assert metrics["quality.quarantined"] == 2.0
    assert json.loads((tmp_path / "pages/data/quality.json").read_text())["rows"] == 1998
    assert json.loads((tmp_path / "pages/data/snapshot.json").read_text())["hash"] == made.data_hash
    assert keeping.write_down({}, [], tmp_path / "none") == {}
