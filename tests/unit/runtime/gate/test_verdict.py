"""The verdict is that of its parts, each on the same rows and at the level that is its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mlplat.runtime import gate, metrics
from mlplat.runtime.gate import Holdout, Look, Rule, Seeds, comparison, coverage, floors, groups, slices
from mlplat.runtime.gate.looks import SEED
from mlplat.runtime.gate.slices import Compared
from mlplat.runtime.metrics import Floats, Resamples
from mlplat.runtime.onnx_export import Choice
from mlplat.spec.project import ProjectSpec

MakeSpec = Callable[..., ProjectSpec]
DAYS, PER_DAY = 20, 60
SEEDS = Seeds(0.01, 5)


@pytest.fixture(scope="module")
def spec(make_spec: MakeSpec) -> ProjectSpec:
    """Return settings that differ from the defaults, so that a part that was not told of them says otherwise."""
    return make_spec(
        gate__resamples=120,
        gate__confidence=0.8,
        gate__margin=0.02,
        gate__min_coverage=0.6,
        gate__min_slice_rows=90,
        gate__slices=["carrier"],
        gate__groups=["origin"],
        gate__group_limits__selection_rate=0.05,
    )


@pytest.fixture(scope="module")
def rows() -> tuple[Holdout, Floats, Floats]:
    """Return rows that judge, and what a challenger and the champion say of them."""
    source = np.random.default_rng(0)
    number = DAYS * PER_DAY
    signal = source.normal(0, 1.2, number)
    labels = (source.random(number) < 1 / (1 + np.exp(1 - signal))).astype(np.float64)
    columns = pd.DataFrame({"carrier": source.choice(list("ABC"), number), "origin": source.choice(list("xy"), number)})
    holdout = Holdout(labels, np.repeat(np.arange(DAYS), PER_DAY), source.uniform(0.2, 0.4, number), columns)
    ours, theirs = (np.round(1 / (1 + np.exp(1 - signal + source.normal(0, 0.3, number))), 2) for _ in range(2))
    return holdout, ours, theirs


def expected(
    spec: ProjectSpec,
    holdout: Holdout,
    ours: Floats,
    theirs: Floats | None,
    called: Any,
    left: Any,
    look: int,
    seeds: Any,
) -> dict[str, Any]:
    asked, labels, at = spec.gate, holdout.labels, Look(look, spec.gate.confidence)
    resamples, plain = at.resamples(holdout.blocks, 120), Resamples(holdout.blocks, 120, SEED)
    prior = np.broadcast_to(holdout.prior, labels.shape)
    rules = [*floors.floors(spec.task, asked, labels, prior, ours, resamples, at.needed)]
    rules += coverage.rules(asked.min_coverage, left, resamples, at.needed)
    compared = None
    if theirs is not None:
        compared = comparison.no_worse(
            spec.task, labels, ours, theirs, resamples, confidence=at.needed, margin=0.02, seeds=seeds
        )
        rules.append(compared.rule)
    parts = Compared(spec.task, 0.02, 0.8, 90).slices(
        holdout.columns[["carrier"]], labels, holdout.blocks, ours, theirs
    )
    table = groups.table(spec.task, asked, holdout.columns[["origin"]], labels, ours, called, plain)
    rules += [*slices.rule(parts, confidence=0.8, margin=0.02), *groups.rules(table, asked.group_limits)]

    def told(scores: Floats) -> dict[str, Any]:
        return {
            name: each.described() for name, each in metrics.intervals(spec.task, labels, scores, plain, 0.8).items()
        }

    return {
        "passed": all(rule.passed for rule in rules),
        "rules": [vars(rule) for rule in rules],
        "metrics": told(ours),
        "champion_metrics": None if theirs is None else told(theirs),
        "comparison": compared.described() if compared else None,
        "slices": [each.described() for each in parts],
        "groups": table,
    }


def test_against_a_champion(spec: ProjectSpec, rows: tuple[Holdout, Floats, Floats]) -> None:
    holdout, ours, theirs = rows
    left = np.abs(ours - 0.4) < 0.05
    found = gate.judge(spec, holdout, ours, theirs, look=3, threshold=0.4, abstained=left, seeds=SEEDS)
    called = (ours >= 0.4).astype(np.float64)
    assert (ours == 0.4).any(), "from the threshold on a row is called positive"
    assert found.described() == expected(spec, holdout, ours, theirs, called, left, 3, SEEDS)
    assert {"coverage_floor", "no_slice_is_worse", "groups_selection_rate"} < {rule.name for rule in found.rules}


def test_a_first_model_labels_every_row_from_one_half_on_and_has_the_first_look(
    spec: ProjectSpec, rows: tuple[Holdout, Floats, Floats]
) -> None:
    holdout, ours, _ = rows
    found = gate.judge(spec, holdout, ours, None)
    called = (ours >= 0.5).astype(np.float64)
    assert found.described() == expected(spec, holdout, ours, None, called, np.zeros(len(ours), bool), 1, None)
    assert found.comparison is None


def test_a_refused_group_refuses_the_model(make_spec: MakeSpec, rows: tuple[Holdout, Floats, Floats]) -> None:
    holdout, ours, _ = rows
    apart = holdout.columns.assign(origin=np.where(ours > 0.3, "x", "y"))
    settings = {"gate__resamples": 120, "gate__groups": ["origin"], "gate__group_limits__selection_rate": 0.05}
    found = gate.judge(make_spec(**settings), Holdout(holdout.labels, holdout.blocks, 0.3, apart), ours, None)
    assert [rule.name for rule in found.rules if not rule.passed] == ["groups_selection_rate"]
    assert not found.passed


def test_groups_of_a_regression_are_told_apart_by_its_error(
    make_spec: MakeSpec, rows: tuple[Holdout, Floats, Floats]
) -> None:
    holdout, ours, _ = rows
    asked = make_spec(task="regression", gate__resamples=120, gate__groups=["origin"])
    found = gate.judge(asked, Holdout(ours + holdout.labels, holdout.blocks, 0.5, holdout.columns), ours, None)
    assert [set(each["rates"]) for each in found.groups] == [{"mean_target", "mean_error"}] * 2


@pytest.mark.parametrize(("before", "after"), [(True, True), (True, False), (False, True)])
def test_further_rules_come_last_and_cannot_mend_a_verdict(*, before: bool, after: bool) -> None:
    first, more = Rule("first", before, "", "", ""), Rule("more", after, "", "", "")
    found = gate.Verdict(before, (first,), {"auc": {}}, None).with_rules(more)
    assert found == gate.Verdict(before and after, (first, more), {"auc": {}}, None)


def test_a_project_that_asks_for_onnx_is_held_to_it(make_spec: MakeSpec) -> None:
    asked = make_spec(serving__format="onnx")
    (passed,) = gate.format_rule(asked, Choice("onnx", "alike"))
    (refused,) = gate.format_rule(asked, Choice("skops", "not alike"))
    assert passed == Rule("served_as_onnx", True, "onnx", "onnx", "alike")
    assert refused == Rule("served_as_onnx", False, "onnx", "skops", "not alike")
    assert gate.format_rule(make_spec(), Choice("skops", "")) == ()


def test_too_few_rows_say_how_many_there_are_and_have_to_be(spec: ProjectSpec) -> None:
    labels = np.tile([0.0, 1.0], 50)
    found = gate.judge(spec, Holdout(labels, np.arange(100) % 20, 0.5), labels, None)
    why = "the hold-out is too small to judge: 100 rows, and 200 are needed"
    assert found == gate.Verdict(False, (Rule("enough_rows", False, "at least 200 rows", "100 rows", why),), {}, None)
