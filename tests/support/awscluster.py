"""A cluster with its network under it, its nodes and what Karpenter needs: captured, for tests of any of them."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from typing import Any

import awsparts
import capture
from capture import Graph
from mlplat.spec.base import parse
from mlplat.spec.capacity import PoolSpec
from mlplat.targets.aws.addons import Addons
from mlplat.targets.aws.cluster import Cluster
from mlplat.targets.aws.karpenter import KarpenterAccess
from mlplat.targets.aws.network import Network
from mlplat.targets.aws.nodes import SystemNodes

NAME = "mlplat-dev-012345"
BOUNDARY = f"arn:aws:iam::{awsparts.ACCOUNT}:policy/boundary"


def pools(**written: Mapping[str, Any]) -> dict[str, PoolSpec]:
    """Return pools, each of some small types and at most two nodes unless it says otherwise."""
    usual = {"instance_types": ["m7i.xlarge"], "max_size": 2}
    return {name: parse(PoolSpec, {**usual, **each}, "a test") for name, each in written.items()}


def graph(pool: dict[str, PoolSpec] | None = None, **written: Any) -> Graph:
    """Return what a cluster with its nodes declares, for these settings of `aws`."""
    return _made(json.dumps(written), _pools(pool))[0]


def ready(**written: Any) -> list[str]:
    """Return the keys of all that must be there before anything is put on that cluster."""
    return _made(json.dumps(written), _pools(None))[1]


def _pools(pool: dict[str, PoolSpec] | None) -> str:
    return json.dumps({name: each.model_dump(mode="json", exclude_unset=True) for name, each in (pool or {}).items()})


@functools.cache
def _made(written: str, pool: str) -> tuple[Graph, list[str]]:
    # A capture takes a third of a second, and most tests look at the same one.
    site = awsparts.site(**json.loads(written))
    pools_made = {name: parse(PoolSpec, each, "a test") for name, each in json.loads(pool).items()}
    found: list[str] = []

    def program() -> None:
        opts, key = capture.provider(), awsparts.KEY
        network = Network("network", site.aws.network, site=site, logs_key_arn=key, opts=opts)
        cluster = Cluster(
            "cluster", site.aws.cluster, site=site, network=network, key_arn=key, logs_key_arn=key, opts=opts
        )
        nodes = SystemNodes(
            "system-nodes",
            site.aws.cluster.system_nodes,
            site=site,
            cluster=cluster,
            network=network,
            key_arn=key,
            opts=opts,
        )
        boundary = site.aws.identities.boundary
        addons = Addons("addons", site=site, cluster=cluster, nodes=nodes, key_arn=key, boundary=boundary, opts=opts)
        karpenter = KarpenterAccess(
            "karpenter", site=site, cluster=cluster, key_arn=key, pools=pools_made, boundary=boundary, opts=opts
        )
        made = [*cluster.admins, *addons.ready, *karpenter.ready]
        found.extend(f"{each._type}::{each._name}" for each in made)

    return capture.run(program), found
