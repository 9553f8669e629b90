from __future__ import annotations

from typing import Any

import pytest

import awsparts
from mlplat.targets.aws.balancer import TAG, policies
from mlplat.targets.aws.iam import document
from mlplat.targets.aws.podroles import POLICY_LIMIT
from mlplat.targets.aws.site import Site

CLUSTER = "mlplat-dev-012345"
OURS = {f"aws:ResourceTag/{TAG}": CLUSTER}
ASKED = {f"aws:RequestTag/{TAG}": CLUSTER}
READS = ("Describe", "Get")


def statements() -> list[dict[str, Any]]:
    return [each.value() for given in policies(awsparts.site(), CLUSTER).values() for each in given]


def allowing(action: str) -> list[dict[str, Any]]:
    found = [each for each in statements() if action in each["Action"]]
    assert found, action
    return found


def test_each_policy_fits_also_with_the_longest_names() -> None:
    long = Site("p" * 60, "s" * 60, awsparts.DEPLOYMENT, awsparts.aws())
    for given in policies(long, "c" * 100).values():
        assert len("".join(document(*given).split())) < POLICY_LIMIT


@pytest.mark.parametrize(
    "action",
    [
        "elasticloadbalancing:DeleteLoadBalancer",
        "elasticloadbalancing:DeleteTargetGroup",
        "elasticloadbalancing:DeleteListener",
        "elasticloadbalancing:RegisterTargets",
        "elasticloadbalancing:RemoveTags",
        "ec2:DeleteSecurityGroup",
        "ec2:DeleteTags",
    ],
)
def test_it_changes_and_ends_only_what_is_its_cluster_s(action: str) -> None:
    for each in allowing(action):
        assert each["Condition"]["StringEquals"] == OURS


@pytest.mark.parametrize("action", ["CreateLoadBalancer", "CreateTargetGroup"])
def test_whatever_it_makes_carries_its_cluster_s_tag(action: str) -> None:
    for each in allowing(f"elasticloadbalancing:{action}"):
        assert each["Condition"]["StringEquals"] == ASKED


@pytest.mark.parametrize("action", ["elasticloadbalancing:AddTags", "ec2:CreateTags"])
def test_it_tags_what_it_just_made_or_what_is_its_own(action: str) -> None:
    new, own = allowing(action)
    assert own["Condition"]["StringEquals"] == OURS
    assert set(new["Condition"]["StringEquals"]) > set(ASKED)
    assert any(key.endswith(":CreateAction") for key in new["Condition"]["StringEquals"])


def test_it_opens_its_own_groups_and_the_nodes_and_no_other() -> None:
    conditions = [each["Condition"]["StringEquals"] for each in allowing("ec2:AuthorizeSecurityGroupIngress")]
    assert conditions == [OURS, {f"aws:ResourceTag/kubernetes.io/cluster/{CLUSTER}": "owned"}]


def test_nothing_but_reads_is_for_everything() -> None:
    for each in statements():
        if "*" in each["Resource"]:
            assert all(action.split(":")[1].startswith(READS) for action in each["Action"])


def test_it_makes_one_service_s_role_and_no_other() -> None:
    (made,) = allowing("iam:CreateServiceLinkedRole")
    assert made["Condition"] == {"StringEquals": {"iam:AWSServiceName": "elasticloadbalancing.amazonaws.com"}}
    assert made["Resource"][0].endswith("/AWSServiceRoleForElasticLoadBalancing")
