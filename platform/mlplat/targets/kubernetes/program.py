"""The Kubernetes target as a program: one stack, on a cluster that is there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mlplat import services
from mlplat.errors import RefusedError
from mlplat.spec.platform import PlatformSpec
from mlplat.targets.kubernetes import foundation, guards, images
from mlplat.targets.kubernetes.install import Layer


def declare(spec: PlatformSpec, stack: str, identity: str | None) -> Mapping[str, Any]:
    """Declare a stack; return its outputs. Raises `RefusedError` where a guard says no."""
    guards.refuse_default_providers(stack)
    if not identity:
        raise RefusedError(
            f"the stack `{stack}` has no deployment id, by which its objects are known to be on the same cluster",
            hint="`mlplat up` writes one; for plain `pulumi up`, run `mlplat state init` first",
        )
    ground = foundation.provide(spec, identity)
    Layer(
        "layer",
        spec,
        ground=ground,
        services=services.on_cluster(spec),
        images=images.references(spec, stack),
        home=guards.same_cluster(ground.provider, stack, spec.kubernetes.context),
    ).close()
    return {}
