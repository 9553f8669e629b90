from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import make_column_transformer
from sklearn.ensemble import RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from mlplat.bundle import digest
from mlplat.errors import RefusedError, UsageError
from mlplat.labels import Name
from mlplat.runtime import bundles, calibration, ledger, registry, split
from mlplat.runtime.split import Split, Window
from mlplat.runtime.steps import ending, judgement, preparation, training
from mlplat.runtime.steps.preparation import Options, Prepared
from mlplat.runtime.steps.training import Trained
from mlplat.serving.model import load
from mlplat.spec.project import ProjectSpec, TrainingSpec

MakeSpec = Callable[..., ProjectSpec]
MAY = Options(Window("2013-05-01"))


def make(_settings: TrainingSpec, _task: str, texts: Sequence[str], numbers: Sequence[str]) -> Any:
    encoder = OneHotEncoder(handle_unknown="ignore")
    columns = make_column_transformer((encoder, list(texts)), (SimpleImputer(), list(numbers)))
    return make_pipeline(columns, LogisticRegression(max_iter=1000))


@pytest.fixture(scope="module")
def spec(make_spec: MakeSpec) -> ProjectSpec:
    return make_spec(gate__resamples=100)


@pytest.fixture(scope="module")
def prepared(spec: ProjectSpec, rows: pd.DataFrame) -> Prepared:
    return preparation.prepare(spec, MAY, rows)


@pytest.fixture(scope="module")
def trained(spec: ProjectSpec, prepared: Prepared) -> Trained:
    return training.train(spec, prepared, make)


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    from mlflow import MlflowClient

    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.setenv(registry.TRACKING, (tmp_path / "store").as_uri())
    monkeypatch.delenv("MLFLOW_EXPERIMENT_ID", raising=False)
    return MlflowClient()


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(registry.TRACKING, raising=False)


def test_only_training_rows_are_fitted_on_and_only_later_ones_calibrated_on(
    spec: ProjectSpec, prepared: Prepared, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []

    class Watched(LogisticRegression):  # type: ignore[misc]
        def fit(self, rows: Any, labels: Any, sample_weight: Any = None) -> Any:
            seen.append(len(rows))
            return super().fit(rows, labels, sample_weight)

    def watched(*_: Any) -> Any:
        columns = make_column_transformer((SimpleImputer(), ["hour", "wind"]))
        return make_pipeline(columns, Watched())

    calibrated: list[int] = []
    calibrate = calibration.calibrate

    def counted(estimator: Any, later: pd.DataFrame, known: Any) -> Any:
        calibrated.append(len(later))
        return calibrate(estimator, later, known)

    monkeypatch.setattr(calibration, "calibrate", counted)
    with pytest.raises(RefusedError, match=r"holds `.*Watched`, which a model server does not load"):
        training.train(spec, prepared, watched)
    assert seen == [len(prepared.split.train)]
    assert calibrated == [len(prepared.split.calibration)]


def test_the_steps_give_a_model_that_passed_and_answers_its_rows(
    spec: ProjectSpec, prepared: Prepared, trained: Trained, alone: None, tmp_path: Path
) -> None:
    report = judgement.judge(spec, prepared, trained)
    assert json.loads(json.dumps(report, allow_nan=False))["passed"] is True
    assert report["digest"] == trained.digest
    assert report["champion"] is None
    assert report["holdout"]["rows"] == len(prepared.split.holdout) == 280
    assert report["holdout"]["hash"] == prepared.holdout_hash
    result = ending.finish(spec, MAY, prepared, trained, report, project=tmp_path)
    assert (result.status, result.version, result.model) == ("passed", None, "tests/late")
    folder = bundles.unpack(trained.packed, tmp_path)
    assert digest(folder) == trained.digest
    assert load(folder).contract.threshold == trained.threshold


def test_training_leaves_nothing_behind(
    spec: ProjectSpec, prepared: Prepared, alone: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    judgement.judge(spec, prepared, training.train(spec, prepared, make))
    assert not [path.name for path in tmp_path.iterdir() if path.name.startswith("mlplat-")]


def test_a_champion_is_scored_on_exactly_the_same_rows_and_not_on_what_it_learned(
    make_spec: MakeSpec, rows: pd.DataFrame, store: Any, prepared: Prepared, trained: Trained, tmp_path: Path
) -> None:
    spec = make_spec(gate__resamples=100, gate__margin=0.2)
    first = ending.finish(spec, MAY, prepared, trained, judgement.judge(spec, prepared, trained), project=tmp_path)
    assert (first.status, first.version) == ("registered", "1")
    store.set_registered_model_alias(Name("tests", "late").id, registry.CHAMPION, "1")

    # The champion learned until before its own hold-out, so the same window may judge it again, and that is counted.
    again = judgement.judge(spec, prepared, trained)
    assert again["champion"] == {"version": "1", "digest": trained.digest}
    assert again["holdout"]["uses"] == 2
    assert again["champion_metrics"] == again["metrics"]

    earlier = preparation.prepare(spec, Options(Window("2013-04-20")), rows)
    with pytest.raises(RefusedError, match="it would be judged on what it knows") as caught:
        judgement.judge(spec, earlier, trained)
    assert "--until" in str(caught.value.hint)

    options = Options(Window("2013-06-15"))
    later = preparation.prepare(spec, options, rows)
    model = training.train(spec, later, make)
    second = ending.finish(spec, options, later, model, judgement.judge(spec, later, model), project=tmp_path)
    assert (second.status, second.version) == ("registered", "2")
    assert [rule["name"] for rule in second.gate["rules"]][-1] == "no_worse_than_champion"
    assert second.gate["holdout"]["uses"] == 1
    version = store.get_model_version(Name("tests", "late").id, "2")
    assert version.tags["mlplat.digest"] == model.digest
    assert version.tags["mlplat.learned_until"] == later.split.learned_until


def test_a_refused_model_says_which_rule_and_by_how_much_and_is_registered_nowhere(
    make_spec: MakeSpec, store: Any, prepared: Prepared, trained: Trained, tmp_path: Path
) -> None:
    spec = make_spec(gate__resamples=100, gate__min_auc=0.98)
    result = ending.finish(spec, MAY, prepared, trained, judgement.judge(spec, prepared, trained), project=tmp_path)
    assert (result.status, result.version) == ("refused", None)
    assert result.message.startswith("auc_floor: area under the ROC curve: the interval's lower end is not above 0.98")
    assert not store.search_registered_models()
    assert result.run_id is not None
    assert store.get_run(result.run_id).data.tags["mlplat.status"] == "refused"


def test_a_feature_known_at_the_prediction_time_is_refused(make_spec: MakeSpec, rows: pd.DataFrame) -> None:
    groups = {"weather": {"columns": ["wind"], "known": "seen"}}
    spec = make_spec(data__features=groups, data__lead_hours=2.0)
    before = rows.assign(seen=rows["at"] - pd.Timedelta(hours=2, seconds=1))
    preparation.prepare(spec, MAY, before)
    with pytest.raises(RefusedError, match="2000 rows use what was not known yet"):
        preparation.prepare(spec, MAY, rows.assign(seen=rows["at"] - pd.Timedelta(hours=2)))


def test_a_field_that_only_some_outcomes_have_is_refused(spec: ProjectSpec, rows: pd.DataFrame) -> None:
    source = np.random.default_rng(0)
    gone = (rows["y"] == 1) & (source.random(len(rows)) < 0.4)
    with pytest.raises(RefusedError, match="`tailnum` is missing in"):
        preparation.prepare(spec, MAY, rows.assign(tailnum=pd.Series("N1", index=rows.index).mask(gone)))


def test_a_model_that_is_asked_later_than_it_may_know_is_refused_at_the_clock(
    spec: ProjectSpec, rows: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLPLAT_CLOCK", "2013-05-01T00:00:00Z")
    made = preparation.prepare(spec, Options(), rows)
    assert rows["at"].iloc[made.split.holdout].max() < pd.Timestamp("2013-05-01", tz="UTC")


def test_a_sample_is_spread_over_all_of_the_time(spec: ProjectSpec, rows: pd.DataFrame) -> None:
    made = preparation.prepare(spec, Options(Window("2013-07-10"), sample=1000), rows.sample(frac=1, random_state=0))
    assert len(made.features) == 1000
    assert len(made.split.holdout) == pytest.approx(140, abs=5)


def test_hashes_tell_features_labels_and_windows_apart(
    spec: ProjectSpec, rows: pd.DataFrame, prepared: Prepared
) -> None:
    more = preparation.prepare(spec, MAY, rows.assign(extra=1.5))
    assert more.window_hash == prepared.window_hash, "the same rows, whatever is known of them"
    assert more.holdout_hash != prepared.holdout_hash
    turned = rows.index == prepared.split.holdout[0]
    other = rows.assign(y=rows["y"].where(~turned, 1 - rows["y"]))
    assert preparation.prepare(spec, MAY, other).window_hash != prepared.window_hash


@pytest.mark.parametrize("block", ["train", "calibration"])
def test_a_block_of_one_class_is_refused_before_training(spec: ProjectSpec, prepared: Prepared, block: str) -> None:
    labels = prepared.labels.copy()
    labels[getattr(prepared.split, block)] = 0
    one = Prepared(**{**vars(prepared), "labels": labels})
    with pytest.raises(RefusedError, match="block holds one class only"):
        training.train(spec, one, make)


def test_a_served_model_has_one_thread(make_spec: MakeSpec, prepared: Prepared, tmp_path: Path) -> None:
    spec = make_spec(serving__format="skops")

    def forest(*_: Any) -> Any:
        return make_pipeline(
            make_column_transformer((SimpleImputer(), ["hour"])), RandomForestClassifier(5, max_depth=3, n_jobs=2)
        )

    model = load(bundles.unpack(training.train(spec, prepared, forest).packed, tmp_path))
    found = model.engine.estimator.get_params()  # type: ignore[attr-defined]
    assert {value for name, value in found.items() if name.endswith("n_jobs")} <= {None, 1}


def test_how_a_model_is_served_and_why_is_written_down_everywhere(
    spec: ProjectSpec, prepared: Prepared, trained: Trained, store: Any, tmp_path: Path
) -> None:
    assert load(bundles.unpack(trained.packed, tmp_path / "model")).contract.format == "onnx"
    report, made = judgement.judge(spec, prepared, trained), prepared.split
    result = ending.finish(spec, MAY, prepared, trained, report, project=tmp_path)
    assert result.served == report["served"] == trained.served.described()
    assert result.served["parity"]["real_rows"] == sum(map(len, (made.train, made.calibration, made.holdout)))
    tags = store.get_model_version(Name("tests", "late").id, "1").tags
    assert (tags["mlplat.format"], tags["mlplat.format_reason"]) == ("onnx", trained.served.reason)
    assert store.get_run(result.run_id).data.tags["mlplat.format"] == "onnx"


def neighbours(*_: Any) -> Any:
    """Return a model that has no graph."""
    from sklearn.neighbors import KNeighborsClassifier

    return make_pipeline(make_column_transformer((SimpleImputer(), ["hour"])), KNeighborsClassifier(200))


def test_a_model_without_a_graph_is_served_as_skops_with_the_reason(
    make_spec: MakeSpec, prepared: Prepared, alone: None, tmp_path: Path
) -> None:
    spec = make_spec(gate__resamples=100, gate__min_auc=0.5)
    model = training.train(spec, prepared, neighbours)
    assert model.served.format == "skops"
    assert "KNeighborsClassifier` has no exact form" in model.served.reason
    assert load(bundles.unpack(model.packed, tmp_path / "model")).contract.format == "skops"
    report = judgement.judge(spec, prepared, model)
    assert report["passed"], report["rules"]


def test_a_model_without_a_graph_is_refused_by_the_gate_where_onnx_is_asked_for(
    make_spec: MakeSpec, prepared: Prepared, trained: Trained, alone: None, tmp_path: Path
) -> None:
    spec = make_spec(gate__resamples=100, gate__min_auc=0.5, serving__format="onnx")
    model = training.train(spec, prepared, neighbours)
    report = judgement.judge(spec, prepared, model)
    failed = [rule for rule in report["rules"] if not rule["passed"]]
    assert [(rule["name"], rule["required"], rule["measured"]) for rule in failed] == [
        ("served_as_onnx", "onnx", "skops")
    ]
    result = ending.finish(spec, MAY, prepared, model, report, project=tmp_path)
    assert result.status == "refused"
    assert "KNeighborsClassifier` has no exact form" in result.message
    assert judgement.judge(spec, prepared, trained)["passed"], "one that has a graph passes"


def test_rows_that_judge_and_were_learned_from_are_refused(
    spec: ProjectSpec, prepared: Prepared, trained: Trained, alone: None
) -> None:
    made = prepared.split
    for leaked in (
        dataclasses.replace(made, train=np.append(made.train, made.holdout[:3])),
        dataclasses.replace(made, calibration=np.append(made.calibration, made.holdout[:3])),
    ):
        with pytest.raises(RefusedError, match="3 rows of the hold-out are learned from as well"):
            judgement.judge(spec, dataclasses.replace(prepared, split=leaked), trained)


def test_a_random_split_of_rows_that_have_a_time_is_refused(
    make_spec: MakeSpec, spec: ProjectSpec, prepared: Prepared, trained: Trained, rows: pd.DataFrame, alone: None
) -> None:
    untimed = make_spec(data={"source": "rows.csv", "target": "y", "refused": ["at"]})
    drawn = dataclasses.replace(prepared, split=split.without_time(rows, untimed))
    with pytest.raises(RefusedError, match="rows have a time and are not divided by it"):
        judgement.judge(spec, drawn, trained)


def test_labels_that_were_known_only_after_the_first_question_are_refused(prepared: Prepared) -> None:
    judgement.refuse_leak(prepared.split, timed=True)
    late = dataclasses.replace(prepared.split, learned_until=prepared.split.judged_from)
    with pytest.raises(RefusedError, match="the hold-out's first prediction is asked for on"):
        judgement.refuse_leak(late, timed=True)


def test_a_report_holds_all_that_the_gate_was_asked_for(
    make_spec: MakeSpec, rows: pd.DataFrame, store: Any, tmp_path: Path
) -> None:
    spec = make_spec(
        gate={
            "resamples": 100,
            "min_slice_rows": 50,
            "slices": ["carrier"],
            "groups": ["region"],
            "climatology": "carrier",
            "budget": {"megabytes": 0.0001},
        },
        data__refused=["region"],
    )
    named = rows.assign(region=np.where(np.arange(len(rows)) % 2, "north", "south"))
    made = preparation.prepare(spec, MAY, named)
    assert "region" not in made.features, "a group need not be a feature"
    model = training.train(spec, made, make)
    report = json.loads(json.dumps(judgement.judge(spec, made, model), allow_nan=False))
    assert [rule["name"] for rule in report["rules"] if not rule["passed"]] == ["size_budget"]
    assert {each["value"] for each in report["slices"]} == {"AA", "B6", "UA"}
    assert {each["value"] for each in report["groups"]} == {"north", "south"}
    assert 0 < report["latency"]["p50_ms"] <= report["latency"]["p95_ms"]
    assert 0.3 < report["adversarial"]["auc"] <= 1
    ending.finish(spec, MAY, made, model, report, project=tmp_path)
    other = dataclasses.replace(model, digest="sha256:other")
    uses = ledger.read(Name("tests", "late"), made.window_hash)
    assert (uses.look(other.digest), uses.look(model.digest)) == (2, 1)
    assert [use.verdict for use in uses.uses] == ["refused"]


def test_a_column_that_the_gate_names_and_no_row_has_is_refused(make_spec: MakeSpec, rows: pd.DataFrame) -> None:
    with pytest.raises(UsageError, match="gate: the rows have no column `sex`"):
        preparation.prepare(make_spec(gate__groups=["sex"]), MAY, rows)


def test_a_champion_without_a_time_may_always_be_compared_with() -> None:
    empty = np.array([], dtype=np.intp)
    champion = registry.Champion("1", "sha256:a", None, None, Path())
    judgement.refuse_seen(Split(empty, empty, empty, "at random"), champion)


def test_everything_of_a_regression_without_time_works_alone(
    make_spec: MakeSpec, rows: pd.DataFrame, alone: None, tmp_path: Path
) -> None:
    from sklearn.linear_model import Ridge

    spec = make_spec(
        task="regression", data={"source": "rows.csv", "target": "delay", "refused": ["at", "y"]}, gate__resamples=100
    )

    def ridge(_settings: TrainingSpec, _task: str, texts: Sequence[str], numbers: Sequence[str]) -> Any:
        return make_pipeline(make(_settings, _task, texts, numbers)[:-1], Ridge())

    table = rows.assign(delay=rows["hour"] * 3.0 + rows["y"])
    made = preparation.prepare(spec, Options(), table)
    model = training.train(spec, made, ridge)
    report = judgement.judge(spec, made, model)
    assert report["passed"]
    assert report["holdout"] == {
        "start": None,
        "end": None,
        "rows": 400,
        "hash": made.holdout_hash,
        "uses": 1,
        "look": 1,
        "confidence": 0.95,
        "ledger": [],
    }
    assert ending.finish(spec, Options(), made, model, report, project=tmp_path).status == "passed"


def test_a_table_without_features_is_refused(spec: ProjectSpec, rows: pd.DataFrame) -> None:
    with pytest.raises(RefusedError, match="no column is left to learn from"):
        preparation.prepare(spec, MAY, rows[["at", "y"]])
