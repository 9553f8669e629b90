"""Searching for settings: what one part of a search tries, on the folds of the training block."""

from __future__ import annotations

import hashlib
import inspect
import json
import tempfile
from contextlib import nullcontext
from importlib import metadata
from pathlib import Path

from mlplat.runtime import fitting, shards
from mlplat.runtime.fitting import Make, Measured
from mlplat.runtime.shards import Shard
from mlplat.runtime.steps.preparation import Prepared
from mlplat.runtime.trials import Trial
from mlplat.spec.project import ProjectSpec, TrainingSpec

MADE_WITH = ("scikit-learn", "optuna")
"""Packages whose version changes what a trial comes to, or how a journal is read."""
NOT_OF_A_TRIAL = {"trials", "seconds", "seeds", "shards", "families"}
"""Keys of `search` that change how many trials there are and not what one comes to: with more of them a search goes on
from those that it has."""


def run(spec: ProjectSpec, prepared: Prepared, make: Make, shard: Shard, *, folder: Path) -> tuple[Trial, ...]:
    """Try one shard's settings on the folds of the training block, and return what came of each.

    `folder` is where journals are kept; one that cannot be written to, as in a container, is replaced by a temporary
    one. Raises `StateError` while another process runs the same shard.
    """
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    from mlplat.runtime import search

    rows = fitting.rows_of(spec, prepared.features, prepared.labels)
    # Several shards are what the processors are divided among: pools of threads in each would wait for each other.
    alone = len(shards.plan(spec)) == 1
    threads = None if alone else 1

    def attempt(settings: TrainingSpec, number: int) -> Measured:
        with nullcontext() if alone else threadpool_limits(1):
            return fitting.measure(rows, prepared.folds[number], settings, make, threads=threads)

    kept = _writable(folder) / _key(spec, prepared, make)
    return search.run(spec, shard, kept, attempt, folds=len(prepared.folds), tell=_tell)


def _tell(trial: Trial) -> None:
    # A search may take hours: its log is where somebody looks whether it gets anywhere.
    print(trial, flush=True)  # noqa: T201


def _writable(folder: Path) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return folder
    except OSError:
        return Path(tempfile.mkdtemp(prefix="mlplat-search-"))


def _key(spec: ProjectSpec, prepared: Prepared, make: Make) -> str:
    """Return what names a journal: all that decides what a trial comes to. Another model is another search."""
    folds = hashlib.sha256(b"".join(part.tobytes() for fold in prepared.folds for part in (fold.train, fold.test)))
    decides = {
        "data": prepared.data_hash,
        "folds": folds.hexdigest(),
        "training": spec.training.model_dump(mode="json"),
        "search": spec.search.model_dump(mode="json", exclude=NOT_OF_A_TRIAL),
        "model": inspect.getsource(inspect.getmodule(make) or make),
        "packages": {name: metadata.version(name) for name in MADE_WITH},
    }
    return hashlib.sha256(json.dumps(decides, sort_keys=True).encode()).hexdigest()[:16]
