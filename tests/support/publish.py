"""`python publish.py TRACKING PROJECT/MODEL`: register a tiny judged model, as a project's pipeline does.

A process of its own, so that a test's process imports neither MLflow nor scikit-learn.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

import pandas as pd
from sklearn.linear_model import LinearRegression

from mlplat.bundle import Contract
from mlplat.labels import Name
from mlplat.runtime import bundles, registry

ROWS = pd.DataFrame({"rooms": [1.0, 2.0, 3.0, 4.0, 5.0, 6.0], "metres": [20.0, 45.0, 60.0, 90.0, 100.0, 140.0]})


def main(tracking: str, text: str) -> None:
    """Fit, judge nothing, register."""
    os.environ[registry.TRACKING] = tracking
    name = Name.parse(text)
    estimator = LinearRegression().fit(ROWS, 18 * ROWS["metres"])
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
