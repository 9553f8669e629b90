"""The table of fairness: how each named group fares, beside all other rows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mlplat.runtime import metrics
from mlplat.runtime.explanations import values_of
from mlplat.runtime.gate.rule import Rule
from mlplat.runtime.gate.slices import VALUES, too_few
from mlplat.runtime.metrics import MIN_CLASS, Floats, Interval, Ratio, Resamples
from mlplat.spec.gate import GateSpec, GroupLimits

Table = list[dict[str, Any]]


def rates(task: str, labels: Floats, scores: Floats, called: Floats, inside: NDArray[np.bool_]) -> dict[str, Ratio]:
    """Return the measures of the rows inside a group, by name; `called` (n) is 1 where a row is called positive."""
    one = inside.astype(np.float64)
    if task == "regression":
        return {"mean_target": Ratio(labels * one, one), "mean_error": Ratio((scores - labels) * one, one)}
    return {
        "base_rate": Ratio(labels * one, one),
        "selection_rate": Ratio(called * one, one),
        "true_positive_rate": Ratio(called * labels * one, labels * one),
        "false_positive_rate": Ratio(called * (1 - labels) * one, (1 - labels) * one),
        "calibration_gap": Ratio((scores - labels) * one, one),
    }


def table(
    task: str, gate: GateSpec, columns: pd.DataFrame, labels: Floats, scores: Floats, called: Floats, all_: Resamples
) -> Table:
    """Return one entry a group of each column (n × columns): its rates, and how far each is from all other rows'.

    Intervals of the differences are shared among a column's groups (Bonferroni). A group that is too small is listed
    with its rows alone.
    """
    found: Table = []
    for name in columns:
        values = list(values_of(columns[name], VALUES))
        for value, inside in values:
            entry: dict[str, Any] = {"column": str(name), "value": value, "rows": int(inside.sum())}
            why = too_few("regression", labels[inside], all_.blocks[inside], gate.min_slice_rows)
            confidence = 1 - (1 - gate.confidence) / len(values)
            measured = {} if why else _entry(task, labels, scores, called, inside, all_, gate.confidence, confidence)
            found.append({**entry, "left_out": why, "rates": measured})
    return found


def _entry(
    task: str,
    labels: Floats,
    scores: Floats,
    called: Floats,
    inside: NDArray[np.bool_],
    resamples: Resamples,
    confidence: float,
    shared: float,
) -> dict[str, Any]:
    ours, others = (rates(task, labels, scores, called, rows) for rows in (inside, ~inside))
    entry: dict[str, dict[str, Any]] = {}
    for name, measure in ours.items():
        if measure.below.sum() < MIN_CLASS:
            continue
        entry[name] = {**metrics.interval(measure, resamples, confidence).described()}
        if others[name].below.sum() >= MIN_CLASS:
            apart = metrics.interval(metrics.difference(measure, others[name]), resamples, shared)
            entry[name]["apart"] = apart.described()
    return entry


def rules(found: Table, limits: GroupLimits) -> Iterator[Rule]:
    """Yield a rule for each limit that is set: no group is shown to be further from all others than that."""
    for name, limit in limits.model_dump().items():
        if limit is None:
            continue
        apart = [
            (f"{entry['column']} {entry['value']}", Interval(**entry["rates"][name]["apart"]))
            for entry in found
            if "apart" in entry["rates"].get(name, {})
        ]
        if not apart:
            yield Rule(
                f"groups_{name}", False, f"at most {limit:g} apart", "nothing", "no group has enough rows to judge"
            )
            continue
        who, worst = max(apart, key=lambda each: max(each[1].low, -each[1].high))
        passed = max(worst.low, -worst.high) <= limit
        detail = f"{who} is {worst} from all other rows in {name.replace('_', ' ')}; {limit:g} is allowed"
        yield Rule(f"groups_{name}", passed, f"at most {limit:g} apart", str(worst), detail)
