"""What an endpoint was asked: from its prediction log, or from the project's own rows of a past time.

The log is a folder on one computer, or lies in a bucket: there `PREDICTIONS` says where, as it does in a flow's steps.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from mlplat.bundle import Column, Contract
from mlplat.contracts import Connection
from mlplat.errors import RefusedError, UsageError
from mlplat.labels import Name
from mlplat.runtime import nearest, split
from mlplat.runtime.monitoring.performance import Outcomes
from mlplat.spec.project import ProjectSpec

PREDICTIONS = "MLPLAT_PREDICTIONS"
"""Variable with the address below which prediction logs lie, an endpoint (by id) each: `s3://bucket/team/predictions`.
Without it they are the platform's on this computer."""
RIPE_SHARE = 0.99
"""Share of the labels that are known after the time from which a prediction without one counts as ripe."""


@dataclass(frozen=True)
class Observed:
    """Rows that a model was asked for, and what became of them as far as is known."""

    source: str
    """One phrase for people."""
    features: pd.DataFrame
    """Rows × the contract's columns that can be watched."""
    outcomes: Outcomes | None
    """None where nothing says how a prediction finds its label."""
    asked: pd.Series
    scores: np.ndarray
    begin: pd.Timestamp
    """From where on they are all there."""
    is_live: bool
    """Whether they are what really was asked, so that their end says when the last prediction was."""
    unwatched: tuple[str, ...] = ()
    """Columns of the contract that the log does not hold as they are."""


def from_rows(
    spec: ProjectSpec,
    rows: pd.DataFrame,
    contract: Contract,
    score: Callable[[pd.DataFrame], np.ndarray],
    *,
    begin: pd.Timestamp,
    end: pd.Timestamp,
    until: pd.Timestamp,
) -> Observed:
    """Take the project's built rows (n × columns) that would have been asked for from `begin` to `end`."""
    asked = split.asked_at(rows, spec.data)
    chosen = rows[(asked >= begin) & (asked < end)]
    if chosen.empty:
        raise UsageError(f"no row is asked for between {begin:%Y-%m-%d} and {end:%Y-%m-%d}", hint="give other dates")
    asked, features = split.asked_at(chosen, spec.data), chosen[[column.name for column in contract.columns]]
    ripe = (split.known_at(chosen, spec.data) <= until).to_numpy()
    labels = np.where(ripe, _labels(spec, contract, chosen), np.nan)
    # A row that a server would refuse is one that nobody was answered: it is watched, and judges nothing.
    whole = features[[column.name for column in contract.columns if not column.nullable]].notna().all(axis="columns")
    scores = np.full(len(features), np.nan)
    if whole.any():
        scores[whole.to_numpy()] = score(features[whole])
    return Observed(
        "the project's own rows", features, Outcomes(asked, scores, labels, ripe), asked, scores, begin, is_live=False
    )


def place_of(spec: ProjectSpec, endpoint: Name) -> str:
    """Return where an endpoint's prediction log lies: a folder, or an `s3://` address. Raises `RefusedError`."""
    if address := os.environ.get(PREDICTIONS):
        return f"{address}/{endpoint.id}"
    connection = Connection.of_run(spec.platform)
    folder = connection.predictions(endpoint.id)
    if folder is None:
        raise RefusedError(
            f"the prediction logs of the stack `{connection.stack}` are in its cluster's bucket, and `{PREDICTIONS}`"
            " does not say where",
            hint="the published flow reads them: `mlplat run monitor` without `--here`; or `--rows FROM TO` monitors"
            " the project's own rows",
        )
    return str(folder)


def from_log(
    spec: ProjectSpec,
    log: str,
    contract: Contract,
    version: str,
    build: Callable[[], pd.DataFrame],
    *,
    until: pd.Timestamp,
) -> Observed:
    """Read what one version answered before `until` from a prediction log; `build` gives the rows that hold labels.

    `log` is where it lies (`place_of`).

    Rows are built only where `monitoring.key` says how they are found. Raises `RefusedError` when there are none.
    """
    logged = _logged(log, contract, version, until)
    names = [column.name for column in contract.columns]
    kept = [name for name in names if f"input_{name}" in logged.columns]
    features = logged[[f"input_{name}" for name in kept]].set_axis(kept, axis="columns")
    scores = logged["probability" if contract.task == "binary" else "value"].to_numpy(dtype=np.float64)
    outcomes = None
    if key := spec.monitoring.key:
        if hidden := [name for name in key if name not in kept]:
            raise UsageError(
                f"monitoring.key: the prediction log does not hold `{hidden[0]}` as it is",
                hint="take it out of `prediction_log.exclude` and `.hash`, or name another column",
            )
        outcomes = _outcomes(spec, contract, features, logged["time"], scores, build(), until)
    return Observed(
        f"the prediction log of version {version}",
        features,
        outcomes,
        logged["time"],
        scores,
        logged["time"].min().floor("D"),
        is_live=True,
        unwatched=tuple(name for name in names if name not in kept),
    )


def _logged(log: str, contract: Contract, version: str, until: pd.Timestamp) -> pd.DataFrame:
    from mlplat.serving import parts

    wanted = ["time", "version", "probability", "value", *(f"input_{column.name}" for column in contract.columns)]
    read: pd.DataFrame = parts.read(log, wanted).to_pandas()
    if not read.empty:
        read = read[(read["version"] == version) & (read["time"] < until)].reset_index(drop=True)
    if read.empty:
        raise RefusedError(
            f"the prediction log holds nothing of version {version} before {until:%Y-%m-%d %H:%M}",
            hint="`--rows FROM TO` monitors the project's own rows of a time instead",
        )
    return read


def _outcomes(
    spec: ProjectSpec,
    contract: Contract,
    features: pd.DataFrame,
    asked: pd.Series,
    scores: np.ndarray,
    rows: pd.DataFrame,
    until: pd.Timestamp,
) -> Outcomes:
    """Find the label of each prediction: of the row of the same key that is asked for nearest to its time."""
    key, known = list(spec.monitoring.key), split.known_at(rows, spec.data)
    theirs = split.asked_at(rows, spec.data)
    labelled = _keyed(rows, key, contract, theirs).assign(label=_labels(spec, contract, rows), known=known)
    joined = nearest.join(_keyed(features, key, contract, asked), labelled, key, spec.monitoring.key_hours)
    # A prediction whose row is not there yet is ripe when nearly every label would be known by now.
    usual = pd.Timedelta(seconds=float((known - theirs).dt.total_seconds().quantile(RIPE_SHARE)))
    due = joined["known"].where(joined["known"].notna(), joined[nearest.AT] + usual)
    ripe = (due <= until).to_numpy()
    labels = np.where(ripe, joined["label"].to_numpy(dtype=np.float64), np.nan)
    return Outcomes(asked, scores, labels, ripe)


def _keyed(frame: pd.DataFrame, key: list[str], contract: Contract, at: pd.Series) -> pd.DataFrame:
    types = {column.name: column for column in contract.columns}
    made = pd.DataFrame({name: _plain(frame[name], types[name]) for name in key})
    return made.assign(**{nearest.AT: at.array})


def _plain(values: pd.Series, column: Column) -> np.ndarray:
    # One number is one key, whether its column may be null, and is a float therefore, or not.
    numbers = column.type in ("long", "double", "boolean")
    plain = values.astype("float64") if numbers else values
    return plain.astype("str").to_numpy(dtype=object)


def _labels(spec: ProjectSpec, contract: Contract, rows: pd.DataFrame) -> np.ndarray:
    target = rows[spec.data.target]
    return np.asarray(target == contract.classes[-1] if contract.classes else target, dtype=np.float64)
