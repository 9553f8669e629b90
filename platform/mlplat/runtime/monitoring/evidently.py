"""Evidently's pages of windows, beside a monitor's own report: for who knows how to read them.

Evidently pins a pandas that a project need not have, so it runs in an environment of its own, which is made when it is
first asked for. Rows go there as Parquet in a folder that is removed afterwards; a page holds distributions only.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from mlplat import environment
from mlplat.errors import MlplatError, UsageError
from mlplat.runtime.evenly import evenly

ENVIRONMENT = "drift"
MOST_ROWS = 5000
"""Of each set of rows, evenly over their order: Evidently takes seconds for them, and the picture stays the same."""
PREFIX = "evidently-"
SECONDS = 600
CHILD = Path(__file__).with_name("evidently_page.py")


class PageError(MlplatError):
    """Evidently made no pages."""


def check() -> None:
    """Raise `UsageError` where its environment could not be made."""
    if "KUBERNETES_SERVICE_HOST" in os.environ:
        raise UsageError(
            "monitoring.evidently: Evidently's pages are made on a person's computer only",
            hint="`mlplat run monitor --here --rows FROM TO` monitors there",
        )


def pages(reference: pd.DataFrame, windows: Mapping[str, pd.DataFrame]) -> dict[str, str]:
    """Return the HTML of each window (rows × columns) held against `reference`, as `evidently-<window>.html`.

    Raises `InstallError` when its environment cannot be made, `PageError` when it fails.
    """
    python = environment.service(ENVIRONMENT, progress=lambda line: print(line, file=sys.stderr))  # noqa: T201 - its log
    with tempfile.TemporaryDirectory(prefix="mlplat-evidently-") as place:
        folder = Path(place)
        _write(reference, folder / "reference.parquet")
        for name, rows in windows.items():
            _write(rows, folder / f"{name}.parquet")
        _run(python, folder, list(windows))
        return {f"{PREFIX}{name}.html": (folder / f"{name}.html").read_text() for name in windows}


def _run(python: Path, folder: Path, names: list[str]) -> None:
    # It asks its makers for news otherwise.
    env = environment.inherited() | {"DO_NOT_TRACK": "1"}
    argv = [str(python), "-I", str(CHILD), str(folder), json.dumps(names)]
    try:
        done = subprocess.run(
            argv, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=SECONDS
        )
    except subprocess.TimeoutExpired as error:
        raise PageError(f"Evidently made no pages within {SECONDS} s") from error
    if done.returncode:
        last = (done.stderr.strip().splitlines() or [f"it ended with exit code {done.returncode}"])[-1]
        raise PageError(f"Evidently made no pages: {last}")


def _write(rows: pd.DataFrame, file: Path) -> None:
    chosen = rows.iloc[evenly(len(rows), MOST_ROWS)]
    # What pandas writes of itself beside the columns is not read by an older one.
    pq.write_table(pa.Table.from_pandas(chosen, preserve_index=False).replace_schema_metadata(), file)
