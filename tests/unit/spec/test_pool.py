from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from mlplat.spec.capacity import PoolSpec


def pool(**written: Any) -> PoolSpec:
    return PoolSpec(**{"instance_types": ["m7i.xlarge"], "max_size": 2, **written})


@pytest.mark.parametrize(
    "label",
    [
        "kubernetes.io/hostname",
        "node.kubernetes.io/instance-type",
        "karpenter.sh/nodepool",
        "karpenter.k8s.aws/instance-family",
        "nvidia.com/gpu.present",
        "mlplat/pool",
        "team.mlplat/flights",
    ],
)
def test_labels_that_others_set_are_refused(label: str) -> None:
    with pytest.raises(ValidationError, match="sets itself"):
        pool(labels={label: "x"})


@pytest.mark.parametrize("label", ["quiet", "example.com/quiet", "notkubernetes.io/quiet"])
def test_labels_of_people_are_kept(label: str) -> None:
    assert pool(labels={label: "x"}).labels == {label: "x"}


@pytest.mark.parametrize(
    ("written", "says"),
    [
        ({"min_size": 3}, "more than `max_size`"),
        ({"capacity": ["reserved"]}, "go together"),
        ({"reservations": ["cr-0123456789abcdef0"]}, "go together"),
        ({"capacity": ["spot"]}, "two families"),
    ],
)
def test_settings_that_cannot_both_be_are_refused(written: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        pool(**written)
