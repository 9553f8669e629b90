"""What add-ons have to know of the cluster that they come to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mlplat.spec.kubernetes import KubernetesSpec

if TYPE_CHECKING:
    from mlplat.targets.kubernetes.ground import Ground


@dataclass(frozen=True)
class Standing:
    """A cluster, as far as values of charts depend on it."""

    spec: KubernetesSpec
    cluster: Any = "mlplat"
    """Name by which its metrics and costs are told from another cluster's; may be an output."""
    production: bool = True
    """Whether what must not fail has two replicas."""
    storage_class: str | None = None
    """Class of volumes; None for the cluster's default."""
    placement: Mapping[str, Any] = field(default_factory=dict)
    """`nodeSelector` and `tolerations` of the platform's own pods."""

    @classmethod
    def of(cls, spec: KubernetesSpec, ground: Ground, name: str) -> Standing:
        """Return what a ground says; `name` is the platform's, for a cluster that has none of its own."""
        cluster = ground.cloud.cluster if ground.cloud else name
        return cls(spec, cluster, ground.production, ground.storage_class, ground.placement)

    @property
    def monitored(self) -> bool:
        """Tell whether something reads the monitors that charts make."""
        return self.spec.addons.monitoring != "off"

    @property
    def replicas(self) -> int:
        """Return how many there are of what must not fail."""
        return 2 if self.production else 1

    @property
    def node_selector(self) -> dict[str, str]:
        """Return the labels of nodes that the platform's own pods stand on."""
        return dict(self.placement.get("nodeSelector", {}))

    @property
    def tolerations(self) -> list[dict[str, Any]]:
        """Return the taints that they stand."""
        return [dict(each) for each in self.placement.get("tolerations", ())]

    @property
    def placed(self) -> dict[str, Any]:
        """Return both as most charts spell them."""
        return {"nodeSelector": self.node_selector, "tolerations": self.tolerations}
