"""Searching for settings: trials of one shard, kept in a journal from which a killed search goes on.

Settings are proposed by a tree-structured Parzen estimator (Bergstra et al., Algorithms for Hyper-Parameter
Optimization, 2011) and given up fold by fold by Hyperband (Li et al., Hyperband: A Novel Bandit-Based Approach to
Hyperparameter Optimization, 2018), as Optuna has them. What is proposed depends on the seed and on the trials that
ended before, and on nothing else: a search that was killed goes on as the one that was not would have.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, TrialState

from mlplat.locking import lock
from mlplat.runtime import fitting
from mlplat.runtime.fitting import Measured
from mlplat.runtime.shards import Shard
from mlplat.runtime.trials import State, Trial
from mlplat.spec.project import ProjectSpec, TrainingSpec
from mlplat.spec.search import Family, RangeSpec

STARTUP = 5
"""Trials that are drawn at random before the estimator learns from them: few, since a project tries tens, not
thousands."""
HELD_SECONDS = 5.0
SPACES: dict[str, dict[str, RangeSpec | None]] = {
    "gradient_boosting": {
        "trees": RangeSpec(low=50, high=400, log=True),
        "leaves": RangeSpec(low=4, high=64, log=True),
        "learning_rate": RangeSpec(low=0.02, high=0.3, log=True),
        "min_leaf_rows": RangeSpec(low=10, high=1000, log=True),
        "max_features": RangeSpec(low=0.2, high=1.0),
    },
    "random_forest": {
        "min_leaf_rows": RangeSpec(low=5, high=500, log=True),
        "max_features": RangeSpec(low=0.1, high=1.0),
        "sample": RangeSpec(low=0.1, high=1.0),
        "trees": None,
    },
    "linear": {"penalty": RangeSpec(low=1e-3, high=1e3, log=True)},
}
"""What is searched of each family where the project says nothing else; None for what more of is only dearer."""
ENDED: dict[TrialState, State] = {
    TrialState.COMPLETE: "complete",
    TrialState.PRUNED: "pruned",
    TrialState.FAIL: "failed",
}


Try = Callable[[TrainingSpec, int], Measured]
"""From settings and a fold's number to the fold's measures."""


def run(
    spec: ProjectSpec, shard: Shard, folder: Path, attempt: Try, *, folds: int, tell: Callable[[Trial], None]
) -> tuple[Trial, ...]:
    """Try settings until the shard has as many trials as it should, or its time is over; return what ended.

    `folder` keeps its journal; trials that are in there are not tried again. `tell` is called with each that ends. One
    that raises has failed, and the search goes on. Raises `StateError` while another process searches there.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    folder.mkdir(parents=True, exist_ok=True)
    with lock(folder / f"{shard.name}.held", f"the search of {shard.name}", timeout=HELD_SECONDS):
        study = _open(folder / f"{shard.name}.journal", spec, shard, folds)
        while len(ended := _ended(study)) < shard.trials and not _is_late(ended, spec.search.seconds):
            _try_one(study, spec, shard, attempt, folds)
            tell(_trial(shard, _ended(study)[-1]))
        # More than were asked for may be there from before: the same wish comes to the same trials.
        return tuple(_trial(shard, each) for each in _ended(study)[: shard.trials])


def space(spec: ProjectSpec, family: Family) -> dict[str, BaseDistribution]:
    """Return what is searched of a family, by key of `training`: the usual, and what the project says itself."""
    elsewhere = {key for keys in SPACES.values() for key in keys} - SPACES[family].keys()
    own = {key: given for key, given in spec.search.space.items() if key not in elsewhere}
    wanted = {**SPACES[family], **own}
    plain = spec.training.model_dump(mode="json")
    return {key: _distribution(given, _held(plain, key)) for key, given in wanted.items() if given is not None}


def _held(plain: Mapping[str, Any], path: str) -> Any:
    for key in path.split("."):
        plain = plain[key]
    return plain


def _distribution(given: RangeSpec, held: Any) -> BaseDistribution:
    if given.choices:
        return CategoricalDistribution(list(given.choices))
    low, high = given.low or 0, given.high or 0
    if isinstance(held, int) and not isinstance(held, bool):
        return IntDistribution(int(low), int(high), log=given.log)
    return FloatDistribution(float(low), float(high), log=given.log)


def _open(path: Path, spec: ProjectSpec, shard: Shard, folds: int) -> optuna.Study:
    """Return the shard's study with the trials that ended, in a journal that holds nothing else.

    A trial that a kill cut short, or half a line of it, would shift the numbers of those after it, by which Hyperband
    places them: they are left behind.
    """
    kept = _ended(_study(path, spec, shard, folds)) if path.exists() else []
    fresh = path.with_suffix(".new")
    fresh.unlink(missing_ok=True)
    _study(fresh, spec, shard, folds).add_trials(kept)
    fresh.replace(path)
    # Optuna's own lock, a link that outlives a process that is killed; ours, which does not, stands before it.
    for link in path.parent.glob(f"{path.stem}.*.lock"):
        link.unlink()
    return _study(path, spec, shard, folds)


def _study(path: Path, spec: ProjectSpec, shard: Shard, folds: int) -> optuna.Study:
    return optuna.create_study(
        storage=JournalStorage(JournalFileBackend(str(path))),
        study_name=shard.name,
        direction=fitting.DIRECTIONS[spec.task][1],
        pruner=optuna.pruners.HyperbandPruner(min_resource=1, max_resource=folds),
        load_if_exists=True,
    )


def _ended(study: optuna.Study) -> list[FrozenTrial]:
    return study.get_trials(deepcopy=False, states=tuple(ENDED))


def _is_late(ended: list[FrozenTrial], seconds: float | None) -> bool:
    return seconds is not None and sum(each.user_attrs["seconds"] for each in ended) >= seconds


def _try_one(study: optuna.Study, spec: ProjectSpec, shard: Shard, attempt: Try, folds: int) -> None:
    number = len(_ended(study))
    study.sampler = optuna.samplers.TPESampler(n_startup_trials=STARTUP, seed=_seed(spec.training.seed, shard, number))
    as_written = number == 0 and shard.part == 0
    trial = study.ask({} if as_written else space(spec, shard.family))
    changes = {"family": shard.family, **trial.params}
    trial.set_user_attr("settings", changes)
    started = time.perf_counter()
    state, value = _judged(trial, spec.training.changed(changes), attempt, folds, spec.task)
    trial.set_user_attr("seconds", time.perf_counter() - started)
    study.tell(trial, value, state)


def _seed(seed: int, shard: Shard, number: int) -> int:
    """Return a seed of a trial's own: one that every trial had would make a search that goes on begin again."""
    source = np.random.SeedSequence([seed, list(SPACES).index(shard.family), shard.part, number])
    return int(source.generate_state(1)[0])


def _judged(
    trial: optuna.Trial, settings: TrainingSpec, attempt: Try, folds: int, task: str
) -> tuple[TrialState, float | None]:
    measured: list[Measured] = []
    try:
        for number in range(folds):
            measured.append(attempt(settings, number))
            trial.set_user_attr("folds", measured)
            trial.report(fitting.mean(task, measured), number + 1)
            if number + 1 < folds and trial.should_prune():
                return TrialState.PRUNED, None
    except Exception as error:  # noqa: BLE001 - settings that a model refuses are an answer; the search goes on
        trial.set_user_attr("error", f"{type(error).__name__}: {error}"[:500])
        return TrialState.FAIL, None
    return TrialState.COMPLETE, fitting.mean(task, measured)


def _trial(shard: Shard, found: FrozenTrial) -> Trial:
    told = found.user_attrs
    return Trial(
        f"{shard.name}-{found.number}",
        told["settings"],
        ENDED[found.state],
        tuple(told.get("folds", ())),
        told["seconds"],
        told.get("error", ""),
    )
