"""How the program itself reaches the cluster: a kubeconfig without a credential in it, the same on every computer.

It lies in the state. So it names no folder and no profile: the token is asked for by `mlplat`, with the credentials
that the environment of whoever runs `up` has, and for the account of the spec alone.
"""

from __future__ import annotations

from typing import Any

from mlplat.targets.aws.site import Site
from mlplat.targets.aws.token import VERSION


def token_arguments(site: Site, cluster: Any, role: Any = None) -> list[Any]:
    """Return the arguments of `mlplat` that give a token; name of the cluster and role to take may be outputs."""
    return [
        *("aws", "token", "--cluster", cluster, "--region", site.region, "--account", site.account),
        *(("--role", role) if role is not None else ()),
    ]


def document(site: Site, *, cluster: Any, endpoint: Any, authority: Any, role: Any = None) -> dict[str, Any]:
    """Return a kubeconfig as a value whose leaves may be outputs; `authority` is base64."""
    name = "cluster"
    asks = {
        "apiVersion": VERSION,
        "command": "mlplat",
        "args": token_arguments(site, cluster, role),
        "interactiveMode": "Never",
    }
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": name,
        "clusters": [{"name": name, "cluster": {"server": endpoint, "certificate-authority-data": authority}}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
        "users": [{"name": name, "user": {"exec": asks}}],
    }
