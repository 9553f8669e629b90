"""How a model came about: its settings, what was tried and left out, and what cross-validation and calibration say."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mlplat.runtime import trials
from mlplat.runtime.calibration import Line
from mlplat.runtime.fitting import Measured
from mlplat.runtime.preprocessing import Dropped
from mlplat.runtime.trials import Trial
from mlplat.spec.project import TrainingSpec

if TYPE_CHECKING:
    from mlflow import MlflowClient

FILE = "learning.json"


@dataclass(frozen=True)
class Learning:
    """All of it."""

    settings: TrainingSpec
    """What it was fitted with: `training` of mlplat.yaml, or what a search found."""
    trials: tuple[Trial, ...] = ()
    """All that was tried."""
    folds: tuple[Measured, ...] = ()
    """What these settings came to on each fold, in order of time; none without cross-validation."""
    dropped: tuple[Dropped, ...] = ()
    calibration: dict[str, Line] = field(default_factory=dict)
    """Of a binary model, `before` and `after` its probabilities were calibrated."""

    def described(self) -> dict[str, Any]:
        """Return it as JSON, without each of the trials."""
        chosen = [trial.name for trial in self.trials if trial.folds == self.folds][:1]
        return {
            "settings": self.settings.model_dump(mode="json"),
            "trials": len(self.trials),
            "chosen": chosen[0] if chosen else None,
            "folds": list(self.folds),
            "cross_validated": trials.summary(self.folds),
            "dropped": [each.described() for each in self.dropped],
            "calibration": {name: line.described() for name, line in self.calibration.items()},
        }


def write(client: MlflowClient, run_id: str, learning: Learning, seed_spread: float | None) -> None:
    """Write it down with its run: folds as metrics by step, all of it as `learning.json`, each trial as a child run."""
    begun = client.get_run(run_id).info.start_time
    spread = {} if seed_spread is None else {"seed_spread": seed_spread}
    if found := [*trials.measured(learning.folds, begun), *trials.metrics(spread, begun)]:
        client.log_batch(run_id, metrics=found)
    client.log_dict(run_id, learning.described() | {"seed_spread": seed_spread}, FILE)
    if learning.trials:
        trials.write(client, run_id, learning.trials)
