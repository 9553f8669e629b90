"""Platforms that stand for a whole session: brought up once, for the tests of every target and for a target's own.

Nothing heavy is imported before a platform is asked for:
this is loaded for every test.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from awsengine import Emulation
    from conformance import Standing
    from kubeapi import Api

LAST = ("ending", "ended")
"""Fixtures of tests that end a platform, and of those that look at what is left: they come after all others."""
SECRET = "a-word-of-somebodys"  # noqa: S105 - to be found nowhere


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let what ends a platform come last."""
    items.sort(key=lambda item: [name in getattr(item, "fixturenames", ()) for name in reversed(LAST)])


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """Return a running API server, with the controllers that empty namespaces and remove what nobody owns."""
    import kubeapi
    import kubecrds
    from conformancecluster import named
    from mlplat.manifests import names

    _need("cluster", kubeapi.missing())
    with kubeapi.running(tmp_path_factory.mktemp("kubernetes") / "api", data=kubecrds.prepared()) as api:
        api.controllers("namespace-controller", "garbage-collector-controller", "serviceaccount-controller")
        with api.cluster() as cluster:
            # Where somebody else's Envoy Gateway, which the tests' platforms adopt, has its proxies.
            cluster.apply(named("v1", "Namespace", names.PROXIES))
        yield api


@pytest.fixture(scope="session")
def emulation() -> Iterator[Emulation]:
    """Return a running emulation of AWS."""
    import awsengine

    with awsengine.emulation() as running:
        yield running


@pytest.fixture(scope="session")
def local_platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Standing]:
    """Return a platform on this computer."""
    import conformance
    from commands import Mlplat

    made = Mlplat(tmp_path_factory.mktemp("platform"), env={"SOMEBODYS_SECRET": SECRET})
    made.stack()
    brought = made.run("up", "--json", timeout=900).json()
    yield conformance.on_this_computer(made, brought, SECRET)
    made.run("down", code=None)


@pytest.fixture(scope="session")
def kubernetes_platform(tmp_path_factory: pytest.TempPathFactory, server: Api) -> Iterator[Standing]:
    """Return a platform on a cluster without nodes."""
    import conformance

    _need_engine()
    with conformance.cluster_stands(tmp_path_factory.mktemp("platform"), server) as standing:
        yield standing


@pytest.fixture(scope="session")
def aws_platform(tmp_path_factory: pytest.TempPathFactory, emulation: Emulation) -> Iterator[Standing]:
    """Return a platform in an emulated account, with a real API server in the place of its cluster."""
    import conformance
    import kubeapi

    _need_engine()
    _need("cluster", kubeapi.missing())
    with conformance.account_stands(tmp_path_factory.mktemp("platform"), emulation) as standing:
        yield standing


@pytest.fixture
def ending() -> None:
    """Say that a test ends a platform."""


def _need_engine() -> None:
    import engine

    _need("engine", None if engine.find() else "no Pulumi engine here: `make tools` builds one")


def _need(level: str, missing: str | None) -> None:
    """Leave a test out for what is missing, unless its level is required."""
    if missing and level not in os.environ.get("MLPLAT_REQUIRE", "").split(","):
        pytest.skip(missing)
    assert missing is None, missing
