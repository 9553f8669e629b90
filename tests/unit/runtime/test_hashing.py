from __future__ import annotations

import numpy as np
import pandas as pd

from mlplat.runtime.hashing import hash_rows


def test_a_hash_is_of_names_values_and_order_and_of_nothing_else() -> None:
    frame = pd.DataFrame({"a": [1.0, np.nan], "b": ["x", None]})
    found = hash_rows(frame)
    assert found == "sha256:06bf0d95c5841a821cd32e6fcf35b1b614c1d09dd9cec024301a3539f9e42426"
    assert hash_rows(frame.set_axis([5, 9])) == found
    assert hash_rows(frame.astype({"b": object})) == found
    for other in (frame.iloc[::-1], frame[["b", "a"]], frame.rename(columns={"a": "c"}), frame.fillna({"a": 2.0})):
        assert hash_rows(other) != found


def test_rows_whose_order_says_nothing_have_one_hash() -> None:
    frame = pd.DataFrame({"a": [1, 2, 2], "b": ["x", None, "y"]})
    assert hash_rows(frame.iloc[::-1], ordered=False) == hash_rows(frame, ordered=False)
    assert hash_rows(frame.iloc[:2], ordered=False) != hash_rows(frame, ordered=False)
