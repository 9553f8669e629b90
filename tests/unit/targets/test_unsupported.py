from __future__ import annotations

from typing import Any

import pytest

from mlplat import targets
from mlplat.errors import SpecError
from mlplat.spec.base import model_at
from mlplat.spec.platform import PlatformSpec, parse_platform

AWS = {"target": "aws", "engine": {}, "aws": {"account": "111122223333", "region": "eu-west-1"}}


@pytest.mark.parametrize("target", targets.NAMES)
def test_what_a_target_does_not_support_is_a_key_of_the_spec(target: str) -> None:
    for key in targets.unsupported(target):
        *groups, name = key.split(".")
        owner = model_at(PlatformSpec, tuple(groups))
        assert owner is not None
        assert name in owner.model_fields


@pytest.mark.parametrize(
    ("document", "keys"),
    [
        ({}, []),
        ({"tracking": {"port": 6000}}, []),
        ({"pools": {"gpu": {"instance_types": ["g6.xlarge"], "max_size": 1}}, "teams": {"a": {}}}, ["pools", "teams"]),
        (AWS, []),
        ({**AWS, "tracking": {"port": 6000}, "clock": "2013-04-01T00:00:00Z"}, ["clock", "tracking.port"]),
    ],
)
def test_a_key_that_means_nothing_to_the_target_is_refused_before_anything_is_touched(
    document: dict[str, Any], keys: list[str]
) -> None:
    spec = parse_platform(document, "test")
    if not keys:
        targets.refuse_unsupported(spec, "test")
        return
    with pytest.raises(SpecError) as refused:
        targets.refuse_unsupported(spec, "test")
    assert [problem.path for problem in refused.value.problems] == keys
