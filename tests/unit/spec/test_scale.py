from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from mlplat.spec.scale import ScaleSpec


@pytest.mark.parametrize(
    ("written", "says"),
    [
        ({"gpu": 1}, "`pool` is required with `gpu`: it says which GPUs"),
        ({"min_replicas": 5}, "`min_replicas` 5 is more than `max_replicas` 4"),
    ],
)
def test_servers_that_could_land_nowhere_are_refused(written: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        ScaleSpec.model_validate(written)


@pytest.mark.parametrize("written", [{"gpu": 1, "pool": "gpu"}, {"gpu": 0}, {"pool": "cpu"}])
def test_servers_that_fit_are_taken(written: dict[str, Any]) -> None:
    assert not ScaleSpec.model_validate(written).is_default or written == {"gpu": 0}
