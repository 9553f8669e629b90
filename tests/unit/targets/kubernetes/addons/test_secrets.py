from __future__ import annotations

from typing import Any

from mlplat.spec.kubernetes import AddonsSpec, KubernetesSpec
from mlplat.targets.kubernetes.addons import secrets
from mlplat.targets.kubernetes.addons.standing import Standing


def policies(**addons: Any) -> dict[str, dict[str, Any]]:
    spec = KubernetesSpec(addons=AddonsSpec(**addons))
    return {each["metadata"]["name"]: each["spec"] for each in secrets.policies(Standing(spec))}


def test_each_of_its_pods_has_a_way_through_a_namespace_that_denies_the_rest() -> None:
    chosen = {spec["podSelector"]["matchLabels"]["app.kubernetes.io/name"] for spec in policies().values()}
    assert chosen == {"external-secrets", "external-secrets-webhook", "external-secrets-cert-controller"}


def test_the_api_server_reaches_the_webhook_where_the_chart_lets_it_listen() -> None:
    asked = policies()["external-secrets-webhook"]["ingress"][0]
    values = secrets.releases(Standing(KubernetesSpec()))[0].values
    assert [each["port"] for each in asked["ports"]] == [values["webhook"]["port"]]


def test_nobody_but_the_api_server_reaches_it_where_nothing_is_watched() -> None:
    found = policies(monitoring="off", cost="off")
    assert [len(spec["ingress"]) for spec in found.values()] == [0, 1, 0]


def test_it_cannot_become_its_node() -> None:
    for spec in policies().values():
        blocks = [each["ipBlock"] for rule in spec["egress"] for each in rule["to"]]
        assert {"169.254.169.254/32"} <= {out for block in blocks for out in block["except"]}
