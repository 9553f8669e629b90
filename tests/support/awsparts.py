"""What a component under test is wired to: a site, a network, keys and buckets, without the components behind them."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, cast

import capture
from capture import Graph, Made
from mlplat.spec.aws import AwsSpec
from mlplat.spec.base import parse
from mlplat.spec.platform import PlatformSpec, parse_platform
from mlplat.targets.aws.network import Network
from mlplat.targets.aws.site import Site

ACCOUNT = "111122223333"
REGION = "eu-west-1"
DEPLOYMENT = "0123456789abcdef"
KEY = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/00000000-0000-0000-0000-000000000000"
CLIENT = "sg-0123456789abcdef0"
TOPIC = f"arn:aws:sns:{REGION}:{ACCOUNT}:alerts"


def aws(**written: Any) -> AwsSpec:
    """Return an account's settings, those of `dev` so that any of them can be written."""
    return parse(AwsSpec, {"account": ACCOUNT, "region": REGION, "environment": "dev", **written}, "a test")


def site(**written: Any) -> Site:
    """Return a site with these settings of `aws`."""
    return Site("mlplat", "dev", DEPLOYMENT, aws(**written))


def platform(teams: dict[str, Any] | None = None, **written: Any) -> PlatformSpec:
    """Return a platform with these teams and settings of `aws`."""
    settings = {"account": ACCOUNT, "region": REGION, "environment": "dev", **written}
    return parse_platform(
        {"version": 2, "target": "aws", "engine": {}, "aws": settings, "teams": teams or {}}, "a test"
    )


@dataclass
class _Network:
    vpc_id: str = "vpc-0123456789abcdef0"
    cidr: str = "10.0.0.0/16"
    private_subnet_ids: list[str] = field(
        default_factory=lambda: ["subnet-0123456789abcdef0", "subnet-0123456789abcdef1"]
    )
    ready: list[Any] = field(default_factory=list)


def network() -> Network:
    """Return a network that is only known by its ids."""
    return cast(Network, _Network())


def statements(made: Made, name: str = "policy") -> list[dict[str, Any]]:
    """Return the statements of a document among a resource's inputs."""
    found: list[dict[str, Any]] = json.loads(made.inputs[name])["Statement"]
    return found


def untagged(graph: Graph) -> list[str]:
    """Return what can have the deployment's tag and has not, of the types that take tags by the field `tags`."""
    import importlib

    found = []
    for each in graph:
        if not each.custom or not each.type.startswith("aws:"):
            continue
        module, _, kind = each.type.removeprefix("aws:").partition("/")
        taker = getattr(importlib.import_module(f"pulumi_aws.{module}"), kind.partition(":")[2])
        if hasattr(taker, "tags_all") and each.inputs.get("tags", {}).get("mlplat:deployment") != DEPLOYMENT:
            found.append(each.key)
    return found


def provider() -> Any:
    """Return the options of a component under test."""
    return capture.provider()
