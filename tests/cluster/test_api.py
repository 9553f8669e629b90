"""The API server that the cluster's tests stand on is a real one, and refuses what a real one refuses."""

from __future__ import annotations

import pytest

import kubecrds
from mlplat.cluster import Cluster
from mlplat.errors import RefusedError

pytestmark = pytest.mark.cluster
ROUTE = {
    "apiVersion": "gateway.networking.k8s.io/v1",
    "kind": "HTTPRoute",
    "metadata": {"name": "churn", "namespace": "default"},
}


def test_every_kind_that_is_defined_is_served(api: Cluster) -> None:
    expected = [
        (f"{each['spec']['group']}/{version['name']}", each["spec"]["names"]["kind"])
        for each in [*kubecrds.carried(), *kubecrds.packed()]
        for version in each["spec"]["versions"]
        if version["served"]
    ]
    assert len(expected) > 50
    assert not [each for each in expected if not api.knows(*each)]


def test_no_kind_that_the_platform_uses_is_left_unchecked() -> None:
    if found := kubecrds.unchecked():
        pytest.skip(f"no definitions of {', '.join(found)}: set MLPLAT_CRD_SCHEMAS to the folder of their schemas")


def test_it_refuses_a_key_that_a_custom_resource_does_not_have(api: Cluster) -> None:
    with pytest.raises(RefusedError, match="hostname"):
        api.apply({**ROUTE, "spec": {"hostname": "churn.example.com"}}, dry_run=True)


def test_it_enforces_the_rules_that_no_schema_can_say(api: Cluster) -> None:
    # A redirect and a backend in one rule: each is right by itself.
    filters = [{"type": "RequestRedirect", "requestRedirect": {"statusCode": 301}}]
    rule = {"filters": filters, "backendRefs": [{"name": "churn", "port": 80}]}
    with pytest.raises(RefusedError, match="RequestRedirect filter must not be used together with backendRefs"):
        api.apply({**ROUTE, "spec": {"rules": [rule]}}, dry_run=True)
