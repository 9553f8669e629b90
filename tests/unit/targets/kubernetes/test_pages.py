from __future__ import annotations

from typing import Any

import pytest

from knowncluster import KnownCluster, made
from mlplat.errors import NotReadyError, UsageError
from mlplat.targets.kubernetes import pages
from mlplat.targets.kubernetes.connection import OWNER
from mlplat.targets.kubernetes.forward import Target


def service(name: str, namespace: str, labels: dict[str, str], *ports: tuple[str, int]) -> dict[str, Any]:
    told = [{"name": each, "port": port} for each, port in ports]
    return made("Service", name, namespace, metadata={"labels": labels}, spec={"ports": told})


def find(cluster: KnownCluster, name: str) -> tuple[Target, str]:
    return pages.find(cluster, name)  # type: ignore[arg-type]


def test_pages_are_found_by_labels_wherever_somebody_has_put_them() -> None:
    grafana = service("prom-grafana", "observability", {"app.kubernetes.io/name": "grafana"}, ("http-web", 80))
    assert find(KnownCluster(grafana), "grafana") == (Target("observability", "prom-grafana", 80), "http")


def test_the_port_for_people_is_chosen_of_several() -> None:
    labels = {"app.kubernetes.io/name": "opencost"}
    both = service("opencost", "opencost", labels, ("metrics", 9003), ("http-ui", 9090))
    assert find(KnownCluster(both), "costs")[0].port == 9090
    prometheus = service("prometheus-operated", "monitoring", {"operated-prometheus": "true"}, ("http-web", 9090))
    assert find(KnownCluster(prometheus), "prometheus")[0].port == 9090


def test_tls_is_told_by_its_port() -> None:
    proxies = service("envoy", "envoy-gateway-system", dict(OWNER), ("https-443", 443))
    assert find(KnownCluster(proxies), "gateway")[1] == "https"


def test_a_service_elsewhere_with_the_same_label_is_not_the_platforms_own() -> None:
    other = service("tracking", "somebodys", {"app.kubernetes.io/name": "tracking"}, ("http", 5000))
    with pytest.raises(NotReadyError, match="no service of `tracking`"):
        find(KnownCluster(other), "tracking")


def test_what_is_missing_is_told_with_what_brings_it() -> None:
    with pytest.raises(NotReadyError) as caught:
        find(KnownCluster(), "workflows")
    assert "`kubernetes.addons.pipelines`" in str(caught.value.hint)
    with pytest.raises(UsageError) as unknown:
        find(KnownCluster(), "grafna")
    assert "grafana" in str(unknown.value.hint)
