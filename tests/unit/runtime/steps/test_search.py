"""A search from rows to the model and the run that come of it."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from mlplat.runtime import bundles, preprocessing, registry, shards
from mlplat.runtime.split import Window
from mlplat.runtime.steps import ending, judgement, preparation, search, training
from mlplat.runtime.steps.preparation import Options, Prepared
from mlplat.serving.model import load
from mlplat.spec.project import ProjectSpec, TrainingSpec

MakeSpec = Callable[..., ProjectSpec]
MAY = Options(Window("2013-05-01"))


def make(settings: TrainingSpec, task: str, texts: Sequence[str], numbers: Sequence[str]) -> Any:
    model = (
        LogisticRegression(C=1 / settings.penalty, max_iter=1000)
        if settings.family == "linear"
        else HistGradientBoostingClassifier(max_iter=settings.trees, max_leaf_nodes=settings.leaves, random_state=0)
    )
    return make_pipeline(preprocessing.transformer(settings, task, texts, numbers), model)


def another(settings: TrainingSpec, task: str, texts: Sequence[str], numbers: Sequence[str]) -> Any:
    return make(settings, task, texts, numbers)


another.__module__ = "elsewhere"


@pytest.fixture(scope="module")
def spec(make_spec: MakeSpec) -> ProjectSpec:
    return make_spec(
        search__trials=2, search__folds=2, search__families=["gradient_boosting", "linear"], search__seeds=2,
        search__space={"trees": {"low": 3, "high": 6}}, training__trees=5, gate__resamples=100,
        training__preprocessing__select__constant=True, training__preprocessing__winsorize={},
    )  # fmt: skip


@pytest.fixture(scope="module")
def prepared(spec: ProjectSpec, rows: pd.DataFrame) -> Prepared:
    return preparation.prepare(spec, MAY, rows.assign(always=1.0))


@pytest.fixture(scope="module")
def tried(spec: ProjectSpec, prepared: Prepared, tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("search")
    return tuple(
        trial for shard in shards.plan(spec) for trial in search.run(spec, prepared, make, shard, folder=folder)
    )


def test_families_are_compared_on_the_same_folds_and_the_best_is_fitted_and_written_down(
    spec: ProjectSpec, prepared: Prepared, tried: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.setenv(registry.TRACKING, (tmp_path / "store").as_uri())
    assert {trial.settings["family"] for trial in tried} == {"gradient_boosting", "linear"}
    trained = training.train(spec, prepared, make, tried)
    assert trained.learning is not None
    told = trained.learning.described()
    best = max(
        (trial for trial in tried if trial.state == "complete"), key=lambda t: np.mean([f["auc"] for f in t.folds])
    )
    assert told["chosen"] == best.name
    assert told["settings"]["family"] == best.settings["family"]
    assert told["dropped"] == [{"column": "always", "reason": "has one value only"}]
    assert set(told["calibration"]) == {"before", "after"}
    assert trained.seed_spread == 0.0, "neither family is a matter of chance here"
    model = load(bundles.unpack(trained.packed, tmp_path / "bundle"), digest=trained.digest)
    assert model.contract.format == "onnx", trained.served.reason

    result = ending.finish(spec, MAY, prepared, trained, judgement.judge(spec, prepared, trained), project=tmp_path)
    client = registry.client()
    assert result.run_id is not None
    run = client.get_run(result.run_id)
    assert run.data.params["training.family"] == best.settings["family"], "what was fitted, not what was written"
    children = client.search_runs([run.info.experiment_id], f"tags.`mlflow.parentRunId` = '{result.run_id}'")
    assert {each.data.tags["mlplat.trial"] for each in children} == {trial.name for trial in tried}
    artifact = json.loads(Path(client.download_artifacts(result.run_id, "learning.json")).read_text())
    assert artifact["chosen"] == best.name


def test_the_same_search_is_found_again_and_another_model_s_is_not(
    spec: ProjectSpec, prepared: Prepared, make_spec: MakeSpec, rows: pd.DataFrame
) -> None:
    key = search._key(spec, prepared, make)
    more = spec.model_copy(update={"search": spec.search.model_copy(update={"trials": 9, "seconds": 60.0})})
    assert search._key(more, prepared, make) == key
    deeper = spec.model_copy(update={"training": spec.training.changed({"min_leaf_rows": 7})})
    assert search._key(deeper, prepared, make) != key
    assert search._key(spec, prepared, another) != key
    later = preparation.prepare(spec, Options(Window("2013-05-08")), rows.assign(always=1.0))
    assert search._key(spec, later, make) != key


def test_without_a_search_a_model_can_still_be_cross_validated(
    make_spec: MakeSpec, rows: pd.DataFrame, tmp_path: Path
) -> None:
    spec = make_spec(search__folds=3, training__family="linear")
    assert shards.plan(spec) == ()
    trained = training.train(spec, preparation.prepare(spec, MAY, rows), make)
    assert trained.learning is not None
    assert len(trained.learning.folds) == 3
    assert 0.6 < trained.learning.described()["cross_validated"]["cv_auc"] < 0.95
    assert trained.seed_spread is None


def test_a_folder_that_cannot_be_written_to_is_replaced(tmp_path: Path) -> None:
    """As the project's own in a container, whose root is read-only."""
    blocked = tmp_path / "file"
    blocked.touch()
    found = search._writable(blocked / "search")
    assert found.is_dir()
    assert tmp_path not in found.parents
    found.rmdir()
    assert search._writable(tmp_path / "search") == tmp_path / "search"
