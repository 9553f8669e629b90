"""What a deployment leaves in an account of moto's: found whole, another deployment's never touched."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws

from mlplat.errors import RefusedError
from mlplat.spec.aws import AwsSpec
from mlplat.targets.aws import leftovers, leftsources, sweep
from mlplat.targets.aws.leftovers import Found, Known
from mlplat.targets.aws.site import TAG, Site

ACCOUNT, REGION = "123456789012", "eu-west-1"
MINE, THEIRS = "aaaaaa1111112222", "bbbbbb3333334444"


@pytest.fixture(autouse=True)
def _account(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("MOTO_EC2_LOAD_DEFAULT_AMIS", "false")
    with mock_aws():
        yield


def site(identity: str = MINE) -> Site:
    return Site("acme", "dev", identity, AwsSpec(account=ACCOUNT, region=REGION))


@functools.cache
def session() -> boto3.Session:
    # One for all tests: each new one reads EC2's model, 10 MB of JSON, again.
    return boto3.Session("testing", "testing", region_name=REGION)


@functools.cache
def client(name: str) -> Any:
    return session().client(name)


def find(**more: Any) -> list[Found]:
    return leftovers.find(session(), site(), **more)


def kinds(found: list[Found]) -> set[str]:
    return {each.kind for each in found}


def tags(of: Site, **more: str) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in {**of.tags(), **more}.items()]


def owned(of: Site, **more: str) -> list[dict[str, str]]:
    """Return the tags of what a controller of the cluster makes, which knows nothing of the deployment."""
    told = {f"kubernetes.io/cluster/{of.base}": "owned", **more}
    return [{"Key": key, "Value": value} for key, value in told.items()]


def spoil(of: Site) -> dict[str, str]:
    """Leave one of each kind that a cluster's controllers and AWS's services leave behind."""
    ec2 = client("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    subnets = [
        ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.0.{index}.0/24", AvailabilityZone=f"{REGION}{zone}")["Subnet"][
            "SubnetId"
        ]
        for index, zone in enumerate("ab")
    ]

    def tagged(kind: str, of_whom: list[dict[str, str]]) -> list[dict[str, Any]]:
        return [{"ResourceType": kind, "Tags": of_whom}]

    volume = ec2.create_volume(
        AvailabilityZone=f"{REGION}a",
        Size=1,
        TagSpecifications=tagged(
            "volume",
            owned(
                of,
                **{
                    "kubernetes.io/created-for/pvc/name": "prometheus",
                    "kubernetes.io/created-for/pvc/namespace": "monitoring",
                },
            ),
        ),
    )["VolumeId"]
    group = ec2.create_security_group(
        GroupName=f"k8s-traffic-{of.base}",
        Description="x",
        VpcId=vpc,
        TagSpecifications=tagged("security-group", [{"Key": "elbv2.k8s.aws/cluster", "Value": of.base}]),
    )["GroupId"]
    template = ec2.create_launch_template(
        LaunchTemplateName=f"karpenter-{of.base}",
        LaunchTemplateData={"InstanceType": "m7i.large"},
        TagSpecifications=tagged("launch-template", [{"Key": "karpenter.k8s.aws/cluster", "Value": of.base}]),
    )["LaunchTemplate"]["LaunchTemplateId"]
    interface = ec2.create_network_interface(
        SubnetId=subnets[0],
        TagSpecifications=tagged("network-interface", [{"Key": "cluster.k8s.amazonaws.com/name", "Value": of.base}]),
    )["NetworkInterface"]["NetworkInterfaceId"]
    elb = client("elbv2")
    balancer = elb.create_load_balancer(
        Name=f"k8s-{of.deployment[:6]}",
        Subnets=subnets,
        Type="network",
        Tags=[{"Key": "elbv2.k8s.aws/cluster", "Value": of.base}],
    )["LoadBalancers"][0]["LoadBalancerArn"]
    target = elb.create_target_group(
        Name=f"k8s-{of.deployment[:6]}",
        Protocol="TCP",
        Port=80,
        VpcId=vpc,
        Tags=[{"Key": "elbv2.k8s.aws/cluster", "Value": of.base}],
    )["TargetGroups"][0]["TargetGroupArn"]
    client("logs").create_log_group(logGroupName=f"/aws/eks/{of.base}/cluster")
    iam = client("iam")
    trust = json.dumps({"Version": "2012-10-17", "Statement": []})
    iam.create_role(RoleName=of.name("nodes"), AssumeRolePolicyDocument=trust)
    iam.create_instance_profile(InstanceProfileName=f"{of.base}_1234567890")
    iam.add_role_to_instance_profile(InstanceProfileName=f"{of.base}_1234567890", RoleName=of.name("nodes"))
    client("s3").create_bucket(Bucket=of.name("data"), CreateBucketConfiguration={"LocationConstraint": REGION})
    client("s3").put_bucket_tagging(Bucket=of.name("data"), Tagging={"TagSet": tags(of)})
    queue = client("sqs").create_queue(QueueName=of.name("interruptions"), tags=of.tags())["QueueUrl"]
    return {
        "volume": volume,
        "group": group,
        "template": template,
        "interface": interface,
        "balancer": balancer,
        "target": target,
        "queue": queue,
    }


SPOILED = {
    "ec2:volume",
    "ec2:security-group",
    "ec2:launch-template",
    "ec2:network-interface",
    "elasticloadbalancing:loadbalancer",
    "elasticloadbalancing:targetgroup",
    "logs:log-group",
    "iam:instance-profile",
    "iam:role",
    "s3:bucket",
    "sqs:queue",
}


def test_a_clean_account_has_nothing_and_every_source_was_asked() -> None:
    assert find() == []


def test_everything_is_found_without_a_state() -> None:
    spoil(site())
    assert kinds(find()) == SPOILED


def test_another_deployment_of_the_same_stack_is_never_among_it() -> None:
    spoil(site(THEIRS))
    assert find() == []


def test_deleting_leaves_another_deployment_and_what_is_not_safe_as_it_was() -> None:
    spoil(site())
    spoil(site(THEIRS))
    theirs = leftovers.find(session(), site(THEIRS))
    left = sweep.sweep(session(), find(), lambda _: None, timeout=0, pause=0)
    assert left == []
    assert kinds(find()) == {"iam:role", "s3:bucket", "sqs:queue"}
    assert leftovers.find(session(), site(THEIRS)) == theirs


def test_what_is_kept_on_purpose_is_told_apart_until_it_was_to_go_too() -> None:
    spoil(site())
    assert [each.kind for each in find() if not each.counts] == ["s3:bucket"]
    assert all(each.counts for each in find(data=True))


def test_nothing_is_kept_on_purpose_where_nothing_is_protected() -> None:
    spoil(site())
    open_site = Site("acme", "dev", MINE, AwsSpec(account=ACCOUNT, region=REGION, environment="dev", protected=False))
    assert all(each.counts for each in leftovers.find(session(), open_site))


def test_what_the_state_knows_is_no_leftover() -> None:
    made = spoil(site())
    state = [
        {
            "type": "aws:s3/bucket:Bucket",
            "custom": True,
            "id": site().name("data"),
            "outputs": {"arn": f"arn:aws:s3:::{site().name('data')}"},
        },
        {
            "type": "aws:sqs/queue:Queue",
            "custom": True,
            "id": made["queue"],
            "outputs": {"arn": site().arn("sqs", site().name("interruptions"))},
        },
        {"type": "aws:iam/role:Role", "custom": True, "id": site().name("nodes"), "outputs": {}},
    ]
    assert kinds(find(known=leftovers.known(state))) == SPOILED - {"s3:bucket", "sqs:queue", "iam:role"}


def test_while_the_state_has_the_cluster_what_its_controllers_made_is_in_use() -> None:
    spoil(site())
    found = find(known=Known(clusters=frozenset({site().base})))
    assert not kinds(found) & {"ec2:volume", "ec2:launch-template", "elasticloadbalancing:loadbalancer"}
    tagged = Found("ec2:volume", "arn", "vol-1")
    assert leftovers._left([tagged], site(), Known(clusters=frozenset({site().base})), data=False) == []
    assert leftovers._left([tagged], site(), Known(), data=False)


def test_nothing_is_deleted_while_the_cluster_stands() -> None:
    client("eks").create_cluster(
        name=site().base, roleArn=f"arn:aws:iam::{ACCOUNT}:role/x", resourcesVpcConfig={"subnetIds": []}
    )
    with pytest.raises(RefusedError, match="still stands"):
        sweep.refuse_standing(session(), site())
    sweep.refuse_standing(session(), site(THEIRS))


def test_a_thing_on_its_way_out_is_none() -> None:
    key = client("kms").create_key(Tags=[{"TagKey": TAG, "TagValue": MINE}])["KeyMetadata"]["KeyId"]
    assert kinds(find()) == {"kms:key"}
    client("kms").schedule_key_deletion(KeyId=key)
    assert find() == []


def test_machines_of_pools_are_found_until_they_are_gone() -> None:
    ec2 = client("ec2")
    image = ec2.register_image(Name="machine", RootDeviceName="/dev/sda1")["ImageId"]
    made = ec2.run_instances(
        ImageId=image,
        MinCount=1,
        MaxCount=1,
        TagSpecifications=[{"ResourceType": "instance", "Tags": owned(site())}],
    )["Instances"][0]["InstanceId"]
    assert [(each.kind, each.name) for each in find()] == [("ec2:instance", made)]
    assert sweep.sweep(session(), find(), lambda _: None, timeout=0, pause=0) == []
    assert find() == []


def test_groups_that_name_each_other_go() -> None:
    ec2 = client("ec2")
    one, other = (spoil(of)["group"] for of in (site(), site(THEIRS)))
    ec2.authorize_security_group_ingress(
        GroupId=one, IpPermissions=[{"IpProtocol": "-1", "UserIdGroupPairs": [{"GroupId": one}]}]
    )
    sweep.sweep(session(), find(), lambda _: None, timeout=0, pause=0)
    left = {each["GroupId"] for each in ec2.describe_security_groups()["SecurityGroups"]}
    assert one not in left
    assert other in left


def test_what_is_still_in_use_is_tried_again_and_then_said(monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[str] = []

    def used(_: Any, found: Found) -> None:
        tried.append(found.name)
        if len(tried) != 3:
            raise ClientError({"Error": {"Code": "DependencyViolation", "Message": "in use"}}, "Delete")

    monkeypatch.setitem(sweep.HOW, "ec2:security-group", used)
    group = Found("ec2:security-group", "arn", "sg-1", fate="sweep")
    assert sweep.sweep(session(), [group], lambda _: None, timeout=600, pause=0.01) == []
    assert len(tried) == 3
    # A time that is over when it begins: how often it is tried within one would be a bet on this computer.
    assert sweep.sweep(session(), [group], lambda _: None, timeout=-1, pause=0.01) == [group]
    assert "sg-1" in sweep.failed([group], 1).message


def test_a_source_that_refuses_to_be_asked_is_not_called_clean(monkeypatch: pytest.MonkeyPatch) -> None:
    def tables(_: Any, __: Site) -> Iterator[Found]:
        raise ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, "ListTables")

    monkeypatch.setattr(leftsources, "ALL", (tables,))
    (unknown,) = find()
    assert unknown.counts
    assert unknown.fate == "unknown"
    assert "no" in (unknown.note or "")


def test_every_swept_kind_is_deleted_in_some_way_and_is_never_data() -> None:
    assert set(sweep.HOW) == set(leftovers.SWEPT)
    assert not set(leftovers.SWEPT) & set(leftovers.KEPT)


@pytest.mark.parametrize(
    ("arn", "kind", "name"),
    [
        ("arn:aws:s3:::acme", "s3:bucket", "acme"),
        ("arn:aws:ec2:eu-west-1:1:vpc/vpc-1", "ec2:vpc", "vpc-1"),
        ("arn:aws:rds:eu-west-1:1:db:acme", "rds:instance", "acme"),
        ("arn:aws:rds:eu-west-1:1:snapshot:acme-final", "rds:snapshot", "acme-final"),
        ("arn:aws:logs:eu-west-1:1:log-group:/aws/eks/a/cluster:*", "logs:log-group", "/aws/eks/a/cluster"),
        ("arn:aws:sqs:eu-west-1:1:acme", "sqs:queue", "acme"),
        ("arn:aws:ecr:eu-west-1:1:repository/mlplat/a/b", "ecr:repository", "mlplat/a/b"),
        (
            "arn:aws:elasticloadbalancing:eu-west-1:1:loadbalancer/net/k8s/1",
            "elasticloadbalancing:loadbalancer",
            "net/k8s/1",
        ),
        ("no arn", "unknown", "no arn"),
    ],
)
def test_an_arn_tells_its_kind_and_name(arn: str, kind: str, name: str) -> None:
    assert (leftovers.kind_of(arn), leftovers.name_of(arn)) == (kind, name)


@pytest.mark.parametrize("parts", [("nodes",), ("a" * 80,), ("interruptions", "dead")])
@pytest.mark.parametrize("limit", [26, 40, 63, 64])
def test_a_name_is_its_deployments_however_it_was_cut(parts: tuple[str, ...], limit: int) -> None:
    assert leftovers.is_named(site(), site().name(*parts, limit=limit))
    assert not leftovers.is_named(site(), site(THEIRS).name(*parts, limit=limit))


def test_the_cluster_is_called_as_the_component_calls_it() -> None:
    from mlplat.targets.aws.cluster import cluster_name

    long = Site("a" * 60, "b" * 60, MINE, site().aws)
    assert [leftovers.cluster(each) for each in (site(), long)] == [cluster_name(each) for each in (site(), long)]


def test_age_is_said_where_aws_tells_it() -> None:
    now = datetime(2013, 7, 3, tzinfo=UTC)
    assert Found("a:b", "a", "a", now - timedelta(days=3)).age(now) == "3 d"
    assert Found("a:b", "a", "a", now - timedelta(hours=5)).age(now) == "5 h"
    assert Found("a:b", "a", "a").age(now) is None
