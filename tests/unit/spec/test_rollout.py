from __future__ import annotations

from typing import Any

import pytest

from mlplat.errors import SpecError
from mlplat.spec.base import parse
from mlplat.spec.rollout import RolloutPolicy


def test_every_field_has_a_sentence() -> None:
    assert all(field.description for field in RolloutPolicy.model_fields.values())


@pytest.mark.parametrize(
    ("data", "says"),
    [
        ({"steps": [10, 10, 100]}, "steps: must grow from step to step and end in 100"),
        ({"steps": [10, 50]}, "steps: must grow"),
        ({"steps": []}, "steps: must grow"),
        ({"steps": [0, 100]}, "steps.0"),
        ({"steps": [50, 200]}, "steps.1"),
        ({"max_error_increase": 0}, "max_error_increase"),
        ({"confidence": 1.0}, "confidence"),
        ({"step_timeout_seconds": 3}, "step_timeout_seconds must be longer than min_seconds"),
        ({"min_request": 3}, "min_request: unknown key"),
    ],
)
def test_a_policy_that_cannot_work_is_refused(data: dict[str, Any], says: str) -> None:
    with pytest.raises(SpecError, match=r".") as caught:
        parse(RolloutPolicy, data, "mlplat.yaml")
    assert says in caught.value.message


def test_whole_numbers_are_taken_where_parts_are_allowed() -> None:
    assert parse(RolloutPolicy, {"min_seconds": 0, "bake_seconds": 60}, "mlplat.yaml").bake_seconds == 60
