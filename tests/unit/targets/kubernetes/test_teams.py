from __future__ import annotations

from typing import Any

import pytest

from mlplat.errors import UsageError
from mlplat.manifests import names
from mlplat.spec.platform import PlatformSpec, parse_platform
from mlplat.targets.kubernetes import access, teams


def platform(**kubernetes: Any) -> PlatformSpec:
    document = {
        "version": 2,
        "target": "kubernetes",
        "engine": {},
        "kubernetes": {"context": "test", "production": False, **kubernetes},
        "pools": {"gpu": {"node_selector": {"pool": "gpu"}, "gpu_count": 1, "shared_by": 4, "max_size": 2}},
        "teams": {
            "flights": {"members": ["b", "a"], "admins": ["leads"], "cpu": 8, "memory_gib": 32, "gpu": 2},
            "pricing": {"cpu": 4, "memory_gib": 16, "monthly_usd": 99.5},
        },
    }
    return parse_platform(document, "a test")


def of(documents: list[dict[str, Any]], kind: str, name: str | None = None) -> list[dict[str, Any]]:
    return [each for each in documents if each["kind"] == kind and name in (None, each["metadata"]["name"])]


def test_a_namespace_is_held_to_the_strictest_standard_and_known_by_its_team() -> None:
    labels = teams.ground("pricing", platform())["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"
    assert (labels[names.TEAM], labels[names.ROUTES], labels[names.QUEUED]) == ("pricing", "true", "true")
    assert labels[teams.BUDGET] == "99.5"


@pytest.mark.parametrize(("group", "label"), [("gateway", names.ROUTES), ("queues", names.QUEUED)])
def test_what_is_off_finds_no_namespace(group: str, label: str) -> None:
    assert label not in teams.ground("flights", platform(addons={group: "off"}))["metadata"]["labels"]


@pytest.mark.parametrize("name", ["mlplat", "default", "kube-system", "kube-anything"])
def test_no_team_is_called_as_a_namespace_of_the_clusters_own(name: str) -> None:
    spec = platform().model_copy(update={"teams": {name: platform().teams["flights"]}})
    with pytest.raises(UsageError, match=f"`teams.{name}`"):
        teams.refuse_reserved(spec)
    teams.refuse_reserved(platform())


def test_a_quota_leaves_room_for_what_queues_lend() -> None:
    alone = teams.ceiling("flights", platform(addons={"queues": "off"}))
    assert alone == {
        "requests.cpu": "8",
        "requests.memory": "32Gi",
        "requests.nvidia.com/gpu": "2",
        "requests.nvidia.com/gpu.shared": "8",
    }
    lent = teams.ceiling("pricing", platform())
    assert (lent["requests.cpu"], lent["requests.memory"], lent["requests.nvidia.com/gpu"]) == ("12", "48Gi", "2")


def test_a_team_without_gpus_gets_none() -> None:
    assert teams.ceiling("pricing", platform(addons={"queues": "off"}))["requests.nvidia.com/gpu"] == "0"


def test_no_team_opens_a_way_in_beside_the_gateway() -> None:
    (quota,) = of(teams.within("flights", platform(), on_cloud=False), "ResourceQuota")
    assert (quota["spec"]["hard"]["services.loadbalancers"], quota["spec"]["hard"]["services.nodeports"]) == ("0", "0")


def test_members_and_leads_have_their_roles_and_a_team_without_either_has_no_binding() -> None:
    documents = teams.within("flights", platform(), on_cloud=False)
    found = {each["metadata"]["name"]: each for each in of(documents, "RoleBinding")}
    assert found["members"]["roleRef"]["name"] == access.EDIT
    assert [each["name"] for each in found["members"]["subjects"]] == ["a", "b"]
    assert found["admins"]["roleRef"]["name"] == access.ADMIN
    bare = of(teams.within("pricing", platform(), on_cloud=False), "RoleBinding")
    assert [each["metadata"]["name"] for each in bare] == ["pipeline"]


def test_accounts_pull_with_the_registrys_secret_and_have_no_token_unless_a_pod_asks() -> None:
    spec = platform(images={"pull_secret": "registry"})
    accounts = of(teams.within("flights", spec, on_cloud=False), "ServiceAccount")
    assert [each["metadata"]["name"] for each in accounts] == ["pipeline", "serving"]
    assert {each["automountServiceAccountToken"] for each in accounts} == {False}
    assert all(each["imagePullSecrets"] == [{"name": "registry"}] for each in accounts)


def test_nobody_reaches_anybody_but_by_a_rule() -> None:
    (denied,) = of(teams.within("flights", platform(), on_cloud=False), "NetworkPolicy", "default-deny")
    assert denied["spec"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}


def test_pipelines_are_reached_by_pipelines_alone_and_model_servers_by_none_of_their_rules() -> None:
    (policy,) = of(teams.within("flights", platform(), on_cloud=False), "NetworkPolicy", "pipelines")
    spec = policy["spec"]
    assert spec["podSelector"]["matchExpressions"] == [{"key": names.REVISION, "operator": "DoesNotExist"}]
    assert spec["ingress"] == [{"from": [{"podSelector": spec["podSelector"]}]}]


def test_the_nodes_own_identity_is_out_of_reach() -> None:
    for policy in of(teams.within("flights", platform(), on_cloud=True), "NetworkPolicy"):
        for rule in policy["spec"].get("egress", []):
            for end in rule["to"]:
                block = end.get("ipBlock", {})
                if block.get("cidr", "").endswith("/0"):
                    assert block["except"], policy["metadata"]["name"]


def test_pods_ask_for_their_role_in_an_account_alone() -> None:
    assert of(teams.within("flights", platform(), on_cloud=True), "NetworkPolicy", "allow-identity")
    assert not of(teams.within("flights", platform(), on_cloud=False), "NetworkPolicy", "allow-identity")
