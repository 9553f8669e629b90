from __future__ import annotations

from typing import Any

import pytest

from mlplat.errors import SpecError
from mlplat.spec.project import ProjectSpec, TrainingSpec, override
from mlplat.spec.search import SearchSpec

PLAIN = ProjectSpec.model_validate_json(
    '{"project": "p", "model": "m", "task": "binary", "data": {"source": "x.csv", "target": "y"}}'
)


def test_nothing_is_searched_and_no_fold_is_made_by_default() -> None:
    assert (PLAIN.search.trials, PLAIN.search.seeds, PLAIN.search.folds_wanted) == (0, 0, 0)
    assert SearchSpec(folds=7).folds_wanted == 7
    assert SearchSpec(seeds=2).folds_wanted == SearchSpec(trials=1).folds_wanted == 4


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"search.seeds": 1}, "one seed has no spread"),
        ({"search.families": ["linear", "linear"]}, "one is given twice"),
        ({"search.folds": 1}, "search.folds"),
        ({"search.space": {"leaves": {"low": 4}}}, "give `low` and `high`, or `choices`"),
        ({"search.space": {"leaves": {"low": 9, "high": 4}}}, "must not be above `high`"),
        ({"search.space": {"penalty": {"low": 0, "high": 4, "log": True}}}, "above 0 with `log`"),
        ({"search.space": {"leaves": {"choices": [3], "low": 1, "high": 2}}}, "`choices` stands alone"),
        ({"search.space": {"leaves": {"low": 1, "high": 8}}}, "`training.leaves` cannot be 1"),
        ({"search.space": {"depth": {"low": 1, "high": 8}}}, "`training.depth` cannot be 1"),
        ({"search.space": {"preprocessing.encode": {"choices": ["hash"]}}}, 'cannot be "hash"'),
        ({"search.space": {"family": {"choices": ["linear"]}}}, "`search` has `families` and `seeds`"),
        ({"training.preprocessing.winsorize": {"low": 0.9, "high": 0.1}}, "`low` must be below `high`"),
    ],
)
def test_a_search_that_cannot_be_is_refused_before_it_begins(values: dict[str, Any], said: str) -> None:
    with pytest.raises(SpecError) as caught:
        override(PLAIN, values)
    assert said in caught.value.message


def test_settings_are_changed_by_dotted_keys_and_the_others_stay() -> None:
    before = TrainingSpec(trees=7)
    after = before.changed({"leaves": 4, "preprocessing.encode": "target"})
    assert (after.leaves, after.preprocessing.encode, after.trees) == (4, "target", 7)
    assert before.leaves == 15
    with pytest.raises(ValueError, match="max_features"):
        before.changed({"max_features": 2.0})
