"""Graphs beyond the two stack files: the other side of every switch that a spec has."""

from __future__ import annotations

import functools
from copy import deepcopy
from typing import Any

import awsprogram
from capture import Graph
from faults.base import put
from mlplat.spec.base import read_yaml
from mlplat.spec.platform import KEY, PlatformSpec, parse_platform

BOUNDARY = "arn:aws:iam::111122223333:policy/boundary"
SUBNETS = [f"subnet-0123456789abcdef{number}" for number in range(3)]
VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {
    "valkey": ("prod", {"aws.online_store": {"kind": "valkey"}}),
    "isolated": ("prod", {"aws.network.isolated": True}),
    "adopted": (
        "prod",
        {
            "aws.network": {
                "existing": {
                    "vpc_id": "vpc-0123456789abcdef0",
                    "cidr": "10.20.0.0/16",
                    "private_subnet_ids": SUBNETS,
                }
            }
        },
    ),
    "grown": (
        "prod",
        {
            "cost.activate_tags": True,
            "aws.cluster.public_access_cidrs": [],
            "aws.cluster.admins": ["arn:aws:iam::444455556666:role/admin"],
            "aws.identities": {"boundary": BOUNDARY},
            "aws.audit.trail": "adopt",
            "aws.stream.shards": 2,
        },
    ),
    "bare": (
        "dev",
        {
            "pools": {},
            "teams": {},
            "cost": {"anomaly_usd": None},
            "aws.cluster.nights": None,
            "aws.network.flow_log_days": 0,
        },
    ),
}
"""By name, the stack that each is made of and what is written otherwise."""


def written(stack: str) -> dict[str, Any]:
    """Return the platform's object of one of this repository's stack files."""
    found: dict[str, Any] = read_yaml(awsprogram.stack_file(stack).read_text(), stack)["config"][KEY]
    return found


def changed(stack: str, values: dict[str, Any]) -> PlatformSpec:
    """Return a stack's platform with other values, by dotted path."""
    document = deepcopy(written(stack))
    for path, value in values.items():
        put(document, path.split("."), value)
    return parse_platform(document, f"{stack} of a test")


@functools.cache
def graph(name: str) -> Graph:
    """Return the graph of a stack file or of a variant."""
    if name in awsprogram.STACKS:
        return awsprogram.graph(name)
    stack, values = VARIANTS[name]
    return awsprogram.kept(changed(stack, values), stack)
