from __future__ import annotations

import re
from typing import Any

import pytest

from mlplat.errors import SpecError
from mlplat.spec.base import parse
from mlplat.spec.kubernetes import KubernetesSpec
from mlplat.targets.kubernetes.addons import cost, monitoring
from mlplat.targets.kubernetes.addons.standing import Standing


def values(**written: Any) -> dict[str, Any]:
    spec = parse(KubernetesSpec, {"monitoring": written}, "a test")
    return monitoring.releases(Standing(spec))[0].values


def test_metrics_end_before_their_disk_does() -> None:
    spec = values(storage_gib=100, retention_days=30)["prometheus"]["prometheusSpec"]
    kept = re.fullmatch(r"(\d+)MiB", spec["retentionSize"])
    assert kept
    assert int(kept[1]) < 100 * 1024
    assert spec["retention"] == "30d"
    assert spec["storageSpec"]["volumeClaimTemplate"]["spec"]["resources"]["requests"]["storage"] == "100Gi"


def test_an_unnamed_storage_class_is_left_to_the_cluster() -> None:
    claim = values()["prometheus"]["prometheusSpec"]["storageSpec"]["volumeClaimTemplate"]["spec"]
    assert "storageClassName" not in claim


def test_their_prometheus_is_asked_where_it_is_and_ours_where_the_chart_puts_it() -> None:
    written = {"addons": {"monitoring": "adopt"}, "monitoring": {"prometheus": "http://metrics.example:9090"}}
    theirs = parse(KubernetesSpec, written, "a test")
    assert monitoring.address(theirs) == "http://metrics.example:9090"
    assert monitoring.address(KubernetesSpec()) == "http://kube-prometheus-stack-prometheus.monitoring.svc:9090"
    asked = cost.releases(Standing(theirs))[0].values["opencost"]["prometheus"]
    assert asked["external"] == {"enabled": True, "url": "http://metrics.example:9090"}
    assert asked["internal"] == {"enabled": False}


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ({"addons": {"monitoring": "off"}}, "write `cost: off` too"),
        ({"addons": {"monitoring": "adopt"}}, "`monitoring.prometheus` is required"),
        ({"monitoring": {"prometheus": "http://x:9090"}}, "belongs to `addons.monitoring: adopt`"),
    ],
)
def test_metrics_that_nobody_could_find_are_refused(written: dict[str, Any], said: str) -> None:
    with pytest.raises(SpecError, match=re.escape(said)):
        parse(KubernetesSpec, written, "a test")
