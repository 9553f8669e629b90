"""The models that are measured, each in every form that a server reads, with rows to ask them for.

`cancer` is small and all numbers: standardised features and a logistic regression on scikit-learn's breast cancer
data. `flights` is the reference project's pipeline with strings, nulls and gradient boosting. Both are written by
mlplat's own functions, as scikit-learn's file and as an ONNX graph; other servers get the very estimator inside.
"""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.flights import FORMATS
from mlplat.bundle import Column, Contract, Row
from mlplat.environment import inherited
from mlplat.errors import MlplatError

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from mlplat.serving.model import Model

ROOT = Path(__file__).parents[1]
PROJECT = "bench"
TRAIN_SECONDS = 240


@dataclass(frozen=True)
class Bundle:
    """One model as it is served."""

    folder: Path
    digest: str
    contract: Contract
    report: Mapping[str, Any]
    """The gate's, for exactly this digest."""


@dataclass(frozen=True)
class Sample:
    """One model in every form, and real rows."""

    name: str
    bundles: Mapping[str, Bundle]
    """By format."""
    joblib: Path
    """The estimator as MLServer reads it."""
    columns: tuple[Column, ...]
    """Of the scikit-learn model."""
    rows: tuple[Row, ...]

    @property
    def is_matrix(self) -> bool:
        """Tell whether the scikit-learn model takes an array without column names."""
        return not self.bundles["skops"].contract.frame

    def first(self, count: int) -> list[Row]:
        """Return that many rows; from the first one again where there are not as many."""
        return list(itertools.islice(itertools.cycle(self.rows), count))


def cancer(folder: Path) -> Sample:
    """Train and write the small model into a new folder."""
    import numpy as np
    import pandas as pd
    from sklearn.datasets import load_breast_cancer
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import train_test_split
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    from mlplat.runtime import bundles
    from mlplat.runtime.onnx_export import choose
    from mlplat.serving.model import load

    data = load_breast_cancer()
    names = [name.replace(" ", "_") for name in data.feature_names]
    frame = pd.DataFrame(data.data, columns=names)
    learned, judged = train_test_split(np.arange(len(frame)), test_size=0.5, random_state=1, stratify=data.target)
    estimator = make_pipeline(StandardScaler(), LogisticRegression()).fit(data.data[learned], data.target[learned])
    contract = Contract(
        project=PROJECT,
        model="cancer",
        task="binary",
        columns=bundles.columns_of(frame),
        classes=(0, 1),
        threshold=0.5,
        frame=False,
    )
    rows = frame.iloc[judged]
    with warnings.catch_warnings():
        # MLflow asks it with a DataFrame, and it was trained on an array, as servers of arrays ask it.
        warnings.filterwarnings("ignore", message="X has feature names", category=UserWarning)
        bundles.write(folder / "skops", estimator, contract, rows)
    written = load(folder / "skops")
    graph, choice = choose("onnx", written, estimator, rows, folder / "onnx")
    if choice.format != "onnx":
        raise MlplatError(f"`cancer` cannot be written as an ONNX graph: {choice.reason}")
    made = {
        form: _bundle(model, _judged(model, rows, data.target[judged]))
        for form, model in (("skops", written), ("onnx", graph))
    }
    return _sample("cancer", folder, made, [bundles.plain(row) for row in rows.to_dict(orient="records")])


def flights(folder: Path) -> Sample:
    """Render the reference project, train it on a sample of the flights, and write its model into a new folder."""
    from mlplat.scaffold import project, template
    from mlplat.serving.model import load

    folder.mkdir(parents=True)
    made = project.create("flights", template.find("tabular"), {"data": "flights"}, into=folder, ask=None)
    in_project(made.folder, "bench.flights", str(folder), seconds=TRAIN_SECONDS)
    bundles = {
        form: _bundle(load(folder / form), json.loads((folder / f"{form}.json").read_text())) for form in FORMATS
    }
    return _sample("flights", folder, bundles, json.loads((folder / "rows.json").read_text()))


def in_project(folder: Path, module: str, *argv: str, seconds: float) -> str:
    """Run a module beside a project's own package, in its folder; return what it printed. Raises `MlplatError`."""
    done = subprocess.run(
        [sys.executable, "-m", module, *argv],
        env={**inherited(), "PYTHONPATH": os.pathsep.join([str(folder / "src"), str(ROOT)])},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )
    if done.returncode:
        raise MlplatError(f"`{module}` cannot be run in the reference project:\n{done.stderr.strip()}")
    return done.stdout


def _judged(model: Model, rows: pd.DataFrame, labels: NDArray[Any]) -> dict[str, Any]:
    """Return the gate's report on a model, each row (n × columns) its own block."""
    import numpy as np

    from mlplat.runtime import gate
    from mlplat.spec.base import parse
    from mlplat.spec.project import ProjectSpec

    document = {"project": PROJECT, "model": "cancer", "task": "binary", "data": {"source": "-", "target": "-"}}
    spec = parse(ProjectSpec, {"version": 1, **document}, "the benchmark's model")
    holdout = gate.Holdout(labels.astype(float), np.arange(len(rows)), float(labels.mean()))
    verdict = gate.judge(spec, holdout, model.score(rows), None)
    return {"version": 1, "digest": model.digest, "model": f"{PROJECT}/cancer", **verdict.described()}


def _bundle(model: Model, report: dict[str, Any]) -> Bundle:
    return Bundle(model.folder, model.digest, model.contract, report)


def _sample(name: str, folder: Path, bundles: dict[str, Bundle], rows: list[Row]) -> Sample:
    import joblib
    from skops import io

    written = bundles["skops"]
    path = written.folder / written.contract.file
    joblib.dump(io.load(path, trusted=list(written.contract.trusted_types)), folder / "model.joblib")
    return Sample(name, bundles, folder / "model.joblib", written.contract.columns, tuple(rows))
