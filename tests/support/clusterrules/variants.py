"""Captured layers beyond the stack files: the other side of every switch that a layer has."""

from __future__ import annotations

import functools
from copy import deepcopy
from typing import Any

import awsprogram
import clusterprogram
from clusterrules.base import Case
from faults.base import put
from mlplat.spec.base import read_yaml
from mlplat.spec.platform import KEY, PlatformSpec, parse_platform

GROUPS = ("gateway", "secrets", "autoscaling", "pipelines", "queues", "monitoring", "cost")
STACKS = (*clusterprogram.STACKS, *awsprogram.STACKS)
SMALL: dict[str, Any] = {
    "kubernetes.production": False,
    "kubernetes.databases": None,
    "kubernetes.objects": None,
    "kubernetes.exposure": {"service": "cluster-ip", "authentication": "none", "replicas": 1},
}
JWT = {
    "authentication": "jwt",
    "jwt": {"issuer": "https://login.example.com", "audiences": ["ml"], "jwks": "https://login.example.com/keys"},
}
VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {
    "small": ("staging", SMALL),
    "adopted": ("staging", {"kubernetes.addons": dict.fromkeys(GROUPS, "adopt")}),
    "alone": (
        "staging",
        {
            "kubernetes.addons": dict.fromkeys(GROUPS, "off"),
            "kubernetes.monitoring": {},
            "kubernetes.exposure.pages": None,
        },
    ),
    "unwatched": (
        "staging",
        {"kubernetes.addons": {"monitoring": "off", "cost": "off"}, "kubernetes.monitoring": {}},
    ),
    "their-metrics": (
        "staging",
        {
            "kubernetes.addons": {"monitoring": "adopt"},
            "kubernetes.monitoring": {"prometheus": "http://prometheus.observability.svc:9090"},
        },
    ),
    "tokens": ("staging", {"kubernetes.exposure": JWT, "kubernetes.version": "1.36"}),
    "shared": (
        "staging",
        {
            "pools": {
                "cpu": {"node_selector": {"example.com/pool": "general"}, "max_size": 6},
                "gpu": {
                    "node_selector": {"example.com/pool": "gpu"},
                    "gpu_count": 4,
                    "shared_by": 4,
                    "max_size": 2,
                    "teams": ["flights"],
                },
                "large": {"node_selector": {"example.com/pool": "large"}, "gpu_count": 8, "max_size": 1},
            },
        },
    ),
    "poolless": ("staging", {"pools": {}}),
    "teamless": ("staging", {"teams": {}}),
    "told": (
        "prod",
        {"aws.network.isolated": True, "kubernetes": {"monitoring": {"receivers": {"people": {"kind": "sns"}}}}},
    ),
}
"""By name, the stack that each is made of and what is written otherwise."""


def written(stack: str) -> dict[str, Any]:
    """Return the platform's object of one of this repository's stack files."""
    found: dict[str, Any] = read_yaml(awsprogram.stack_file(stack).read_text(), stack)["config"][KEY]
    return found


def changed(stack: str, values: dict[str, Any]) -> PlatformSpec:
    """Return a stack's platform with other values, by dotted path; None takes a value away."""
    document = deepcopy(written(stack))
    for path, value in values.items():
        *above, last = path.split(".")
        if value is None:
            below = functools.reduce(lambda found, step: found.get(step, {}), above, document)
            below.pop(last, None)
        else:
            put(document, path.split("."), value)
    return parse_platform(document, f"{stack} of a test")


@functools.cache
def case(name: str) -> Case:
    """Return what the program declares for a stack file or a variant, with its spec."""
    stack, values = VARIANTS.get(name, (name, {}))
    spec = changed(stack, values)
    return Case(awsprogram.kept(spec, stack), spec)
