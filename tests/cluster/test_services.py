"""What services become is what a real API server takes, field by field."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

import servicevalues
import workloads
from mlplat.cluster import Cluster
from mlplat.errors import MlplatError
from mlplat.manifests import Peer, Place, workload
from mlplat.services import Service
from workloads import Document, where

pytestmark = pytest.mark.cluster
NAMESPACE = "services"
METADATA = {"metadata_service": "public.ecr.aws/outerbounds/metaflow_metadata_service:2.5.1"}
KEPT = {
    "databases": {"tracking": "t", "features": "f", "pipelines": "p"},
    "objects": {"buckets": {each: each for each in workloads.BUCKETS}},
    "metadata_service": f"public.ecr.aws/outerbounds/metaflow_metadata_service:2.5.1{workloads.DIGEST}",
    "production": True,
}


@pytest.fixture(scope="module")
def namespace(api: Cluster) -> Iterator[str]:
    """Make a namespace of the test's own."""
    name = f"{NAMESPACE}-{uuid.uuid4().hex[:6]}"
    api.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    yield name
    api.delete("v1", "Namespace", name)


def refused(api: Cluster, documents: list[Document], *, dry_run: bool) -> list[str]:
    """Apply documents in their order, and return what the API server says against them."""
    found = []
    for each in documents:
        try:
            api.apply(each, dry_run=dry_run)
        except MlplatError as error:
            found.append(f"{where(each)}: {error.told()}")
    return found


@pytest.mark.parametrize("on", [{}, METADATA, KEPT], ids=["small", "with metadata", "production"])
def test_every_object_of_the_platforms_services_is_taken(api: Cluster, namespace: str, on: dict[str, Any]) -> None:
    made = workloads.documents(workloads.spec(on, teams={"sky": {"projects": ["flights"]}}), namespace=namespace)
    assert refused(api, made, dry_run=True) == []


def test_the_same_services_again_change_nothing(api: Cluster, namespace: str) -> None:
    made = workloads.documents(workloads.spec(), namespace=namespace)
    assert refused(api, made, dry_run=False) == []
    first = [_version(api, each, namespace) for each in made]
    assert refused(api, made, dry_run=False) == []
    assert [_version(api, each, namespace) for each in made] == first


def _version(api: Cluster, document: Document, namespace: str) -> tuple[str, str]:
    name = document["metadata"]["name"]
    found = api.get(document["apiVersion"], document["kind"], name, namespace)
    assert found is not None
    return where(document), found["metadata"]["resourceVersion"]


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
)
@given(servicevalues.SERVICES)
def test_any_service_is_taken(api: Cluster, namespace: str, service: Service) -> None:
    peers = dict.fromkeys(("api", "database", "gateway", "other"), Peer((1,), {"matchLabels": {"a": "b"}}))
    place = Place({"image": "r/x:1"}, namespace, {"region": "here"}, production=False, peers=peers)
    assert refused(api, workload(service, place), dry_run=True) == []
