"""What every component on a cluster does alike."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
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
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__(f"mlplat:kubernetes:{noun}", name, None, opts)
        self.ground = ground
        self._after = [*ground.ready, *after]

    def on_cluster(self, after: Iterable[pulumi.Resource] = (), **more: Any) -> pulumi.ResourceOptions:
        """Return the options of an object: it waits for what its component does, and for `after`."""
        return pulumi.ResourceOptions(
            parent=self, provider=self.ground.provider, depends_on=[*self._after, *after], **more
        )

    def put(
        self, documents: Iterable[objects.Document], after: Iterable[pulumi.Resource] = (), **more: Any
    ) -> list[pulumi.Resource]:
        """Declare documents that need nothing of each other; return what was made."""
        waited = [*after]
        return [objects.declare(each, self.on_cluster(waited, **more)) for each in documents]
