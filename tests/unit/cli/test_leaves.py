from __future__ import annotations

from mlplat.cli.console import leaves


def test_outputs_are_told_by_their_leaves() -> None:
    nested = {"foundation": {"cluster": "c", "stream": None, "buckets": {"data": "b"}, "zones": ["a", "b"]}}
    assert list(leaves(nested)) == [
        ("foundation.cluster", "c"),
        ("foundation.buckets.data", "b"),
        ("foundation.zones", "a, b"),
    ]
