from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mlplat.runtime import learning, registry, trials
from mlplat.runtime.calibration import Line
from mlplat.runtime.learning import Learning
from mlplat.runtime.preprocessing import Dropped
from mlplat.runtime.trials import State, Trial
from mlplat.spec.project import TrainingSpec


def trial(number: int, *auc: float, state: State = "complete") -> Trial:
    folds = tuple({"auc": value, "rmse": value} for value in auc)
    return Trial(f"linear-0-{number}", {"family": "linear", "penalty": number + 1.0}, state, folds, 1.5)


TRIED = (trial(0, 0.7, 0.8), trial(1, 0.9, state="pruned"), trial(2, 0.9, 0.7), trial(3, state="failed"))


def test_the_best_has_the_best_mean_of_all_folds_whichever_way_is_better() -> None:
    """What was given up after a good first fold has not been seen on the others."""
    assert trials.best("binary", TRIED) == TRIED[2]
    assert trials.best("regression", TRIED) == TRIED[0]
    assert trials.best("binary", [TRIED[0], trial(9, 0.8, 0.7)]) == TRIED[0], "the earlier of equals"
    assert trials.best("binary", []) is None


def test_folds_are_told_by_their_mean_and_how_far_they_lie_apart() -> None:
    assert trials.summary(TRIED[2].folds) == pytest.approx(
        {"cv_auc": 0.8, "cv_auc_sd": 0.1414, "cv_rmse": 0.8, "cv_rmse_sd": 0.1414}, abs=1e-4
    )
    assert trials.summary(()) == {}
    assert str(TRIED[1]).startswith("linear-0-1: pruned, auc 0.9000")


@pytest.fixture
def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    from mlflow import MlflowClient

    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.setenv(registry.TRACKING, (tmp_path / "store").as_uri())
    return MlflowClient()


def test_every_trial_is_a_child_run_once_however_often_it_is_written(
    client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    experiment = client.create_experiment("tests.late")
    run = client.create_run(experiment).info.run_id
    made = Learning(TrainingSpec(), TRIED, TRIED[2].folds, (Dropped("x", "equals `y`"),), {"before": Line(0.8, 0.1)})
    write, written = trials._write, list[str]()

    def cut_short(*given: Any) -> None:
        if len(written) == 2:
            raise KeyboardInterrupt
        written.append(given[3].name)
        write(*given)

    monkeypatch.setattr(trials, "_write", cut_short)
    with pytest.raises(KeyboardInterrupt):
        learning.write(client, run, made, 0.002)
    monkeypatch.setattr(trials, "_write", write)
    learning.write(client, run, made, 0.002)

    children = client.search_runs([experiment], f"tags.`mlflow.parentRunId` = '{run}'")
    found = {child.data.tags["mlplat.trial"]: child for child in children}
    assert len(children) == len(found) == len(TRIED)
    assert {name: child.info.status for name, child in found.items()} == {
        "linear-0-0": "FINISHED", "linear-0-1": "KILLED", "linear-0-2": "FINISHED", "linear-0-3": "FAILED"
    }  # fmt: skip
    third = found["linear-0-2"]
    assert third.data.params == {"family": "linear", "penalty": "3.0"}
    assert third.data.metrics["cv_auc"] == pytest.approx(0.8)
    steps = sorted(client.get_metric_history(third.info.run_id, "fold_auc"), key=lambda each: each.step)
    assert [each.value for each in steps] == [0.9, 0.7]
    assert third.info.end_time - third.info.start_time == 1500

    whole = client.get_run(run).data.metrics
    assert (whole["cv_auc"], whole["seed_spread"]) == pytest.approx((0.8, 0.002))
    told = Path(client.download_artifacts(run, learning.FILE)).read_text()
    assert '"equals `y`"' in told
    assert made.described()["chosen"] == "linear-0-2"
