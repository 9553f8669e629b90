"""The verdict over a challenger: every rule, on exactly the rows that judge."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mlplat.runtime import metrics
from mlplat.runtime.gate import comparison, coverage, floors, groups, slices
from mlplat.runtime.gate.comparison import Comparison, Seeds
from mlplat.runtime.gate.looks import SEED, Look
from mlplat.runtime.gate.rule import Rule
from mlplat.runtime.gate.slices import Compared, Slice
from mlplat.runtime.metrics import MIN_BLOCKS, MIN_CLASS, Floats, Integers, Interval, Resamples
from mlplat.runtime.onnx_export import Choice
from mlplat.spec.gate import GateSpec
from mlplat.spec.project import ProjectSpec

HALF = 0.5


@dataclass(frozen=True)
class Holdout:
    """The rows that judge: labels (n) as floats and the block (n) each is resampled with."""

    labels: Floats
    blocks: Integers
    prior: Floats | float
    """What the rows that were learned from say without knowing a row (n, or one for all): see `floors.climatology`."""
    columns: pd.DataFrame = field(default_factory=pd.DataFrame)
    """Those by which slices and groups are told apart (n × columns)."""


@dataclass(frozen=True)
class Verdict:
    """What the gate says of a challenger."""

    passed: bool
    rules: tuple[Rule, ...]
    metrics: dict[str, Any]
    """The challenger's measures with intervals."""
    champion_metrics: dict[str, Any] | None
    """The champion's, on the same rows."""
    comparison: Comparison | None = None
    slices: tuple[Slice, ...] = ()
    groups: groups.Table = field(default_factory=list)

    def described(self) -> dict[str, Any]:
        """Return it as JSON."""
        return {
            "passed": self.passed,
            "rules": [asdict(rule) for rule in self.rules],
            "metrics": self.metrics,
            "champion_metrics": self.champion_metrics,
            "comparison": self.comparison.described() if self.comparison else None,
            "slices": [each.described() for each in self.slices],
            "groups": self.groups,
        }

    def with_rules(self, *rules: Rule) -> Verdict:
        """Return it with further rules."""
        return replace(self, passed=self.passed and all(rule.passed for rule in rules), rules=(*self.rules, *rules))


def judge(
    spec: ProjectSpec,
    holdout: Holdout,
    scores: Floats,
    champion: Floats | None,
    *,
    look: int = 1,
    threshold: float | None = None,
    abstained: NDArray[np.bool_] | None = None,
    seeds: Seeds | None = None,
) -> Verdict:
    """Judge a challenger's scores (n) on a hold-out, against the champion's (n) where there is one.

    `look` says the how-manyth model this is that these rows judge, `threshold` from which probability it calls a row
    positive, `abstained` which rows (n) it leaves to a person, `seeds` how far seeds alone move it.
    """
    gate, task, labels = spec.gate, spec.task, holdout.labels
    if small := _too_small(gate, holdout, task):
        return Verdict(False, small, {}, None)
    at = Look(look, gate.confidence)
    resamples = at.resamples(holdout.blocks, gate.resamples)
    prior = np.broadcast_to(holdout.prior, labels.shape)
    rules = [*floors.floors(task, gate, labels, prior, scores, resamples, at.needed)]
    left = np.full(len(labels), False) if abstained is None else abstained
    rules += coverage.rules(gate.min_coverage, left, resamples, at.needed)
    compared = None
    if champion is not None:
        compared = comparison.no_worse(
            task, labels, scores, champion, resamples, confidence=at.needed, margin=gate.margin, seeds=seeds
        )
        rules.append(compared.rule)
    parts = Compared(task, gate.margin, gate.confidence, gate.min_slice_rows).slices(
        holdout.columns[list(gate.slices)], labels, holdout.blocks, scores, champion
    )
    plain = Resamples(holdout.blocks, gate.resamples, SEED)
    called = (scores >= (HALF if threshold is None else threshold)).astype(float)
    table = groups.table(task, gate, holdout.columns[list(gate.groups)], labels, scores, called, plain)
    rules += slices.rule(parts, confidence=gate.confidence, margin=gate.margin)
    if task == "binary":
        rules += groups.rules(table, gate.group_limits)
    return Verdict(
        all(rule.passed for rule in rules),
        tuple(rules),
        _described(metrics.intervals(task, labels, scores, plain, gate.confidence)),
        None if champion is None else _described(metrics.intervals(task, labels, champion, plain, gate.confidence)),
        compared,
        tuple(parts),
        table,
    )


def format_rule(spec: ProjectSpec, served: Choice) -> tuple[Rule, ...]:
    """Return the rule that a project which asks for ONNX is served as ONNX; none for one that leaves it open."""
    if spec.serving.format != "onnx":
        return ()
    return (Rule("served_as_onnx", served.format == "onnx", "onnx", served.format, served.reason),)


def _described(measured: dict[str, Interval]) -> dict[str, Any]:
    return {name: each.described() for name, each in measured.items()}


def _too_small(gate: GateSpec, holdout: Holdout, task: str) -> tuple[Rule, ...]:
    rows, different = len(holdout.labels), np.unique(holdout.labels, return_counts=True)[1]
    needed = [
        ("enough_rows", rows, gate.min_rows, "rows"),
        ("enough_blocks", len(np.unique(holdout.blocks)), MIN_BLOCKS, "days or groups"),
        ("enough_values", len(different), 2, "different labels"),
    ]
    if task == "binary":
        needed.append(("enough_of_each_class", int(different.min()), MIN_CLASS, "rows of the rarer class"))
    return tuple(
        Rule(
            name,
            False,
            f"at least {wanted} {what}",
            f"{found} {what}",
            f"the hold-out is too small to judge: {found} {what}, and {wanted} are needed",
        )
        for name, found, wanted, what in needed
        if found < wanted
    )
