from __future__ import annotations

from typing import Any

import pytest

from knowncluster import KnownCluster, made
from mlplat.controller.stores import Entry
from mlplat.spec.platform import PlatformSpec, parse_platform
from mlplat.targets.kubernetes import connection

SERVICE = made(
    "Service",
    "envoy-mlplat-mlplat-1a2b",
    "envoy-gateway-system",
    metadata={"labels": connection.OWNER},
    spec={"ports": [{"port": 80, "nodePort": 30_080}]},
)


def platform(**exposure: Any) -> PlatformSpec:
    written = {
        "version": 2,
        "target": "kubernetes",
        "engine": {},
        "kubernetes": {"context": "here", "production": False, "exposure": exposure},
        "teams": {"flights": {"projects": ["late", "flights"]}, "pricing": {"projects": ["fares"]}, "idle": {}},
    }
    return parse_platform(written, "test")


def gateway(port: int = 80, address: str | None = None, **listener: Any) -> dict[str, Any]:
    status = {"addresses": [{"type": "IPAddress", "value": address}]} if address else {}
    spec = {"listeners": [{"name": "endpoints", "port": port, "protocol": "HTTP", **listener}]}
    return made("Gateway", "mlplat", "mlplat", connection.GATEWAYS, spec=spec, status=status)


@pytest.mark.parametrize(
    ("exposure", "found", "address"),
    [
        ({}, gateway(address="lb.example.com"), "http://lb.example.com"),
        ({}, gateway(443, "lb.example.com"), "https://lb.example.com"),
        ({}, gateway(443, "10.1.2.3", protocol="HTTPS", hostname="ml.example.com"), "https://ml.example.com"),
        ({}, gateway(address="10.1.2.3", hostname="*.ml.example.com"), "http://mlplat.ml.example.com"),
        ({}, gateway(), "http://envoy-mlplat-mlplat-1a2b.envoy-gateway-system.svc:80"),
        ({"service": "node-port"}, gateway(address="192.0.2.7"), "http://192.0.2.7:30080"),
        # The address of a ClusterIP is in the status too, and is of no use outside of it.
        (
            {"service": "cluster-ip"},
            gateway(address="10.96.7.7"),
            "http://envoy-mlplat-mlplat-1a2b.envoy-gateway-system.svc:80",
        ),
        ({"service": "cluster-ip"}, gateway(hostname="ml.example.com"), "http://ml.example.com"),
    ],
)
def test_endpoints_answer_where_the_cluster_says(exposure: dict[str, Any], found: Any, address: str) -> None:
    assert connection.address(platform(**exposure), found, SERVICE) == address


def test_a_gateway_that_nobody_has_made_yet_has_no_address() -> None:
    assert connection.address(platform(), gateway(), None) == ""
    assert connection.address(platform(), None, None) == ""


def test_a_project_is_in_its_teams_namespace() -> None:
    tracking = made("Service", "tracking", "mlplat", spec={"ports": [{"port": 5001}]})
    found = connection.connection(
        platform(),
        "staging",
        Entry("here"),
        KnownCluster(gateway(address="lb"), SERVICE, tracking),  # type: ignore[arg-type]
    )
    assert found.namespaces == {"flights": "flights", "late": "flights", "fares": "pricing"}
    assert (found.gateway, found.tracking) == ("http://lb", "http://tracking.mlplat.svc:5001")
    assert found.store == "kubernetes:here"
