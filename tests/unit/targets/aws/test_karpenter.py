from __future__ import annotations

import fnmatch
import json
from typing import Any

import pytest

import awscluster
import awsparts
from mlplat.targets.aws import events
from mlplat.targets.aws.iam import Statement, document
from mlplat.targets.aws.karpenter_policies import policies
from mlplat.targets.aws.podroles import POLICY_LIMIT
from mlplat.targets.aws.site import Site

CLUSTER = awscluster.NAME
NODE_ROLE = f"arn:aws:iam::{awsparts.ACCOUNT}:role/node"
OWN = f"kubernetes.io/cluster/{CLUSTER}"


def statements(site: Site | None = None) -> dict[str, dict[str, Any]]:
    """Return every statement of the controller, by policy and name."""
    where = site or awsparts.site()
    made = policies(where, CLUSTER, node_role_arn=NODE_ROLE, queue_arn=events.queue_arn(where), key_arn=awsparts.KEY)
    return {f"{name}.{each.sid}": each.value() for name, given in made.items() for each in given}


def test_each_policy_fits_also_with_the_longest_names() -> None:
    long = Site("p" * 60, "s" * 60, awsparts.DEPLOYMENT, awsparts.aws())
    made = policies(
        long, "c" * 100, node_role_arn=f"{NODE_ROLE}{'n' * 64}", queue_arn=events.queue_arn(long), key_arn=awsparts.KEY
    )
    assert len(made) == 6
    for name, given in made.items():
        text = "".join(document(*given).split())
        assert len(text) < POLICY_LIMIT, f"{name}: {len(text)}"


@pytest.mark.parametrize("action", ["ec2:TerminateInstances", "ec2:DeleteLaunchTemplate"])
def test_it_ends_only_what_is_its_cluster_s_own(action: str) -> None:
    (found,) = [each for each in statements().values() if action in each["Action"]]
    assert found["Condition"]["StringEquals"] == {f"aws:ResourceTag/{OWN}": "owned"}
    assert found["Condition"]["StringLike"] == {"aws:ResourceTag/karpenter.sh/nodepool": "*"}


def test_whatever_it_starts_carries_the_cluster_s_tags() -> None:
    for sid in ("lifecycle.Start", "lifecycle.TagWhatStarts"):
        equals = statements()[sid]["Condition"]["StringEquals"]
        assert equals[f"aws:RequestTag/{OWN}"] == "owned"
        assert equals["aws:RequestTag/eks:eks-cluster-name"] == CLUSTER


def test_later_it_changes_names_of_its_own_instances_and_no_other_tag() -> None:
    condition = statements()["lifecycle.TagOwnInstances"]["Condition"]
    assert condition["ForAllValues:StringEquals"]["aws:TagKeys"] == [
        "eks:eks-cluster-name",
        "karpenter.sh/nodeclaim",
        "Name",
    ]
    assert condition["StringEquals"] == {f"aws:ResourceTag/{OWN}": "owned"}


def test_it_passes_one_role_to_one_service() -> None:
    found = statements()["profiles.PassNodeRole"]
    assert found["Resource"] == [NODE_ROLE]
    assert found["Condition"] == {"StringEquals": {"iam:PassedToService": "ec2.amazonaws.com"}}


def test_a_node_class_can_be_deleted() -> None:
    """Without these two rights its finalizer never clears (karpenter-provider-aws#9185)."""
    assert statements()["profiles.ListProfiles"]["Resource"] == ["*"]
    (profiles,) = statements()["profiles.ReadProfiles"]["Resource"]
    assert fnmatch.fnmatch(f"arn:aws:iam::{awsparts.ACCOUNT}:instance-profile/anybody-s", profiles)


def test_nothing_may_be_done_to_all_but_reads() -> None:
    for name, each in statements().items():
        if each["Resource"] == ["*"]:
            assert all(action.split(":")[1].startswith(("Describe", "List", "Get")) for action in each["Action"]), name


def test_disks_under_our_key_can_be_made_by_ec2_alone() -> None:
    for sid in ("volumes.Disks", "volumes.DiskGrants"):
        assert statements()[sid]["Condition"]["StringEquals"] == {"kms:ViaService": "ec2.eu-west-1.amazonaws.com"}
    assert statements()["volumes.DiskGrants"]["Condition"]["Bool"] == {"kms:GrantIsForAWSResource": "true"}


def test_nodes_of_pools_join_by_their_own_entry_without_groups() -> None:
    graph = awscluster.graph()
    entry = graph.one("aws:eks/accessEntry:AccessEntry", "node").inputs
    assert entry["type"] == "EC2_LINUX"
    assert "kubernetesGroups" not in entry
    assert entry["principalArn"] == "${aws:iam/role:Role::node.arn}"


def test_the_controller_s_identity_is_bound_to_its_chart_s_account() -> None:
    ready, graph = awscluster.ready(), awscluster.graph()
    bound = graph.one("aws:eks/podIdentityAssociation:PodIdentityAssociation", "karpenter")
    assert (bound.inputs["namespace"], bound.inputs["serviceAccount"]) == ("kube-system", "karpenter")
    assert bound.key in ready
    policies_made = [each for each in graph.of("aws:iam/policy:Policy") if each.name.startswith("karpenter-")]
    assert len(policies_made) == 6


def test_only_our_rules_write_to_the_queue_and_nobody_without_tls() -> None:
    site = awsparts.site()
    rules, tls = json.loads(events.queue_policy(site))["Statement"]
    assert rules["Principal"] == {"Service": "events.amazonaws.com"}
    assert set(rules["Condition"]) == {"ArnEquals"}
    names = [each.inputs["name"] for each in awscluster.graph().of("aws:cloudwatch/eventRule:EventRule")]
    said = rules["Condition"]["ArnEquals"]["aws:SourceArn"]
    assert sorted(each.rpartition("/")[2] for each in said) == sorted(names)
    assert (tls["Effect"], tls["Condition"]) == ("Deny", {"Bool": {"aws:SecureTransport": "false"}})


def test_four_kinds_of_event_reach_the_queue() -> None:
    graph = awscluster.graph()
    queue = graph.one("aws:sqs/queue:Queue")
    assert (queue.inputs["messageRetentionSeconds"], queue.inputs["sqsManagedSseEnabled"]) == (300, True)
    kinds = {
        kind
        for rule in graph.of("aws:cloudwatch/eventRule:EventRule")
        for kind in json.loads(rule.inputs["eventPattern"])["detail-type"]
    }
    assert kinds == {
        "AWS Health Event",
        "EC2 Spot Instance Interruption Warning",
        "EC2 Instance State-change Notification",
        "EC2 Capacity Reservation Instance Interruption Warning",
    }
    targets = graph.of("aws:cloudwatch/eventTarget:EventTarget")
    assert {each.inputs["arn"] for each in targets} == {"${aws:sqs/queue:Queue::interruptions.arn}"}
    assert len(targets) == 4


def test_several_node_training_stands_close_together() -> None:
    pools = awscluster.pools(fast={"instance_types": ["p5.48xlarge"], "efa": True, "workload": "training"}, slow={})
    graph = awscluster.graph(pool=pools)
    group = graph.one("aws:ec2/placementGroup:PlacementGroup").inputs
    assert (group["name"], group["strategy"]) == (f"{CLUSTER}-pool-fast", "cluster")


@pytest.mark.parametrize("isolated", [False, True])
def test_where_nothing_leaves_the_network_the_profile_is_made_here(isolated: bool) -> None:
    made = awscluster.graph(network={"isolated": isolated}).of("aws:iam/instanceProfile:InstanceProfile")
    assert len(made) == int(isolated)


def test_a_statement_without_a_resource_or_a_reason_cannot_be_written() -> None:
    with pytest.raises(ValueError, match="no reason"):
        Statement("All", ["ec2:TerminateInstances"])
