"""The gate: what a model must show before it may be registered.

A challenger is judged on rows that neither it nor the champion has learned from; both are scored on exactly those rows,
by the code that will serve them. Rules of quality compare intervals with limits, not single numbers: equal models never
score equally. The gap of calibration is the one number, since it moves with the base rate of the season.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from mlplat.runtime import metrics
from mlplat.runtime.metrics import MIN_BLOCKS, MIN_CLASS, Floats, Integers, Interval, Resamples, interval
from mlplat.runtime.onnx_export import Choice
from mlplat.spec.project import GateSpec, ProjectSpec

SEED = 20130401
"""Fixed, so that the same rows and models always get the same verdict."""


@dataclass(frozen=True)
class Holdout:
    """The rows that judge: labels (n) as floats and the block (n) each is resampled with."""

    labels: Floats
    blocks: Integers
    prior: float
    """Mean of the label in the rows that were learned from: what one would say knowing nothing of a row."""


@dataclass(frozen=True)
class Rule:
    """One rule's verdict."""

    name: str
    passed: bool
    required: str
    measured: str
    detail: str
    """One sentence: what it means, and by how much it passed or failed."""


@dataclass(frozen=True)
class Verdict:
    """What the gate says of a challenger."""

    passed: bool
    rules: tuple[Rule, ...]
    metrics: dict[str, Any]
    """The challenger's measures with intervals."""
    champion_metrics: dict[str, Any] | None
    """The champion's, on the same rows."""

    def described(self) -> dict[str, Any]:
        """Return it as JSON."""
        return asdict(self) | {"rules": [asdict(rule) for rule in self.rules]}

    def with_rule(self, rule: Rule | None) -> Verdict:
        """Return it with one more rule, if there is one."""
        return self if rule is None else replace(self, passed=self.passed and rule.passed, rules=(*self.rules, rule))


def judge(spec: ProjectSpec, holdout: Holdout, scores: Floats, champion: Floats | None) -> Verdict:
    """Judge a challenger's scores (n) on a hold-out, against the champion's (n) where there is one."""
    gate = spec.gate
    if small := _too_small(gate, holdout, spec.task):
        return Verdict(False, small, {}, None)
    resamples = Resamples(holdout.blocks, gate.resamples, SEED)
    ours = metrics.intervals(spec.task, holdout.labels, scores, resamples, gate.confidence)
    rules = [*_floors(spec, holdout, scores, resamples, ours)]
    if champion is not None:
        rules.append(_no_worse(spec, holdout, scores, champion, resamples))
    return Verdict(
        all(rule.passed for rule in rules),
        tuple(rules),
        _described(ours),
        None
        if champion is None
        else _described(metrics.intervals(spec.task, holdout.labels, champion, resamples, gate.confidence)),
    )


def format_rule(spec: ProjectSpec, served: Choice) -> Rule | None:
    """Return the rule that a project which asks for ONNX is served as ONNX; None for one that leaves it open."""
    if spec.serving.format != "onnx":
        return None
    return Rule("served_as_onnx", served.format == "onnx", "onnx", served.format, served.reason)


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


def _floors(
    spec: ProjectSpec, holdout: Holdout, scores: Floats, resamples: Resamples, measured: dict[str, Interval]
) -> Iterator[Rule]:
    found = metrics.measures(spec.task, holdout.labels, scores)
    gate = spec.gate
    if spec.task == "regression":
        yield _above("r2_floor", measured["r2"], gate.min_r2, "variance explained")
        prior = metrics.rmse(holdout.labels, np.full_like(scores, holdout.prior))
        gain = interval(metrics.difference(prior, found["rmse"]), resamples, gate.confidence)
        yield _above("better_than_mean", gain, 0.0, "less error than always saying the training rows' mean")
        return
    yield _above("auc_floor", measured["auc"], gate.min_auc, "area under the ROC curve")
    base = metrics.mean_of(holdout.labels)
    gain = interval(metrics.difference(found["average_precision"], base), resamples, gate.confidence)
    yield _above(
        "better_than_prior", gain, 0.0, "average precision above the share of positives, which guessing reaches"
    )
    yield _calibrated(measured["calibration_gap"], gate)


def _above(name: str, measured: Interval, limit: float, what: str) -> Rule:
    passed = measured.low > limit
    by = abs(measured.low - limit)
    detail = f"{what}: the interval's lower end is {'above' if passed else 'not above'} {limit:g} ({by:.4f} apart)"
    return Rule(name, passed, f"lower end above {limit:g}", str(measured), detail)


def _calibrated(gap: Interval, gate: GateSpec) -> Rule:
    passed = abs(gap.value) <= gate.max_calibration_gap
    detail = (
        f"mean probability is {gap.value:+.4f} from the share of positives; {gate.max_calibration_gap:g} is allowed"
    )
    return Rule("calibration_in_the_large", passed, f"at most {gate.max_calibration_gap:g} apart", str(gap), detail)


def _no_worse(spec: ProjectSpec, holdout: Holdout, scores: Floats, champion: Floats, resamples: Resamples) -> Rule:
    """Non-inferiority: the interval of the paired difference lies above minus the margin."""
    gate = spec.gate
    measure = metrics.auc if spec.task == "binary" else metrics.rmse
    ours, theirs = measure(holdout.labels, scores), measure(holdout.labels, champion)
    if spec.task == "binary":
        gain, what = interval(metrics.difference(ours, theirs), resamples, gate.confidence), "area under the ROC curve"
    else:
        # Relative to the champion's error, so that the margin does not depend on the target's unit.
        gain = interval(metrics.relative_gain(ours, theirs), resamples, gate.confidence)
        what = "share of the champion's error that is gone"
    passed = gain.low > -gate.margin
    detail = f"{what} against the champion on the same rows: {gain}; {gain.low + gate.margin:+.4f} above the limit"
    return Rule("no_worse_than_champion", passed, f"lower end above -{gate.margin:g}", str(gain), detail)
