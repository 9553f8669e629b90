"""A look at an endpoint: from a trained version and what it was asked, to a report, a verdict, and a run with both."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import boto3
import numpy as np
import pandas as pd
import pytest
from sklearn.compose import make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from commands import DATA
from mlplat.bundle import Band
from mlplat.contracts import Connection, prediction_log
from mlplat.errors import MlplatError, RefusedError, UsageError
from mlplat.labels import Name
from mlplat.runtime import bundles, registry
from mlplat.runtime.monitoring import evidently, monitor, profile, source
from mlplat.runtime.monitoring.monitor import Asked
from mlplat.runtime.result import VARIABLE
from mlplat.runtime.split import Window
from mlplat.runtime.steps import preparation, training
from mlplat.runtime.steps.preparation import Options
from mlplat.runtime.steps.training import Trained
from mlplat.serving import ship
from mlplat.serving.columns import Schema
from mlplat.serving.model import Model, load
from mlplat.serving.parts import Parts, Privacy
from mlplat.serving.predictionlog import Chunk
from mlplat.spec.project import ProjectSpec

PAGES = f"{evidently.PREFIX}*.html"
NAME = Name("tests", "late")
SETTINGS: dict[str, Any] = {
    "gate__resamples": 100,
    "monitoring__min_rows": 50,
    "monitoring__key": ["carrier", "hour"],
    "data__label_horizon_hours": 24,
}
JULY = Asked("2013-07-15", "2013-06-01/2013-07-15")


def make(_settings: Any, _task: str, texts: Sequence[str], numbers: Sequence[str]) -> Any:
    encoder = OneHotEncoder(handle_unknown="ignore")
    columns = make_column_transformer((encoder, list(texts)), (SimpleImputer(), list(numbers)))
    return make_pipeline(columns, LogisticRegression(max_iter=1000))


@pytest.fixture(scope="module")
def spec(make_spec: Callable[..., ProjectSpec]) -> ProjectSpec:
    return make_spec(**SETTINGS)


@pytest.fixture(scope="module")
def registered(
    spec: ProjectSpec, rows: pd.DataFrame, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, Trained, str]:
    """Train and register a version that serves, once; return the store's address, the model, and its number."""
    folder = tmp_path_factory.mktemp("store")
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
        patched.setenv(registry.TRACKING, folder.as_uri())
        patched.delenv("MLFLOW_EXPERIMENT_ID", raising=False)
        asked = Options(Window("2013-05-01"))
        prepared = preparation.prepare(spec, asked, rows)
        trained = training.train(spec, prepared, make)
        bundle = bundles.unpack(trained.packed, folder / "bundle")
        profile.keep(spec, prepared, bundle, folder / "pages" / profile.FOLDER)
        tags = {"mlplat.digest": trained.digest}
        entry = registry.Entry(NAME, bundle, trained.digest, {}, {}, tags, {}, pages=lambda _: folder / "pages")
        _, version = registry.log(entry, passed=True)
        registry.client().set_registered_model_alias(NAME.id, registry.CHAMPION, str(version))
    return folder.as_uri(), trained, str(version)


@pytest.fixture
def out(registered: tuple[str, Trained, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder of a run on the registry that holds the version."""
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.setenv(registry.TRACKING, registered[0])
    monkeypatch.delenv("MLFLOW_EXPERIMENT_ID", raising=False)
    monkeypatch.setenv(VARIABLE, str(tmp_path / "run" / "result.json"))
    (tmp_path / "run").mkdir()
    return tmp_path / "run"


def reported(out: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((out / monitor.REPORT).read_text())
    return document


def test_a_steady_stream_is_quiet_and_is_written_down(
    spec: ProjectSpec, rows: pd.DataFrame, registered: tuple[str, Trained, str], out: Path
) -> None:
    result = monitor.monitor(spec, JULY, lambda: rows, make)
    assert (result.status, result.version, result.model) == ("quiet", registered[2], "tests/late")
    document = reported(out)
    assert [window["judged"] for window in document["windows"]] == [True] * 6
    assert document["performance"]["unjudged"] is None
    assert document["performance"]["measures"]["skill"]["value"] > 0
    assert set(result.metrics) == {"calibration_gap", "skill", "log_loss", "auc"}

    run = registry.client().get_run(str(result.run_id))
    tags = run.data.tags
    assert (tags["mlplat.kind"], tags["mlplat.monitored_version"]) == ("monitor", result.version)
    assert tags["mlplat.endpoint"] == "tests/late"
    verdict = json.loads(tags["mlplat.verdict"])
    assert verdict["alarms"] == []
    assert verdict["time"] == "2013-07-15T00:00:00+00:00"
    assert verdict["ripe_until"] == document["performance"]["end"] > "2013-07"
    too_few = {**document["performance"], "measures": {}}
    for performed in (None, too_few):
        assert monitor.verdict({**document, "performance": performed})["ripe_until"] is None
    assert [set(window) for window in verdict["windows"]] == [{"start", "end", "rows", "violated", "columns"}] * 4
    kept = {each.path for each in registry.client().list_artifacts(run.info.run_id, "monitoring")}
    assert kept == {f"monitoring/{monitor.REPORT}", f"monitoring/{monitor.PAGE}"}


@pytest.fixture
def drawing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take Evidently's environment from where it is made once, which takes a minute."""
    monkeypatch.setenv("MLPLAT_DATA_DIR", str(DATA))


@pytest.mark.usefixtures("drawing")
def test_evidently_draws_each_of_the_latest_windows_beside_the_report(
    make_spec: Callable[..., ProjectSpec], rows: pd.DataFrame, out: Path
) -> None:
    asked = make_spec(**SETTINGS, monitoring__evidently=True, monitoring__windows=2, monitoring__violations=1)
    result = monitor.monitor(asked, JULY, lambda: rows, make)
    windows = [window["start"][:10] for window in reported(out)["windows"][-2:]]
    names = [f"{evidently.PREFIX}{day}.html" for day in windows]
    assert sorted(path.name for path in out.glob(PAGES)) == names
    for name in names:
        page = (out / name).read_text()
        assert {"carrier", "hour"} <= set(re.findall(r"\w+", page))
        assert "http://" not in page.partition("<body")[0]
    kept = {each.path for each in registry.client().list_artifacts(str(result.run_id), "monitoring")}
    assert {f"monitoring/{name}" for name in names} < kept


@pytest.mark.usefixtures("drawing")
def test_a_verdict_stands_where_evidently_fails(
    make_spec: Callable[..., ProjectSpec],
    rows: pd.DataFrame,
    out: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    broken = tmp_path / "page.py"
    broken.write_text("raise SystemExit('no Evidently here')\n")
    monkeypatch.setattr(evidently, "CHILD", broken)
    result = monitor.monitor(make_spec(**SETTINGS, monitoring__evidently=True), JULY, lambda: rows, make)
    assert (result.status, list(out.glob(PAGES))) == ("quiet", [])
    assert "Evidently made no pages: no Evidently here" in capfd.readouterr().err


def test_pods_are_told_that_evidently_is_for_people(
    make_spec: Callable[..., ProjectSpec], rows: pd.DataFrame, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    with pytest.raises(UsageError, match="person's computer"):
        monitor.monitor(make_spec(**SETTINGS, monitoring__evidently=True), JULY, lambda: rows, make)


def test_the_share_of_answers_that_were_left_to_a_person_is_reported_and_no_alarm(
    spec: ProjectSpec, rows: pd.DataFrame, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = load

    def abstaining(*given: Any, **more: Any) -> Model:
        model = whole(*given, **more)
        return replace(model, contract=model.contract.model_copy(update={"abstain": Band(low=0.3, high=0.6)}))

    monkeypatch.setattr(monitor, "load", abstaining)
    assert monitor.monitor(spec, JULY, lambda: rows, make).status == "quiet"
    shares = [window["abstained"] for window in reported(out)["windows"]]
    model = abstaining(registry.champion(NAME, out / "champion").folder)  # type: ignore[union-attr]
    first = rows[(rows["at"] >= "2013-06-03") & (rows["at"] < "2013-06-10")]
    scores = model.score(first)
    assert shares[0] == pytest.approx(((scores >= 0.3) & (scores < 0.6)).mean(), abs=1e-6)
    assert "left to a person" in (out / monitor.PAGE).read_text()


def test_a_change_is_an_alarm_that_names_its_column_in_verdict_and_page(
    spec: ProjectSpec, rows: pd.DataFrame, out: Path
) -> None:
    changed = rows.assign(carrier=rows["carrier"].mask(rows["at"] >= "2013-06-01", "B6"))
    result = monitor.monitor(spec, JULY, lambda: changed, make)
    assert result.status == "alarm"
    assert "drift: in 3 of 4 windows or more, the latest too: `carrier` PSI" in result.message
    verdict = json.loads(registry.client().get_run(str(result.run_id)).data.tags["mlplat.verdict"])
    assert verdict["alarms"][0]["kind"] == "drift"
    assert verdict["alarms"][0]["since"] == "2013-06-17T00:00:00+00:00"
    assert all(window["columns"] == ["carrier"] for window in verdict["windows"])
    page = (out / monitor.PAGE).read_text()
    assert '<b class="bad">drift</b>' in page
    assert "http://" not in page
    assert "https://" not in page


def test_a_model_that_is_no_longer_right_is_an_alarm_of_performance(
    spec: ProjectSpec, rows: pd.DataFrame, out: Path
) -> None:
    turned = rows.assign(y=rows["y"].where(rows["at"] < "2013-06-01", 1 - rows["y"]))
    result = monitor.monitor(spec, JULY, lambda: turned, make)
    assert result.message.startswith("performance: ")
    assert result.metrics["skill"]["high"] < 0


def test_a_shadow_of_newer_rows_says_what_an_old_model_costs(
    make_spec: Callable[..., ProjectSpec], rows: pd.DataFrame, out: Path
) -> None:
    spec = make_spec(**SETTINGS, monitoring__shadow=True, split__train_days=28)
    turned = rows.assign(y=rows["y"].where(rows["at"] < "2013-05-01", 1 - rows["y"]))
    result = monitor.monitor(spec, JULY, lambda: turned, make)
    assert result.metrics["regret"]["low"] > 0.01
    assert "a model of recent rows loses less" in result.message


def test_nothing_later_than_its_present_is_looked_at(spec: ProjectSpec, rows: pd.DataFrame, out: Path) -> None:
    # What comes after the present is nonsense: it must not matter.
    later = rows.assign(carrier=rows["carrier"].mask(rows["at"] >= "2013-07-01", "ZZ"))
    later["y"] = later["y"].where(later["at"] <= "2013-06-30", 1 - later["y"])
    found = []
    for each in (rows, later):
        monitor.monitor(spec, Asked("2013-07-01", "2013-06-01/2013-07-15"), lambda each=each: each, make)  # type: ignore[misc]
        found.append(reported(out))
    assert found[0] == found[1]


def log(folder: Path, model: Model, rows: pd.DataFrame, version: str, privacy: Privacy | None = None) -> None:
    """Write rows down as a server that was asked for each at its time."""
    origin = {"endpoint": "tests/late", "revision": "r1", "model": "tests/late", "version": version, "digest": "d"}
    parts = Parts(folder / f"r{version}", model, origin, 10**9, None, privacy or Privacy())
    columns = Schema(model.contract.columns).from_frame(rows)
    scores = model.score(rows)
    chunks: list[Chunk] = []
    for place, moment in enumerate(rows["at"]):
        one = {name: values[place : place + 1] for name, values in columns.items()}
        if not chunks or not chunks[-1].takes(one):
            chunks.append(Chunk(one, parts.kept))
        chunks[-1].add(moment.value // 1000, b"request", one, scores[place : place + 1], 0)
    parts.write(chunks)


@pytest.fixture
def model(registered: tuple[str, Trained, str], tmp_path: Path) -> Model:
    return load(bundles.unpack(registered[1].packed, tmp_path / "bundle"))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Connect the project to a platform on this computer; return where the endpoint's log lies."""
    monkeypatch.setenv("MLPLAT_PLATFORM", "mlplat")
    monkeypatch.setenv("MLPLAT_STACK", "local")
    monkeypatch.setenv("MLPLAT_CONFIG_DIR", str(tmp_path / "config"))
    state = tmp_path / "state"
    Connection("mlplat", "local", "local", "http://t", "http://g", f"sqlite:///{state}/endpoints.db").write()
    return prediction_log(state, NAME.id)


def test_the_log_of_the_version_that_serves_is_looked_at_and_finds_its_labels(
    spec: ProjectSpec, rows: pd.DataFrame, registered: tuple[str, Trained, str], model: Model, out: Path, folder: Path
) -> None:
    served = rows[(rows["at"] >= "2013-06-03") & (rows["at"] < "2013-07-15")]
    shifted = served.assign(at=served["at"] + pd.Timedelta(minutes=7))
    log(folder, model, shifted, registered[2])
    log(folder, model, shifted.assign(carrier="B6"), "99")
    result = monitor.monitor(spec, Asked("2013-07-15"), lambda: rows, make)
    assert (result.status, result.message) == (
        "quiet",
        f"nothing is over its threshold in 6 windows of the prediction log of version {result.version}",
    )
    document = reported(out)
    assert document["rows"] == len(served)
    assert document["performance"]["coverage"] == 1
    ours = np.asarray(document["performance"]["measures"]["auc"]["value"])
    assert ours > 0.6


def test_a_log_in_a_bucket_is_looked_at_where_the_platform_says_it_is(
    spec: ProjectSpec,
    rows: pd.DataFrame,
    registered: tuple[str, Trained, str],
    model: Model,
    out: Path,
    object_store: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A step on a cluster knows no platform of this computer, and ships parts of several servers beside each other."""
    objects = boto3.client("s3")
    objects.create_bucket(Bucket="data-of-tests")
    served = rows[(rows["at"] >= "2013-06-03") & (rows["at"] < "2013-07-15")]
    for pod in (0, 1):
        log(tmp_path / f"pod-{pod}", model, served.iloc[pod::2], registered[2])
        options = ship.Options(
            tmp_path / f"pod-{pod}" / f"r{registered[2]}", "data-of-tests", f"team/predictions/{NAME.id}/r1"
        )
        assert ship.send(options, objects)
    monkeypatch.setenv("MLPLAT_CONFIG_DIR", str(tmp_path / "no-connections"))
    monkeypatch.setenv(source.PREDICTIONS, "s3://data-of-tests/team/predictions")
    result = monitor.monitor(spec, Asked("2013-07-15"), lambda: rows, make)
    assert "of the prediction log of version" in result.message
    assert reported(out)["rows"] == len(served)


def test_a_log_that_ended_is_an_alarm_of_freshness(
    spec: ProjectSpec, rows: pd.DataFrame, registered: tuple[str, Trained, str], model: Model, out: Path, folder: Path
) -> None:
    log(folder, model, rows[(rows["at"] >= "2013-06-03") & (rows["at"] < "2013-07-01")], registered[2])
    result = monitor.monitor(spec, Asked("2013-07-08"), lambda: rows, make)
    assert {alarm["kind"] for alarm in reported(out)["alarms"]} == {"freshness", "volume"}
    assert result.status == "alarm"


def test_a_column_that_the_log_hides_is_said_not_to_be_watched(
    make_spec: Callable[..., ProjectSpec],
    rows: pd.DataFrame,
    registered: tuple[str, Trained, str],
    model: Model,
    out: Path,
    folder: Path,
) -> None:
    hidden = Privacy(exclude=frozenset({"wind"}), hash=frozenset({"carrier"}), key=b"k" * 32)
    served = rows[(rows["at"] >= "2013-06-03") & (rows["at"] < "2013-07-15")]
    log(folder, model, served, registered[2], hidden)
    spec = make_spec(**{**SETTINGS, "monitoring__key": []})
    monitor.monitor(spec, Asked("2013-07-15"), lambda: pytest.fail("no label is looked for"), make)
    assert reported(out)["unwatched"] == ["carrier", "wind"]
    assert reported(out)["performance"] is None
    with pytest.raises(UsageError, match="does not hold `carrier` as it is"):
        monitor.monitor(make_spec(**SETTINGS), Asked("2013-07-15"), lambda: rows, make)


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        (Asked("2013-07-15", "2013-06-01"), "is not two times"),
        (Asked("2013-07-15", "2013-07-01/2013-06-01"), "ends before it begins"),
        (Asked("2013-07-15", "2020-06-01/2020-07-01"), "no row is asked for"),
        (Asked("2013-07-15"), "holds nothing of version"),
    ],
)
def test_what_cannot_be_looked_at_is_refused_in_words(
    spec: ProjectSpec, rows: pd.DataFrame, out: Path, folder: Path, asked: Asked, told: str
) -> None:
    with pytest.raises(MlplatError, match=told):
        monitor.monitor(spec, asked, lambda: rows, make)


def test_without_a_version_that_serves_there_is_nothing_to_look_at(
    spec: ProjectSpec, rows: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.setenv(registry.TRACKING, (tmp_path / "empty").as_uri())
    with pytest.raises(RefusedError, match="no version of tests/late serves yet"):
        monitor.monitor(spec, JULY, lambda: rows, make)
