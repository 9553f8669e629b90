"""What a search tried, as values, and as child runs of the run that it belongs to."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from mlplat.errors import RefusedError
from mlplat.runtime.fitting import DIRECTIONS, Measured, mean

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Metric

State = Literal["complete", "pruned", "failed"]
TRIAL = "mlplat.trial"
PARENT = "mlflow.parentRunId"


@dataclass(frozen=True)
class Trial:
    """Settings that were tried, and what came of them."""

    name: str
    """Family, shard and number: `linear-0-3`."""
    settings: Mapping[str, Any]
    """What is set otherwise than in mlplat.yaml, by key of `training`; the family among it."""
    state: State
    folds: tuple[Measured, ...]
    """Measures of each fold that was reached."""
    seconds: float
    error: str = ""

    def __str__(self) -> str:
        found = summary(self.folds)
        score = [f"{name} {found[f'cv_{name}']:.4f}" for name, _ in DIRECTIONS.values() if f"cv_{name}" in found]
        told = ", ".join([self.state, *score, f"{len(self.folds)} folds", f"{self.seconds:.1f} s"])
        return f"{self.name}: {told} {dict(self.settings)} {self.error}".rstrip()


def best(task: str, trials: Sequence[Trial]) -> Trial | None:
    """Return the trial with the best mean over all folds, the earliest of equals; None where nothing was tried.

    Raises `RefusedError` when no trial could be completed.
    """
    sign = 1 if DIRECTIONS[task][1] == "maximize" else -1
    complete = [trial for trial in trials if trial.state == "complete"]
    if trials and not complete:
        said = [f": {trial.error}" for trial in trials if trial.error]
        raise RefusedError(
            f"none of {len(trials)} trials was completed{said[-1] if said else ''}",
            hint="`mlplat run train --set search.trials=0` trains with the settings of `training`",
        )
    return max(complete, key=lambda trial: sign * mean(task, trial.folds), default=None)


def summary(folds: Sequence[Measured]) -> dict[str, float]:
    """Return the mean of each measure over folds as `cv_<name>`, and its deviation between folds as `cv_<name>_sd`."""
    found: dict[str, float] = {}
    for name in folds[0] if folds else ():
        values = [fold[name] for fold in folds]
        found[f"cv_{name}"] = statistics.fmean(values)
        found[f"cv_{name}_sd"] = statistics.stdev(values) if len(values) > 1 else 0.0
    return found


def write(client: MlflowClient, run_id: str, trials: Sequence[Trial]) -> None:
    """Write each trial down as a child of a run, three calls each; those that are there already are left alone."""
    parent = client.get_run(run_id)
    experiment, begun = parent.info.experiment_id, parent.info.start_time
    wanted = f"tags.`{PARENT}` = '{run_id}' and attributes.status != 'RUNNING'"
    known = {run.data.tags.get(TRIAL) for run in client.search_runs([experiment], wanted, max_results=10_000)}
    for trial in trials:
        if trial.name not in known:
            _write(client, experiment, run_id, trial, begun)


def _write(client: MlflowClient, experiment: str, parent: str, trial: Trial, begun: int) -> None:
    from mlflow.entities import Param, RunTag

    tags = {PARENT: parent, TRIAL: trial.name, "mlplat.state": trial.state}
    run = client.create_run(experiment, begun, tags, run_name=trial.name)
    client.log_batch(
        run.info.run_id,
        metrics=[*measured(trial.folds, begun), *metrics({"seconds": trial.seconds}, begun)],
        params=[Param(key, str(value)) for key, value in trial.settings.items()],
        tags=[RunTag("mlplat.error", trial.error)] if trial.error else [],
    )
    # MLflow's own words: what was given up early was ended, and has not failed.
    ended = {"complete": "FINISHED", "pruned": "KILLED", "failed": "FAILED"}[trial.state]
    client.set_terminated(run.info.run_id, ended, begun + int(trial.seconds * 1000))


def measured(folds: Sequence[Measured], at: int) -> list[Metric]:
    """Return each fold's measures as `fold_<name>` by step, and their summary, as MLflow keeps them."""
    steps = [each for step, fold in enumerate(folds) for each in metrics(_prefixed(fold), at, step)]
    return [*steps, *metrics(summary(folds), at)]


def _prefixed(fold: Measured) -> dict[str, float]:
    return {f"fold_{name}": value for name, value in fold.items()}


def metrics(values: Mapping[str, float], at: int, step: int = 0) -> list[Metric]:
    """Return values by name as MLflow keeps them, of a time in milliseconds and a step."""
    from mlflow.entities import Metric

    return [Metric(name, value, at, step) for name, value in values.items()]
