"""External Secrets: secrets of a vault as the cluster's own, for the platform's namespace and no other."""

from __future__ import annotations

from typing import Any

from mlplat import versions
from mlplat.manifests import names
from mlplat.manifests.network import ANYWHERE, POLICY, Peer, egress, ingress
from mlplat.targets.kubernetes.addons.release import Part, Release
from mlplat.targets.kubernetes.addons.standing import Standing

ACCOUNT = "external-secrets"
"""Service account whose role may read the platform's secrets: bound to this name in the platform's namespace."""
UNUSED = ("ClusterExternalSecret", "ClusterPushSecret", "PushSecret", "ClusterGenerator")
WEBHOOK_PORT = 10250


def releases(on: Standing) -> tuple[Release, ...]:
    """Return what is installed."""
    several = on.production
    base: dict[str, Any] = {
        "replicaCount": on.replicas,
        "leaderElect": several,
        "podDisruptionBudget": {"enabled": several, "minAvailable": 1},
        # By its pods' identity and not by `serviceAccountRef` in a store: a token of another account, which that asks
        # for, is nothing that EKS's pod identities know.
        "serviceAccount": {"name": ACCOUNT},
        # A store without credentials takes the controller's own identity. Were every namespace served, a team could
        # write such a store and read the platform's secrets.
        "scopedNamespace": names.NAMESPACE,
        "scopedRBAC": True,
        "processClusterStore": False,
        "webhook": {
            "replicaCount": on.replicas,
            "port": WEBHOOK_PORT,
            "podDisruptionBudget": {"enabled": several, "minAvailable": 1},
        },
        # A kind that is not defined must not be looked for, and the other way round.
        "crds": {"createClusterSecretStore": False, **{f"create{each}": False for each in UNUSED}},
        **{f"process{each}": False for each in UNUSED},
        "serviceMonitor": {"enabled": on.monitored},
        "global": on.placed,
    }
    parts = (
        Part("external-secrets", "resources", 10, 64, 256, on.replicas),
        Part("webhook", "webhook.resources", 10, 64, 128, on.replicas),
        Part("certificates", "certController.resources", 10, 64, 256),
    )
    return (Release(versions.EXTERNAL_SECRETS, names.NAMESPACE, parts, base),)


def policies(on: Standing) -> list[dict[str, Any]]:
    """Return the edges that it has: its namespace denies whatever is not said."""
    metrics = [ingress(Peer(namespaces={}), [8080])] if on.monitored else []
    # The API server asks the webhook from an address that nobody can name beforehand.
    asked = ingress(Peer(addresses=ANYWHERE), [WEBHOOK_PORT])
    return [
        _policy("external-secrets", metrics),
        _policy("external-secrets-webhook", [asked, *metrics]),
        _policy("external-secrets-cert-controller", metrics),
    ]


def _policy(name: str, asked: list[dict[str, Any]]) -> dict[str, Any]:
    # The cluster's API and the vault both answer on 443, or on 6443 of a node that runs the API itself.
    reached = egress(Peer((443, 6443), addresses=ANYWHERE))
    return {
        **POLICY,
        "metadata": {"name": name, "namespace": names.NAMESPACE, "labels": {names.PART_OF: "mlplat"}},
        "spec": {
            "podSelector": {"matchLabels": {names.APP: name}},
            "policyTypes": ["Ingress", "Egress"],
            "ingress": asked,
            "egress": [reached],
        },
    }
