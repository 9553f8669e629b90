from __future__ import annotations

import numpy as np
import pandas as pd

from mlplat.runtime.gate import adversarial


def rows(seed: int, mean: float = 0.0) -> pd.DataFrame:
    source = np.random.default_rng(seed)
    temp = np.where(source.random(1500) < 0.1, np.nan, source.normal(mean, 1, 1500))
    return pd.DataFrame(
        {
            "temp": temp,
            "place": pd.Series(source.choice(["a", "b", "c"], 1500)).replace({"c": None}),
            "late": source.random(1500) < 0.5,
        }
    )


def test_rows_of_one_kind_are_not_told_apart_and_other_weather_is() -> None:
    assert 0.45 < adversarial.told_apart(rows(0), rows(1))["auc"] < 0.55
    assert adversarial.told_apart(rows(0), rows(1, mean=4.0))["auc"] > 0.9


def test_few_rows_of_many_are_looked_at() -> None:
    many = pd.concat([rows(0)] * 3)
    assert adversarial.told_apart(many, rows(1))["rows"] == adversarial.ROWS + 1500
