"""All rows of a view, in the order of their keys: a page at a time, so that it takes no more memory for more rows.

Nothing is held between two pages, so rows may be removed meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from typing import Any

from feast.protos.feast.types.Value_pb2 import Value

KEYS = 500
"""Of one page."""
QUERY = (
    "SELECT entity_key, feature_name, value FROM {table} WHERE entity_key IN"
    " (SELECT DISTINCT entity_key FROM {table} WHERE entity_key > {given} ORDER BY entity_key LIMIT {given})"
    " ORDER BY entity_key, feature_name"
)
"""One page of a view's table, as Feast makes it, of the keys after one and so many; `given` is a value's place."""
Cell = tuple[bytes, str, bytes]
"""Key, feature and value, as Feast writes them down."""


def paged(page: Callable[[bytes], Sequence[Cell]]) -> Iterator[tuple[bytes, dict[str, Any]]]:
    """Yield each row's key and its values by feature; `page` returns the cells of the next keys after one."""
    last = b""
    while cells := page(last):
        for key, row in groupby(cells, key=lambda cell: bytes(cell[0])):
            yield key, {name: Value.FromString(bytes(value)) for _, name, value in row}
            last = key
