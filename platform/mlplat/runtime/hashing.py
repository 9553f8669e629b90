"""The content hash of rows: what a training set, a hold-out and a slice of a table are known by."""

from __future__ import annotations

import hashlib
import json

import numpy as np
import pandas as pd


def hash_rows(frame: pd.DataFrame, *, ordered: bool = True) -> str:
    """Return `sha256:…` over names and values of rows (n × columns), and over their order unless it says nothing."""
    total = hashlib.sha256(json.dumps([str(name) for name in frame.columns]).encode())
    rows = pd.util.hash_pandas_object(frame, index=False).to_numpy()
    total.update((rows if ordered else np.sort(rows)).tobytes())
    return f"sha256:{total.hexdigest()}"
