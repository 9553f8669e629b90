"""`python publish.py TRACKING PROJECT/MODEL [fragile]`: register a tiny judged model, as a project's pipeline does.

A fragile one passes every trial on the rows that it was fitted on, and fails on a number that is not above zero. A
process of its own, so that a test's process imports neither MLflow nor scikit-learn.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

import pandas as pd
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PowerTransformer

from mlplat.bundle import Contract
from mlplat.labels import Name
from mlplat.runtime import bundles, registry

ROWS = pd.DataFrame({"rooms": [1.0, 2.0, 3.0, 4.0, 5.0, 6.0], "metres": [20.0, 45.0, 60.0, 90.0, 100.0, 140.0]})


def main(tracking: str, text: str, kind: str = "sound") -> None:
    """Fit, judge nothing, register."""
    os.environ[registry.TRACKING] = tracking
    name = Name.parse(text)
    steps = [PowerTransformer("box-cox")] if kind == "fragile" else []
    estimator = make_pipeline(*steps, LinearRegression()).fit(ROWS, 18 * ROWS["metres"])
    contract = Contract(
        project=name.project, model=name.name, task="regression", columns=bundles.columns_of(ROWS), classes=()
    )
    with tempfile.TemporaryDirectory() as folder:
        model = bundles.write(Path(folder, "bundle"), estimator, contract, ROWS)
        tags = {"mlplat.digest": model.digest, "mlplat.project": name.project}
        report = {"version": 1, "digest": model.digest, "model": str(name), "passed": True, "rules": []}
        entry = registry.Entry(name, model.folder, model.digest, {}, {"r2": 1.0}, tags, report)
        sys.stdout.write(f"{registry.log(entry, passed=True)[1]}\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
