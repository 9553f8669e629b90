"""What a component was told to wait for, so that it can tell its children."""

from __future__ import annotations

from typing import Any

import pulumi


def given(opts: pulumi.ResourceOptions | None) -> list[pulumi.Resource]:
    """Return the resources in a component's `depends_on`: its own registration alone waits for them otherwise."""
    found: Any = opts.depends_on if opts else None
    if found is None:
        return []
    return [found] if isinstance(found, pulumi.Resource) else [*found]
