from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from mlflow import MlflowClient
from sklearn.compose import make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from mlplat import contracts
from mlplat.bundle import Contract, digest
from mlplat.errors import RefusedError
from mlplat.labels import Name
from mlplat.runtime import bundles, online, promotion, registry
from mlplat.runtime.promotion import BUNDLE, KEPT, ORIGIN, TOLD, Arrived
from mlplat.runtime.split import Window
from mlplat.runtime.steps import ending, judgement, preparation, training
from mlplat.runtime.steps.preparation import Options, Prepared
from mlplat.runtime.steps.training import Trained
from mlplat.spec.project import ProjectSpec, override

MakeSpec = Callable[..., ProjectSpec]
NAME = Name("tests", "late")
MAY = Options(Window("2013-05-01"))


def make(_settings: Any, _task: str, _texts: Any, numbers: Any, *_more: Any) -> Any:
    return make_pipeline(make_column_transformer((SimpleImputer(), list(numbers))), LogisticRegression(max_iter=1000))


@pytest.fixture(scope="module")
def spec(make_spec: MakeSpec) -> ProjectSpec:
    return make_spec(gate__resamples=100, serving__format="skops", explanations__slices=["carrier"])


@pytest.fixture(scope="module", name="rows")
def clear_rows(rows: pd.DataFrame) -> pd.DataFrame:
    """Return rows of which the hour says so much that a few weeks of them cannot hide it."""
    source = np.random.default_rng(11)
    return rows.assign(y=np.where(source.random(len(rows)) < 0.7, rows["hour"] > 14, rows["y"]).astype(int))


@pytest.fixture(scope="module")
def prepared(spec: ProjectSpec, rows: pd.DataFrame) -> Prepared:
    return preparation.prepare(spec, MAY, rows)


@pytest.fixture(scope="module")
def trained(spec: ProjectSpec, prepared: Prepared) -> Trained:
    weather = {"columns": ["wind"], "online": {"keys": ["carrier"], "ttl_minutes": 60}}
    looking = override(spec, {"data.features": {"weather": weather}})
    keyed = dataclasses.replace(prepared, keys=bundles.columns_of(prepared.features[["carrier"]]))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(contracts.FEATURES, "http://127.0.0.1:1")
        return training.train(looking, keyed, make)


Connect = Callable[[str], MlflowClient]


def connected(folder: Path, name: str, patch: pytest.MonkeyPatch) -> MlflowClient:
    """Make a registry of files, by name, the one that is connected; return its client."""
    address = (folder / name).as_uri()
    patch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    patch.setenv("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    patch.setenv(registry.TRACKING, address)
    patch.delenv("MLFLOW_EXPERIMENT_ID", raising=False)
    return MlflowClient(address, address)


@pytest.fixture
def stores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Connect:
    """Return what connects a registry of the test's own."""
    return lambda name: connected(tmp_path, name, monkeypatch)


def finished(spec: ProjectSpec, prepared: Prepared, trained: Trained, project: Path) -> Any:
    report = judgement.judge(spec, prepared, trained)
    return ending.finish(spec, MAY, prepared, trained, report, project=project)


def artifacts(client: MlflowClient, run_id: str, path: str | None = None) -> set[str]:
    found = client.list_artifacts(run_id, path)
    return {item.path for item in found if not item.is_dir}.union(
        *(artifacts(client, run_id, item.path) for item in found if item.is_dir)
    )


def test_a_version_has_its_explanations_pictures_and_card(
    spec: ProjectSpec,
    prepared: Prepared,
    trained: Trained,
    stores: Connect,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    client = stores("dev")
    monkeypatch.setenv(contracts.REASON, "drift of `wind`")
    monkeypatch.setenv(contracts.COMMIT, "c0ffee")
    (tmp_path / "card.md").write_text("Ask *the team*.")
    told: list[str] = []

    def define(contract: Contract) -> None:
        # Whoever is told of a version can look up what it asks for.
        assert not client.search_registered_models()
        told.extend([contract.features, *(each.group for each in contract.lookups)])

    monkeypatch.setattr(online, "define", define)
    result = finished(spec, prepared, trained, tmp_path)
    assert result.status == "registered"
    kept = artifacts(client, result.run_id)
    assert {"explanations.json", "card/card.md", "card/card.html", "plots/roc.svg", "plots/importance.svg"} <= kept
    tags = client.get_model_version(NAME.id, result.version).tags
    assert (tags["mlplat.reason"], tags["mlplat.commit"]) == ("drift of `wind`", "c0ffee")
    assert told == [tags["mlplat.features"], "weather"]
    here = Path(client.download_artifacts(result.run_id, "", str(tmp_path)))
    explained = json.loads((here / "explanations.json").read_text())
    assert explained["digest"] == trained.digest
    assert explained["columns"][0]["name"] == "hour"
    assert {each["column"] for each in explained["slices"]} == {"carrier"}
    card = (here / "card/card.md").read_text()
    for fact in (trained.digest, result.run_id, "c0ffee", "Ask *the team*.", "hour"):
        assert fact in card


def test_what_the_store_changed_is_registered_nowhere(
    spec: ProjectSpec,
    prepared: Prepared,
    trained: Trained,
    stores: Connect,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import mlflow

    client, log = stores("dev"), mlflow.log_artifacts

    def changed(folder: str, path: str | None = None) -> None:
        if path == "model":
            (Path(folder) / "mlplat.json").write_text("{}")
        log(folder, path)

    monkeypatch.setattr(mlflow, "log_artifacts", changed)
    with pytest.raises(RefusedError, match="nothing is registered"):
        finished(spec, prepared, trained, tmp_path)
    assert client.search_registered_models() == []


@pytest.fixture(scope="module")
def promoted(spec: ProjectSpec, prepared: Prepared, trained: Trained, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a version that was registered on one stack and fetched from there."""
    root = tmp_path_factory.mktemp("promoted")
    folder = root / "arrived"
    bundles.unpack(trained.packed, folder / BUNDLE)
    with pytest.MonkeyPatch.context() as patch:
        client = connected(root, "dev", patch)
        result = finished(spec, prepared, trained, root)
        for place, path in ((ORIGIN, "gate"), (ORIGIN, "card"), (KEPT, "monitoring")):
            (folder / place).mkdir(exist_ok=True)
            client.download_artifacts(result.run_id, path, str(folder / place))
        tags = client.get_model_version(NAME.id, result.version).tags
    left = {name: tags[name] for name in tags if name not in ("mlplat.digest", "mlplat.holdout", "mlplat.window")}
    told = {"digest": trained.digest, "tags": {**left, "mlplat.promoted_from": "mlplat/dev version 1"}}
    (folder / TOLD).write_text(json.dumps({**told, "settings": {"trees": "7"}}))
    return folder


@pytest.fixture
def arrived(promoted: Path) -> Arrived:
    return Arrived.read(promoted)


@pytest.fixture
def pipeline(spec: ProjectSpec, rows: pd.DataFrame, tmp_path: Path) -> Any:
    """Return a project's pipeline over the same rows, which grow with time."""

    def options(given: dict[str, Any]) -> Options:
        return Options(Window(given["until"]))

    return SimpleNamespace(
        PROJECT=tmp_path,
        options=options,
        specification=lambda _asked: spec,
        prepare=lambda asked: preparation.prepare(spec, asked, rows),
        judge=lambda _asked, prepared, trained: judgement.judge(spec, prepared, trained),
    )


def test_a_promoted_version_is_the_same_bytes_judged_on_the_rows_there(
    arrived: Arrived, pipeline: Any, trained: Trained, stores: Connect, tmp_path: Path
) -> None:
    client = stores("staging")
    result = promotion.promote(pipeline, arrived, until="2013-06-05")
    assert result.status == "registered", result.message
    assert result.run_id
    assert (result.version, result.digest) == ("1", trained.digest)
    version = client.get_model_version(NAME.id, "1")
    assert digest(Path(client.download_artifacts(result.run_id, "model", str(tmp_path)))) == trained.digest
    assert version.tags["mlplat.digest"] == trained.digest
    for name in ("commit", "lock", "data", "learned_until", "format"):
        assert version.tags[f"mlplat.{name}"] == arrived.origin.tags[f"mlplat.{name}"]
    assert version.tags["mlplat.promoted_from"] == "mlplat/dev version 1"
    assert result.gate["holdout"]["start"] >= "2013-05"
    kept = artifacts(client, result.run_id)
    assert {"origin/gate/report.json", "origin/card/card.md", "monitoring/profile.json", "card/card.html"} <= kept
    card = (Path(client.download_artifacts(result.run_id, "card", str(tmp_path))) / "card.md").read_text()
    assert "promoted from mlplat/dev version 1; judged here on the rows" in card
    assert "| trees | 7 |" in card


def test_a_promoted_version_has_to_beat_the_champion_there(
    arrived: Arrived,
    pipeline: Any,
    spec: ProjectSpec,
    rows: pd.DataFrame,
    stores: Connect,
    tmp_path: Path,
) -> None:
    client = stores("staging")
    better = training.train(
        spec, preparation.prepare(spec, MAY, known := rows.assign(told=rows["y"] * 0.8 + rows["hour"] / 99)), make
    )
    (tmp_path / "better").mkdir()
    bundle = bundles.unpack(better.packed, tmp_path / "better")
    entry = registry.Entry(NAME, bundle, better.digest, {}, {}, {"mlplat.digest": better.digest}, {})
    registry.log(entry, passed=True)
    client.set_registered_model_alias(NAME.id, registry.CHAMPION, "1")
    pipeline.prepare = lambda asked: preparation.prepare(spec, asked, known)
    result = promotion.promote(pipeline, arrived, until="2013-06-05")
    assert result.status == "refused"
    assert "no_worse_than_champion" in result.message
    assert [str(each.version) for each in client.search_model_versions(f"name = '{NAME.id}'")] == ["1"]


def test_a_version_that_knows_the_hold_out_there_is_not_judged_by_it(arrived: Arrived, pipeline: Any) -> None:
    with pytest.raises(RefusedError, match="it would be judged on what it knows") as caught:
        promotion.promote(pipeline, arrived, until="2013-04-20")
    assert "--until" in str(caught.value.hint)


def test_a_project_that_builds_other_columns_is_told_which(
    arrived: Arrived, pipeline: Any, spec: ProjectSpec, rows: pd.DataFrame
) -> None:
    pipeline.prepare = lambda asked: preparation.prepare(
        spec, asked, rows.assign(**{"wind speed": rows["wind"]}).drop(columns="wind")
    )
    with pytest.raises(RefusedError, match="takes `wind`, which this project does not build"):
        promotion.promote(pipeline, arrived, until="2013-06-05")


def test_a_bundle_that_was_changed_on_its_way_is_refused(promoted: Path, tmp_path: Path) -> None:
    shutil.copytree(promoted, tmp_path / "changed")
    (tmp_path / "changed" / BUNDLE / "mlplat.json").write_text("{}")
    with pytest.raises(RefusedError, match=r"the bundle that came holds sha256:.*, and sha256:.* was asked for"):
        Arrived.read(tmp_path / "changed")
