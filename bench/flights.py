"""Train the reference project in a process of its own: `python -m bench.flights FOLDER`.

The project's package is on PYTHONPATH; what is trained, and judged by the gate, is what the project's own steps make of
a sample of the flights.
"""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from typing import Any

SAMPLE = 40_000
"""Flights, evenly over the year: enough for the gate, and a model as large as one of all of them."""
ROWS = 2_000
FORMATS = ("skops", "onnx")


def main(folder: Path) -> None:
    """Write the bundles `skops` and `onnx`, the gate's report on each, and rows of the hold-out into a folder."""
    from mlplat.runtime import bundles

    pipeline: Any = importlib.import_module("flights.pipeline")
    for form in FORMATS:
        settings = json.dumps({"serving.format": form})
        asked = pipeline.options({"until": "2013-07-02", "sample": SAMPLE, "set_json": settings})
        prepared = pipeline.prepare(asked)
        trained = pipeline.train(asked, prepared)
        bundles.unpack(trained.packed, folder / form)
        (folder / f"{form}.json").write_text(json.dumps(pipeline.judge(asked, prepared, trained)))
    rows = prepared.features.iloc[prepared.split.holdout].head(ROWS)
    (folder / "rows.json").write_text(json.dumps([bundles.plain(row) for row in rows.to_dict(orient="records")]))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
