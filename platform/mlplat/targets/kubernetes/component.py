"""What every component on a cluster does alike."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pulumi

from mlplat.targets.kubernetes import objects
from mlplat.targets.kubernetes.ground import Ground


class Component(pulumi.ComponentResource):
    """One noun of the layer: its objects are its children, on the ground's cluster."""

    def __init__(
        self,
        noun: str,
        name: str,
        *,
        ground: Ground,
        after: Sequence[pulumi.Resource] = (),
        props: Mapping[str, Any] | None = None,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """`props` is what the engine's state says of the component itself."""
        super().__init__(f"mlplat:kubernetes:{noun}", name, dict(props or {}), opts)
        self.ground = ground
        self._after = [*ground.ready, *after]
        self.declared: list[pulumi.Resource] = []
        """Every object that it has put on the cluster."""
        self.waited: set[pulumi.Resource] = set()
        """What at least one of its objects waits for."""

    def on_cluster(self, after: Iterable[pulumi.Resource] = (), **more: Any) -> pulumi.ResourceOptions:
        """Return the options of an object: it waits for what its component does, and for `after`."""
        waited = [*self._after, *after]
        self.waited.update(waited)
        return pulumi.ResourceOptions(parent=self, provider=self.ground.provider, depends_on=waited, **more)

    def put(
        self, documents: Iterable[objects.Document], after: Iterable[pulumi.Resource] = (), **more: Any
    ) -> list[pulumi.Resource]:
        """Declare documents that need nothing of each other; return what was made."""
        waited = [*after]
        made = [objects.declare(each, self.on_cluster(waited, **more)) for each in documents]
        self.declared += made
        return [*made]


def last(*components: Component) -> list[pulumi.Resource]:
    """Return the objects of components that no other one of theirs waits for."""
    waited = set[pulumi.Resource]().union(*(each.waited for each in components))
    return [made for each in components for made in each.declared if made not in waited]
