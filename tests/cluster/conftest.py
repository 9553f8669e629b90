"""The cluster's tests: one real API server for all, with the definitions of every kind that the platform uses."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

import kubeapi
import kubecrds
from mlplat.cluster import Cluster


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave the cluster's tests out, in one line, where there is no API server and none is required."""
    reason = kubeapi.missing()
    if reason is None or "cluster" in os.environ.get("MLPLAT_REQUIRE", "").split(","):
        return
    skip = pytest.mark.skip(reason=reason)
    for item in items:
        if item.get_closest_marker("cluster"):
            item.add_marker(skip)


@pytest.fixture(scope="session")
def kubernetes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[kubeapi.Api]:
    """Return an API server with every definition on it, for the whole session."""
    with kubeapi.running(tmp_path_factory.mktemp("kubernetes") / "api", data=kubecrds.prepared()) as api:
        yield api


@pytest.fixture(scope="session")
def api(kubernetes: kubeapi.Api) -> Iterator[Cluster]:
    """Return a client of the session's API server, as its administrator."""
    with kubernetes.cluster() as cluster:
        yield cluster
