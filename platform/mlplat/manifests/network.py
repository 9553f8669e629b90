"""Network policies: a namespace denies everything, and each service adds the edges that it has.

They hold where the cluster's network plugin enforces them; a plain bridge does not. What comes from a pod's own node,
as probes do, is always let through.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mlplat.manifests import names

POLICY = {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy"}
NAMESPACE_NAME = "kubernetes.io/metadata.name"
"""Label that Kubernetes gives each namespace: its name."""
ANYWHERE = ("0.0.0.0/0", "::/0")
METADATA = {"0.0.0.0/0": ("169.254.169.254/32",), "::/0": ("fd00:ec2::254/128",)}
"""Addresses at which a cloud tells a node who it is: whoever may reach them may act as the node."""
NODE_DNS = "169.254.20.10/32"
"""Where a cache of names on each node answers, on clusters that have one."""


@dataclass(frozen=True)
class Peer:
    """Somebody at the other end of an edge: pods by selectors, or addresses."""

    ports: Sequence[int | str] = ()
    """Ports on which it answers, by number; none, any."""
    pods: Mapping[str, Any] | None = None
    """Selector of pods; with `namespaces`, of those in them; alone, of those in the same namespace."""
    namespaces: Mapping[str, Any] | None = None
    """Selector of namespaces; an empty one means all of them."""
    addresses: Sequence[str] = ()
    """Ranges of addresses, in place of pods."""
    protocols: Sequence[str] = field(default=("TCP",))

    def ends(self) -> list[dict[str, Any]]:
        """Return it as Kubernetes writes one end of a rule."""
        chosen = {"podSelector": self.pods, "namespaceSelector": self.namespaces}
        pods = {key: dict(value) for key, value in chosen.items() if value is not None}
        return [*([pods] if pods else []), *map(_block, self.addresses)]

    def port_list(self) -> list[dict[str, Any]]:
        """Return its ports as Kubernetes writes them."""
        return [{"port": port, "protocol": protocol} for port in self.ports for protocol in self.protocols]


def labelled(**labels: str) -> dict[str, Any]:
    """Return a selector of labels; `__` in a name stands for `/` and `_` for `-`."""
    return {"matchLabels": {key.replace("__", "/").replace("_", "-"): value for key, value in labels.items()}}


def namespace(name: str) -> dict[str, Any]:
    """Return a selector of one namespace."""
    return {"matchLabels": {NAMESPACE_NAME: name}}


def _block(cidr: str) -> dict[str, Any]:
    # A service that may go anywhere still must not become the node it runs on.
    kept = {"except": list(METADATA[cidr])} if cidr in METADATA else {}
    return {"ipBlock": {"cidr": cidr, **kept}}


def default_deny(of: str) -> dict[str, Any]:
    """Return the policy by which a namespace's pods hear and reach nobody but by a rule."""
    return _policy(of, "default-deny", {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]})


def names_allowed(of: str) -> dict[str, Any]:
    """Return the policy by which a namespace's pods can look up names: without it nothing else works."""
    servers = Peer((53,), {}, namespace("kube-system"), (NODE_DNS,), ("UDP", "TCP"))
    return _policy(of, "allow-dns", {"podSelector": {}, "policyTypes": ["Egress"], "egress": [egress(servers)]})


def egress(peer: Peer) -> dict[str, Any]:
    """Return the rule that lets pods reach a peer."""
    return {"to": peer.ends(), **({"ports": ports} if (ports := peer.port_list()) else {})}


def ingress(peer: Peer, ports: Sequence[int]) -> dict[str, Any]:
    """Return the rule that lets a peer reach ports of ours."""
    return {"from": peer.ends(), "ports": [{"port": port, "protocol": "TCP"} for port in ports]}


def _policy(of: str, name: str, spec: dict[str, Any]) -> dict[str, Any]:
    labels = {names.PART_OF: "mlplat"}
    return {**POLICY, "metadata": {"name": name, "namespace": of, "labels": labels}, "spec": spec}
