"""The steps of a training run, as functions over values: what a flow's steps, and a run in one process, call.

Each step takes what the one before returned; all of it can be pickled, so steps may run on different machines. The
project gives three functions: `load` (raw data), `build` (rows with features) and `make` (an estimator).
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mlplat.bundle import Column, Contract
from mlplat.clock import Clock
from mlplat.errors import RefusedError
from mlplat.labels import Name
from mlplat.runtime import availability, bundles, calibration, gate, onnx_export, registry, split, table
from mlplat.runtime.onnx_export import Choice
from mlplat.runtime.result import Result, Status
from mlplat.runtime.split import Split, Window
from mlplat.spec.project import ProjectSpec, TrainingSpec

Make = Callable[[TrainingSpec, str, Sequence[str], Sequence[str]], Any]
"""From settings, task, text columns and number columns to an estimator that is not fitted yet."""
REPORT_VERSION = 1


@dataclass(frozen=True)
class Options:
    """What a run was asked for."""

    window: Window = field(default_factory=Window)
    sample: int | None = None
    """Rows to keep, taken evenly over time; None keeps all."""
    overrides: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Prepared:
    """Rows ready to be learned from."""

    features: pd.DataFrame
    """Rows × features."""
    labels: NDArray[np.float64]
    """One a row: 1 for the positive class, or the value."""
    blocks: NDArray[np.int64]
    """What each row is resampled with: its day, its group, or itself."""
    split: Split
    classes: tuple[int | str | bool, ...]
    holdout_hash: str
    """Content hash of the rows that judge, features and labels."""
    window_hash: str
    """Content hash of their labels and times: what their uses are counted by, whatever the features."""
    data_hash: str


@dataclass(frozen=True)
class Trained:
    """A model as it will be judged."""

    packed: bytes
    digest: str
    threshold: float | None
    served: Choice = field(default_factory=Choice)
    """In which format, and why."""


def prepare(spec: ProjectSpec, options: Options, rows: pd.DataFrame) -> Prepared:
    """Divide built rows (n × columns), refusing whatever was not known when a prediction was asked for.

    Raises `RefusedError` for a leak, or a block that is too small.
    """
    data = spec.data
    names = table.feature_names(rows, spec)
    if not names:
        raise RefusedError("no column is left to learn from", hint="`data` of mlplat.yaml gives every one another part")
    classes = table.classes_of(rows[data.target]) if spec.task == "binary" else ()
    rows = _sampled(rows, options.sample, data.time)
    target = rows[data.target]
    labels = np.asarray(target == classes[-1] if classes else target, dtype=np.float64)
    if data.time:
        availability.refuse_future(rows, split.asked_at(rows, data), data, names)
        made = split.by_time(rows, spec, options.window, pd.Timestamp(Clock.from_environment().now()))
    else:
        made = split.without_time(rows, spec)
    features = rows[names]
    if spec.task == "binary":
        learned = made.train
        availability.refuse_outcome_masks(
            features.iloc[learned], pd.Series(labels[learned], index=features.index[learned])
        )
    judged = features.iloc[made.holdout].assign(**{data.target: target.iloc[made.holdout]})
    window = rows[[data.target, *([data.time] if data.time else [])]].iloc[made.holdout]
    return Prepared(
        features,
        labels,
        split.day_of(rows, data),
        made,
        classes,
        hash_rows(judged),
        hash_rows(window),
        hash_rows(features.assign(_=labels)),
    )


def _sampled(rows: pd.DataFrame, count: int | None, time: str | None) -> pd.DataFrame:
    if count is None or count >= len(rows):
        return rows.reset_index(drop=True)
    ordered = rows.sort_values(time, kind="stable") if time else rows
    chosen = np.linspace(0, len(rows) - 1, count).astype(int)
    return ordered.iloc[chosen].reset_index(drop=True)


def hash_rows(frame: pd.DataFrame) -> str:
    """Return `sha256:…` over names, values and order of rows (n × columns)."""
    total = hashlib.sha256(json.dumps([str(name) for name in frame.columns]).encode())
    total.update(pd.util.hash_pandas_object(frame, index=False).to_numpy().tobytes())
    return f"sha256:{total.hexdigest()}"


def train(spec: ProjectSpec, prepared: Prepared, make: Make) -> Trained:
    """Fit on the training block, calibrate on its own block, and write the bundle that everything after this uses."""
    labels, made = prepared.labels, prepared.split
    columns = bundles.columns_of(prepared.features)
    features = _as_served(prepared.features, columns)
    texts = [column.name for column in columns if column.type == "string"]
    numbers = [column.name for column in columns if column.type != "string"]
    if spec.task == "binary":
        _refuse_one_class(labels, made)
    estimator = make(spec.training, spec.task, texts, numbers)
    estimator.fit(features.iloc[made.train], _targets(spec, labels[made.train]))
    _one_thread(estimator)
    later, known = features.iloc[made.calibration], labels[made.calibration]
    limit = None
    if spec.task == "binary":
        estimator = calibration.calibrate(estimator, later, known)
        limit = calibration.threshold(known, estimator.predict_proba(later)[:, 1], spec.cost)
        estimator.classes_ = np.array(prepared.classes)
    contract = Contract(
        project=spec.project,
        model=spec.model,
        task=spec.task,
        columns=columns,
        classes=prepared.classes,
        threshold=limit,
    )
    with tempfile.TemporaryDirectory(prefix="mlplat-train-") as folder:
        written = bundles.write(Path(folder, "skops"), estimator, contract, later)
        real = prepared.features.iloc[_compared(made)]
        model, served = onnx_export.choose(spec.serving.format, written, estimator, real, Path(folder, "onnx"))
        return Trained(bundles.pack(model.folder), model.digest, limit, served)


def _compared(made: Split) -> NDArray[np.intp]:
    """Return the rows on which a graph is compared with the model: those new to it, and all where those are few."""
    later = np.concatenate([made.calibration, made.holdout])
    return later if len(later) >= onnx_export.FEWEST else np.concatenate([made.train, later])


def _as_served(features: pd.DataFrame, columns: tuple[Column, ...]) -> pd.DataFrame:
    """Return features as a model server hands them over, so that a null is learned from as it is asked with."""
    from mlplat.serving.columns import Schema

    schema = Schema(columns)
    return schema.to_frame(schema.from_frame(features))


def _refuse_one_class(labels: NDArray[np.float64], made: Split) -> None:
    for name, rows in (("training", made.train), ("calibration", made.calibration)):
        if len(np.unique(labels[rows])) == 1:
            raise RefusedError(f"the {name} block holds one class only", hint="give it more under `split`")


def _targets(spec: ProjectSpec, labels: NDArray[np.float64]) -> NDArray[Any]:
    return labels.astype(np.int64) if spec.task == "binary" else labels


def _one_thread(estimator: Any) -> None:
    # A model server answers each request on one thread: a pool of its own would only be waited for.
    for name in [name for name in estimator.get_params() if name.endswith("n_jobs")]:
        estimator.set_params(**{name: 1})


def judge(spec: ProjectSpec, prepared: Prepared, trained: Trained) -> dict[str, Any]:
    """Judge the bundle, loaded as a server loads it, against the champion on the same rows; return the report.

    Raises `RefusedError` when the champion has learned from the hold-out.
    """
    from mlplat.serving.model import load

    name = Name(spec.project, spec.model)
    rows, labels = prepared.features.iloc[prepared.split.holdout], prepared.labels[prepared.split.holdout]
    holdout = gate.Holdout(labels, _blocks(prepared), float(prepared.labels[prepared.split.train].mean()))
    with tempfile.TemporaryDirectory(prefix="mlplat-judge-") as folder:
        champion = registry.champion(name, Path(folder, "champion")) if registry.is_connected() else None
        if champion:
            refuse_seen(prepared.split, champion)
        scores = load(bundles.unpack(trained.packed, Path(folder, "challenger")), digest=trained.digest).score(rows)
        theirs = load(champion.folder, digest=champion.digest).score(rows) if champion else None
    verdict = gate.judge(spec, holdout, scores, theirs).with_rule(gate.format_rule(spec, trained.served))
    uses = registry.uses_of(name, prepared.window_hash) if registry.is_connected() else 0
    return {
        "version": REPORT_VERSION,
        "digest": trained.digest,
        "model": str(name),
        **verdict.described(),
        "served": trained.served.described(),
        "champion": {"version": champion.version, "digest": champion.digest} if champion else None,
        "holdout": {**_window(prepared), "rows": len(rows), "hash": prepared.holdout_hash, "uses": uses + 1},
    }


def refuse_seen(made: Split, champion: registry.Champion) -> None:
    """Raise `RefusedError` when the champion has learned what was not known yet when the hold-out begins."""
    if made.judged_from is None or champion.learned_until is None:
        return
    if pd.Timestamp(champion.learned_until) >= pd.Timestamp(made.judged_from):
        raise RefusedError(
            f"champion {champion.version} learned what was known by {champion.learned_until}, and the hold-out's first "
            f"prediction is asked for on {made.judged_from}: it would be judged on what it knows",
            hint="give a later `--until`, so that the hold-out follows what both models have learned from",
        )


def _blocks(prepared: Prepared) -> NDArray[np.int64]:
    return np.unique(prepared.blocks[prepared.split.holdout], return_inverse=True)[1].astype(np.int64)


def _window(prepared: Prepared) -> dict[str, str | None]:
    cuts = prepared.split.cuts
    return {"start": cuts.holdout_start if cuts else None, "end": cuts.holdout_end if cuts else None}


def finish(
    spec: ProjectSpec, options: Options, prepared: Prepared, trained: Trained, report: dict[str, Any], *, project: Path
) -> Result:
    """Write the run down and register the model when it passed; return what the run came to.

    A model of a sample is for trying the steps: it is judged and written down, and never registered.
    """
    passed = bool(report["passed"])
    result = _result(spec, prepared, trained, report, passed=passed)
    if not registry.is_connected():
        return result
    with tempfile.TemporaryDirectory(prefix="mlplat-register-") as folder:
        bundle = bundles.unpack(trained.packed, Path(folder))
        entry = _entry(spec, options, prepared, trained, report, project, bundle)
        run_id, version = registry.log(entry, passed=passed, register=options.sample is None)
    told = f"registered as version {version} of {result.model}" if version else result.message
    if passed and not version:
        told = f"passed the gate on a sample of {options.sample} rows, and so is not registered"
    status: Status = "registered" if version else result.status
    return replace(result, status=status, message=told, version=version, run_id=run_id)


def _result(spec: ProjectSpec, prepared: Prepared, trained: Trained, report: dict[str, Any], *, passed: bool) -> Result:
    failed = [rule for rule in report["rules"] if not rule["passed"]]
    message = "; ".join(f"{rule['name']}: {rule['detail']}" for rule in failed) or "passed the gate"
    return Result(
        status="passed" if passed else "refused",
        step="gate",
        message=message,
        model=f"{spec.project}/{spec.model}",
        digest=trained.digest,
        split=prepared.split.described(),
        metrics=report["metrics"],
        served=trained.served.described(),
        gate=report,
    )


def _entry(
    spec: ProjectSpec,
    options: Options,
    prepared: Prepared,
    trained: Trained,
    report: dict[str, Any],
    project: Path,
    folder: Path,
) -> registry.Entry:
    until = prepared.split.learned_until
    learned = {"mlplat.learned_until": until} if until else {}
    measured = {
        f"{name}{suffix}": values[key]
        for name, values in report["metrics"].items()
        for key, suffix in (("value", ""), ("low", "_low"), ("high", "_high"))
    }
    return registry.Entry(
        name=Name(spec.project, spec.model),
        folder=folder,
        digest=trained.digest,
        params=registry.flat(spec.model_dump(mode="json")) | {"sample": options.sample or "all"},
        metrics=measured,
        tags={
            "mlplat.digest": trained.digest,
            "mlplat.project": spec.project,
            "mlplat.commit": registry.commit(project),
            "mlplat.lock": registry.lock(project),
            "mlplat.data": prepared.data_hash,
            "mlplat.holdout": prepared.holdout_hash,
            "mlplat.window": prepared.window_hash,
            "mlplat.format": trained.served.format,
            "mlplat.format_reason": trained.served.reason,
            **learned,
        },
        report=report,
    )
