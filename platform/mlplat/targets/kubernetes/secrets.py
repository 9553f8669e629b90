"""Secrets of an account's vault as the cluster's own: External Secrets copies them, and the state never holds one.

Its controller has the identity: with Pod Identity a store cannot name a service account of its own to sign in as.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mlplat.manifests import names
from mlplat.targets.kubernetes.ground import Cloud

API = "external-secrets.io/v1"
STORE = "account"
REFRESH = "1h"
"""How often the vault is asked. Soon enough: a rotation leaves the former user working until the next one."""


def store(cloud: Cloud) -> dict[str, Any]:
    """Return the vault, as seen from the platform's namespace and from no other."""
    provider = {"aws": {"service": "SecretsManager", "region": cloud.region}}
    return {**_of("SecretStore", STORE), "spec": {"provider": provider}}


def databases(applications: Mapping[str, Any], secrets: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return the secret of each application's database; `applications` names them in the vault, as outputs may be."""
    return [_copied(secrets[each], name) for each, name in applications.items() if each in secrets]


def _copied(secret: str, remote: Any) -> dict[str, Any]:
    return {
        **_of("ExternalSecret", secret),
        "spec": {
            "refreshInterval": REFRESH,
            "secretStoreRef": {"kind": "SecretStore", "name": STORE},
            # A copy that somebody still reads stays when what made it goes or fails.
            "target": {"name": secret, "creationPolicy": "Owner", "deletionPolicy": "Retain"},
            "data": [{"secretKey": "url", "remoteRef": {"key": remote, "property": "url"}}],
        },
    }


def _of(kind: str, name: str) -> dict[str, Any]:
    metadata = {"name": name, "namespace": names.NAMESPACE, "labels": {names.PART_OF: "mlplat"}}
    return {"apiVersion": API, "kind": kind, "metadata": metadata}
