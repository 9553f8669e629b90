from __future__ import annotations

import pytest

from mlplat.errors import UsageError
from mlplat.spec.explain import explain
from mlplat.spec.platform import PlatformSpec


def test_a_key_is_explained_by_its_own_type_and_default() -> None:
    key, below = explain(PlatformSpec, "gateway.port")
    assert key is not None
    assert (key.shape, key.default, key.required) == ("integer (at least 1024, at most 65535)", "8080", False)
    assert below == []


def test_a_group_lists_its_keys() -> None:
    key, below = explain(PlatformSpec, "serving.prediction_log")
    assert key is not None
    assert "enabled" in [each.name for each in below]


def test_the_whole_document_lists_its_groups() -> None:
    key, below = explain(PlatformSpec, "")
    assert key is None
    assert {"version", "name", "gateway"} <= {each.name for each in below}


@pytest.mark.parametrize("path", ["gatewy", "gateway.prot", "gateway.port.x", "name.x"])
def test_an_unknown_path_is_refused(path: str) -> None:
    with pytest.raises(UsageError, match="there is no key"):
        explain(PlatformSpec, path)


def test_the_entries_of_a_map_are_explained_by_whatever_name_they_have() -> None:
    key, below = explain(PlatformSpec, "pools.gpu.max_size")
    assert key is not None
    assert (key.name, key.required, below) == ("max_size", True, [])
    key, below = explain(PlatformSpec, "pools.gpu")
    assert key is not None
    assert (key.name, key.shape) == ("pools", "map of names to keys")
    assert "max_size" in [each.name for each in below]
