"""Arrow arrays from numpy's, buffer by buffer.

`pyarrow.array` does the same, and imports pandas to ask whether it was given a Series: 40 MB for nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray


def numbers(values: NDArray[Any], kind: Any) -> Any:
    """Make an array of a type of fixed width from values of exactly that; none of them is null."""
    return pa.Array.from_buffers(kind, len(values), [None, pa.py_buffer(np.ascontiguousarray(values))], null_count=0)


def nullable(values: NDArray[np.float64], kind: Any) -> Any:
    """Make an array of doubles, whole numbers or truth values from float64, in which NaN is null."""
    missing = np.isnan(values)
    if pa.types.is_boolean(kind):
        return _packed(np.where(missing, 0.0, values) != 0, missing)
    typed = values if pa.types.is_floating(kind) else np.where(missing, 0.0, values).astype(np.int64)
    buffers = [_validity(missing), pa.py_buffer(np.ascontiguousarray(typed))]
    return pa.Array.from_buffers(kind, len(values), buffers, null_count=int(missing.sum()))


def truths(values: NDArray[np.bool_]) -> Any:
    """Make an array of truth values."""
    return _packed(values, np.zeros(len(values), dtype=np.bool_))


def texts(values: Sequence[str | None]) -> Any:
    """Make an array of strings; None is null. Raises `UnicodeEncodeError` for half a surrogate pair."""
    encoded = [b"" if value is None else value.encode() for value in values]
    ends = np.cumsum([0, *map(len, encoded)], dtype=np.int64)
    missing = np.array([value is None for value in values], dtype=np.bool_)
    buffers = [_validity(missing), pa.py_buffer(ends), pa.py_buffer(b"".join(encoded))]
    large = pa.Array.from_buffers(pa.large_string(), len(values), buffers, null_count=int(missing.sum()))
    return large.cast(pa.string())


def repeated(value: str, count: int) -> Any:
    """Make an array that holds one string again and again."""
    encoded = value.encode()
    ends = np.arange(count + 1, dtype=np.int32) * np.int32(len(encoded))
    return pa.Array.from_buffers(
        pa.string(), count, [None, pa.py_buffer(ends), pa.py_buffer(encoded * count)], null_count=0
    )


def _packed(values: NDArray[np.bool_], missing: NDArray[np.bool_]) -> Any:
    bits = pa.py_buffer(np.packbits(values, bitorder="little"))
    return pa.Array.from_buffers(pa.bool_(), len(values), [_validity(missing), bits], null_count=int(missing.sum()))


def _validity(missing: NDArray[np.bool_]) -> Any:
    return pa.py_buffer(np.packbits(~missing, bitorder="little")) if missing.any() else None
