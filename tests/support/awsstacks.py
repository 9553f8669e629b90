"""The graphs that every layer of proof reads: this repository's stacks, and one of all that these do not choose."""

from __future__ import annotations

import functools
import json
from typing import Any

import awsprogram
from capture import Graph
from mlplat.spec.platform import PlatformSpec

OTHERWISE = "otherwise"
"""A stack of what `dev` and `prod` have no use for: nothing leaves the network, Valkey, an adopted trail and zone."""
STACKS = (*awsprogram.STACKS, OTHERWISE)


@functools.cache
def graph(stack: str) -> Graph:
    """Return a stack's graph, captured once in a process."""
    if stack != OTHERWISE:
        return awsprogram.graph(stack)
    return awsprogram.kept(spec(), OTHERWISE)


@functools.cache
def spec() -> PlatformSpec:
    """Return the spec of the stack that is none of this repository's."""
    written: dict[str, Any] = json.loads(awsprogram.spec("prod").model_dump_json(exclude_unset=True))
    aws = written["aws"]
    aws["network"] = {"isolated": True, "flow_log_days": 0}
    aws["cluster"] = {**aws["cluster"], "public_access_cidrs": []}
    aws["online_store"] = {"kind": "valkey"}
    aws["stream"] = {"enabled": True, "shards": 2}
    aws["audit"] = {"trail": "adopt"}
    aws["domain"] = {"name": "ml.example.com", "zone_id": "Z0123456789ABCDEFGHIJ"}
    aws["images"] = {"pull_through": ["public.ecr.aws"]}
    return PlatformSpec.model_validate_json(json.dumps(written))
