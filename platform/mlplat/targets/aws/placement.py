"""Where nodes of several-node training stand: side by side, in one group of a zone."""

from __future__ import annotations

from typing import Any

import pulumi


def group_name(cluster: Any, pool: str) -> Any:
    """Return the name of a pool's placement group, which begins with its cluster's; an output where that is one."""
    if isinstance(cluster, str):
        return f"{cluster}-pool-{pool}"
    return pulumi.Output.concat(cluster, "-pool-", pool)
