from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from mlplat.runtime import metrics
from mlplat.runtime.gate.comparison import gain_of
from mlplat.runtime.gate.looks import MOST_OF_ROWS, SEED
from mlplat.runtime.gate.rule import Rule
from mlplat.runtime.gate.slices import VALUES, Compared, Slice, _chance, _shared, rule, too_few
from mlplat.runtime.metrics import Floats, Integers, Interval, Resamples

DAYS, PER_DAY = 28, 120
BLOCKS: Integers = np.repeat(np.arange(DAYS), PER_DAY)
NAMES = [f"carrier {number}" for number in range(10)]


def drawn(seed: int, noise: float = 0.2) -> tuple[pd.DataFrame, Floats, Floats, Floats]:
    source = np.random.default_rng(seed)
    rows = len(BLOCKS)
    signal = source.normal(0, 1.2, rows)
    labels = (source.random(rows) < 1 / (1 + np.exp(1 - signal))).astype(np.float64)
    columns = pd.DataFrame({"carrier": source.choice(NAMES, rows)})
    return columns, labels, *(signal + source.normal(0, noise, rows) for _ in range(2))  # type: ignore[return-value]


def slices(
    columns: pd.DataFrame, labels: Floats, scores: Floats, champion: Floats | None, fewest: int = 100
) -> list[Slice]:
    return Compared("binary", 0.01, 0.95, fewest).slices(columns, labels, BLOCKS, scores, champion)


def test_a_slice_on_which_a_model_guesses_is_found_among_ten_and_no_other() -> None:
    columns, labels, ours, theirs = drawn(0)
    lost = (columns["carrier"] == "carrier 3").to_numpy()
    ours = np.where(lost, np.random.default_rng(1).normal(0, 1, len(ours)), ours)
    found = slices(columns, labels, ours, theirs)
    (refused,) = rule(found, confidence=0.95, margin=0.01)
    assert not refused.passed
    assert refused.measured == "1 of 10"
    assert "the clearest is carrier carrier 3" in refused.detail
    assert [each.value for each in found if (each.chance or 0) < 0.05] == ["carrier 3"]


def test_equal_models_have_slices_that_look_worse_and_are_rarely_refused_for_one() -> None:
    """Twelve pairs of equal models with ten slices each."""
    refused = lower = 0
    for seed in range(12):
        found = slices(*drawn(seed, noise=0.4))
        lower += any(each.gain is not None and each.gain.value < -0.02 for each in found)
        refused += not all(each.passed for each in rule(found, confidence=0.95, margin=0.01))
    assert lower >= 8
    assert refused <= 1


def test_chances_are_shared_by_holms_rule() -> None:
    found = [Slice("c", str(place), 1, chance=chance) for place, chance in enumerate([0.03, 0.01, 0.5, 0.02])]
    assert [each.chance for each in _shared([*found, Slice("c", "small", 1, "few")])] == [
        pytest.approx(0.06),
        pytest.approx(0.04),
        pytest.approx(0.5),
        pytest.approx(0.06),
        None,
    ]


def test_a_shared_chance_is_one_at_most() -> None:
    found = [Slice("c", str(place), 1, chance=chance) for place, chance in enumerate([0.75, 0.8])]
    assert [each.chance for each in _shared(found)] == [1.0, 1.0]


def test_small_slices_are_listed_with_the_reason_and_judge_nothing() -> None:
    columns, labels, ours, theirs = drawn(2)
    columns.loc[:30, "carrier"] = "rare"
    columns.loc[BLOCKS < 5, "carrier"] = "new"
    found = {each.value: each for each in slices(columns, labels, -ours, theirs)}
    days = int((BLOCKS < 5).sum())
    assert found["new"] == Slice("carrier", "new", days, "5 days or groups, and 10 are needed")
    assert found["carrier 1"].left_out == ""
    assert {each.value for each in found.values() if each.chance is None} == {"new"}


def test_a_slice_with_hardly_any_of_one_class_judges_nothing() -> None:
    columns, labels, ours, theirs = drawn(2)
    few = (columns["carrier"] == "carrier 1").to_numpy()
    found = {each.value: each for each in slices(columns, np.where(few, 0.0, labels), ours, theirs)}
    assert found["carrier 1"].left_out == "0 rows of the rarer class, and 20 are needed"


def test_the_most_common_values_are_looked_at() -> None:
    columns, labels, ours, theirs = drawn(2)
    named = columns.assign(carrier=[f"c {place % (VALUES + 5)}" for place in range(len(columns))])
    assert len(slices(named, labels, ours, theirs, fewest=1)) == VALUES


def test_without_a_champion_slices_are_a_report_only() -> None:
    columns, labels, ours, _ = drawn(3)
    found = slices(columns, labels, ours, None)
    assert len(found) == 10
    for each in found:
        assert each.score is not None
        rows = int((columns["carrier"] == each.value).sum())
        assert each == Slice("carrier", each.value, rows, "", each.score)
    assert list(rule(found, confidence=0.95, margin=0.01)) == []
    assert found[0].described()["score"]["low"] > 0.5


def test_a_regression_is_compared_by_its_error() -> None:
    source = np.random.default_rng(0)
    truth = source.normal(0, 1, len(BLOCKS))
    columns = pd.DataFrame({"size": source.normal(0, 1, len(BLOCKS))})
    worst = (columns["size"] > columns["size"].quantile(0.75)).to_numpy()
    labels = truth + source.normal(0, 0.5, len(truth))
    ours = truth + worst * source.normal(0, 0.5, len(truth))
    found = Compared("regression", 0.01, 0.95, 100).slices(columns, labels, BLOCKS, ours, truth)
    assert len(found) == 4, "a number's many values are its quarters"
    assert sum((each.chance or 0) < 0.05 for each in found) == 1
    assert all(each.score is not None and 0.4 < each.score.value < 0.8 for each in found), "roots of mean squares"


@pytest.mark.parametrize(
    ("task", "positive", "rows", "days", "why"),
    [
        ("binary", 20, 100, 10, ""),
        ("binary", 80, 100, 10, ""),
        ("binary", 19, 100, 10, "19 rows of the rarer class, and 20 are needed"),
        ("binary", 81, 100, 10, "19 rows of the rarer class, and 20 are needed"),
        ("binary", 50, 99, 10, "99 rows, and 100 are needed"),
        ("binary", 50, 100, 9, "9 days or groups, and 10 are needed"),
        ("regression", 0, 100, 10, ""),
        ("regression", 0, 99, 10, "99 rows, and 100 are needed"),
    ],
)
def test_what_is_too_little_says_so(task: str, positive: int, rows: int, days: int, why: str) -> None:
    labels = (np.arange(rows) < positive).astype(np.float64)
    assert too_few(task, labels, np.arange(rows) % days, 100) == why


def test_a_chance_is_the_share_of_resamples_that_lose_no_more_with_students_tail() -> None:
    from scipy import stats

    lost = np.array([-0.02] * 97 + [-0.01, 0.03, np.nan, np.inf])
    # Of 99 that are defined two lie at the margin or above it, and one more is counted for the rows themselves.
    assert _chance(lost, 10**9, 0.01) == pytest.approx(0.03, abs=1e-6)
    assert _chance(lost, 10, 0.01) == pytest.approx(stats.t.cdf(stats.norm.ppf(0.03) * 0.9**0.5, 9))
    assert _chance(np.zeros(99), 10, 0.01) == 1


def test_a_slice_is_compared_on_its_own_rows_and_days() -> None:
    columns, labels, ours, theirs = drawn(4)
    inside = ((columns["carrier"] == "carrier 1") & (BLOCKS % 2 == 1)).to_numpy()
    columns["carrier"] = np.where(inside, "some", "others")
    ours = ours + np.random.default_rng(1).normal(0, 0.7, len(ours))
    found = {each.value: each for each in slices(columns, labels, ours, theirs)}["some"]
    mine, own, champion = labels[inside], ours[inside], theirs[inside]
    # Every other day, numbered without gaps.
    resamples = Resamples(BLOCKS[inside] // 2, MOST_OF_ROWS, SEED)
    assert found.score == metrics.interval(metrics.auc(mine, own), resamples, 0.95)
    gained = gain_of("binary", mine, own, champion)
    assert found.gain == metrics.interval(gained, resamples, 0.95)
    chance = _chance(metrics.draw(gained, resamples), 14, 0.01)
    assert 0 < chance < 0.5
    assert found.chance == chance, "the other slice's is lower, and has its share of the level first"
    assert found.described() == {
        "column": "carrier",
        "value": "some",
        "rows": int(inside.sum()),
        "left_out": "",
        "score": found.score.described(),
        "gain": found.gain.described(),
        "chance": round(chance, 6),
    }
    assert Slice("c", "few", 1, "too few").described() == {
        "column": "c", "value": "few", "rows": 1, "left_out": "too few", "score": None, "gain": None, "chance": None,
    }  # fmt: skip


def judged(value: str, chance: float, gain: float) -> Slice:
    return Slice("carrier", value, 300, gain=Interval(gain, gain - 0.01, gain + 0.01), chance=chance)


def test_a_slice_at_the_level_is_not_shown_to_be_worse_and_the_clearest_is_named() -> None:
    at_it = [judged("AA", 0.25, -0.02), judged("B6", 0.25, -0.03), judged("UA", 1.0, -0.5)]
    assert list(rule([*at_it, judged("DL", 0.25, -0.03)], confidence=0.75, margin=0.01)), "two are as clear"
    (passed,) = rule(at_it, confidence=0.75, margin=0.01)
    assert passed == Rule(
        "no_slice_is_worse",
        True,
        "none loses more than 0.01",
        "0 of 3",
        "0 of 3 slices are shown to lose more than 0.01, at one level for all; the clearest is carrier B6 with "
        "-0.030 [-0.040, -0.020] on 300 rows",
    )
    (refused,) = rule([*at_it, judged("WN", 0.0, -0.01)], confidence=0.75, margin=0.01)
    assert (refused.passed, refused.measured) == (False, "1 of 4")
    assert "the clearest is carrier WN" in refused.detail
