"""The engine's tests on a real Kubernetes API: one API server for all of them, without nodes."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

import kubeapi
import kubecrds
from mlplat.manifests import names


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[kubeapi.Api]:
    """Return a running API server, with the controllers that empty namespaces and remove what nobody owns."""
    why = kubeapi.missing()
    if why and "cluster" not in os.environ.get("MLPLAT_REQUIRE", "").split(","):
        pytest.skip(why)
    assert why is None, why
    with kubeapi.running(tmp_path_factory.mktemp("kubernetes") / "api", data=kubecrds.prepared()) as api:
        api.controllers("namespace-controller", "garbage-collector-controller", "serviceaccount-controller")
        with api.cluster() as cluster:
            # Where somebody else's Envoy Gateway, which the tests' platforms adopt, has its proxies.
            cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": names.PROXIES}})
        yield api
