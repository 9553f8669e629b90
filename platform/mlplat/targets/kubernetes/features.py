"""What a team's projects are told of the feature store, where there is one: Feast's own file, for each project.

It holds addresses and no credentials: the registry and the feature server keep the database's password, and the role by
which tables are entered, for themselves.
"""

from __future__ import annotations

from typing import Any

from mlplat.manifests import names
from mlplat.manifests.meta import text
from mlplat.services.cluster import standing
from mlplat.services.cluster.features import FILE, NAME, ONLINE, ONLINE_PORT, PORT, client, has_server, named
from mlplat.spec.platform import PlatformSpec

LENGTH = 63
"""Most signs of the ConfigMap's name, so that it fits wherever a project's other names do."""


def documents(team: str, spec: PlatformSpec) -> list[dict[str, Any]]:
    """Return a ConfigMap for each project, to be mounted as its `feature_store.yaml`; none without a feature store."""
    if not standing.has_database(spec, "features"):
        return []
    return [_map(team, project, _online(project, spec)) for project in sorted(spec.teams[team].projects)]


def _online(project: str, spec: PlatformSpec) -> dict[str, Any] | None:
    """Return where a project's features are looked up, as Feast reads it; None where there is no feature server."""
    if not has_server(spec):
        return None
    return {"type": "remote", "path": f"http://{ONLINE}.{names.NAMESPACE}.svc:{ONLINE_PORT}/{named(project)}"}


def _map(team: str, project: str, online: dict[str, Any] | None) -> dict[str, Any]:
    written = client(project, f"{NAME}.{names.NAMESPACE}.svc:{PORT}", online)
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": names.short(f"{NAME}-{project}", LENGTH),
            "namespace": team,
            "labels": {names.PART_OF: "mlplat", names.PROJECT: project, names.TEAM: team},
        },
        "data": {FILE: text(written)},
    }
