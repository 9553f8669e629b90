from __future__ import annotations

from typing import Any

import pytest

from mlplat.targets.aws.tolerations import EVERYTHING, tolerates

TAINT = {"key": "nvidia.com/gpu", "value": "true", "effect": "NoSchedule"}


@pytest.mark.parametrize(
    ("toleration", "holds"),
    [
        ({"operator": "Exists"}, True),
        ({"key": "nvidia.com/gpu", "operator": "Exists"}, True),
        ({"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}, True),
        ({"key": "nvidia.com/gpu", "value": "true"}, True),
        ({"key": "nvidia.com/gpu", "operator": "Equal", "value": "true", "effect": "NoSchedule"}, True),
        ({"key": "nvidia.com/gpu", "operator": "Equal", "value": "present"}, False),
        ({"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoExecute"}, False),
        ({"key": "nvidia.com/GPU", "operator": "Exists"}, False),
        ({"key": "CriticalAddonsOnly", "operator": "Exists"}, False),
        # EKS's own spelling of effects is none of Kubernetes'.
        ({"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NO_SCHEDULE"}, False),
    ],
)
def test_a_toleration_is_read_as_kubernetes_reads_it(toleration: dict[str, Any], holds: bool) -> None:
    assert tolerates([toleration], TAINT) is holds


def test_nothing_tolerates_nothing_and_one_of_several_is_enough() -> None:
    assert not tolerates([], TAINT)
    assert tolerates([{"key": "other", "operator": "Exists"}, *EVERYTHING], TAINT)
