"""The provider `kubernetes` of the tests, on a real API server: what that refuses, fails here as it would anywhere.

Charts are refused: no repository of them is reachable in tests, so add-ons are `adopt` or `off`.
"""

from __future__ import annotations

import functools
from pathlib import Path

from fakecloud.kind import Kind, RefusedError
from fakecloud.serve import main
from fakecloud.world import Values, World
from kubeprovider.applied import Applied
from mlplat.cluster import Cluster
from mlplat.errors import MlplatError

CHARTS = ("kubernetes:helm.sh/", "kubernetes:yaml/")


class Real:
    """One cluster, entered as the program's provider says."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._cluster: Cluster | None = None

    def configure(self, settings: Values) -> None:
        """Take the way to the cluster. Raises `RefusedError` for a provider that would use whatever is lying about."""
        context, kubeconfig = settings.get("context"), settings.get("kubeconfig")
        if not (context or kubeconfig):
            raise RefusedError("neither context nor kubeconfig: this would be the cluster of whoever runs it")
        try:
            self._cluster = Cluster.of_context(context, self._path(kubeconfig) if kubeconfig else None)
        except MlplatError as error:
            raise RefusedError(error.told()) from error

    def kind(self, token: str) -> Kind:
        """Return a kind by its type. Raises `RefusedError`."""
        if token.startswith(CHARTS):
            raise RefusedError(f"{token}: no chart can be had in tests; set the add-on to `adopt` or `off`")
        if not token.startswith("kubernetes:") or self._cluster is None:
            raise RefusedError(f"{token} is nothing of a cluster's")
        return Applied(token, self._cluster, lambda: self._has_nodes)

    @functools.cached_property
    def _has_nodes(self) -> bool:
        return self._cluster is not None and bool(self._cluster.list("v1", "Node"))

    def _path(self, kubeconfig: str) -> Path:
        """Return the path of a kubeconfig that is given by its path, or as its content."""
        if "\n" not in kubeconfig and not kubeconfig.lstrip().startswith("{"):
            return Path(kubeconfig)
        self._world.folder.mkdir(parents=True, exist_ok=True)
        path = self._world.folder / "kubeconfig"
        path.write_text(kubeconfig)
        return path


if __name__ == "__main__":
    here = World.here()
    main(Real(here), here)
