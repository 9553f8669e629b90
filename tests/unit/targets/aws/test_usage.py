"""What a platform uses, read off its spec."""

from __future__ import annotations

import pytest

import awsasked
import awsprogram
from mlplat.spec.aws.cluster import NightsSpec
from mlplat.targets.aws import endpoints, nodeclass
from mlplat.targets.aws.nights import moments
from mlplat.targets.aws.prices import HOURS
from mlplat.targets.aws.usage import Use, awake, interfaces, uses

WEEK = 168 / HOURS
PAID = {
    "aws:backup/vault:Vault": "backup",
    "aws:backup/restoreTestingPlan:RestoreTestingPlan": "backup",
    "aws:cloudwatch/logGroup:LogGroup": "logs",
    "aws:codebuild/project:Project": "codebuild",
    "aws:dynamodb/table:Table": "dynamodb",
    "aws:ec2/eip:Eip": "vpc",
    "aws:ec2/launchTemplate:LaunchTemplate": "ebs",
    "aws:ec2/natGateway:NatGateway": "vpc",
    "aws:ecr/repository:Repository": "ecr",
    "aws:eks/cluster:Cluster": "eks",
    "aws:eks/nodeGroup:NodeGroup": "ec2",
    "aws:guardduty/detector:Detector": "guardduty",
    "aws:kinesis/firehoseDeliveryStream:FirehoseDeliveryStream": "firehose",
    "aws:kinesis/stream:Stream": "kinesis",
    "aws:kms/key:Key": "kms",
    "aws:rds/instance:Instance": "rds",
    "aws:route53/zone:Zone": "route53",
    "aws:s3/bucket:Bucket": "s3",
    "aws:secretsmanager/secret:Secret": "secrets",
}
"""Types that AWS asks money for, and what their items begin with."""
FREE = {
    f"aws:{each}"
    for each in [
        "acm/certificate:Certificate",
        "backup/plan:Plan",
        "backup/restoreTestingSelection:RestoreTestingSelection",
        "backup/selection:Selection",
        "backup/vaultLockConfiguration:VaultLockConfiguration",
        "budgets/budget:Budget",
        "cloudtrail/trail:Trail",
        "cloudwatch/eventRule:EventRule",
        "cloudwatch/eventTarget:EventTarget",
        "cloudwatch/logStream:LogStream",
        "costexplorer/anomalyMonitor:AnomalyMonitor",
        "costexplorer/anomalySubscription:AnomalySubscription",
        "costexplorer/costAllocationTag:CostAllocationTag",
        "ec2/defaultSecurityGroup:DefaultSecurityGroup",
        "ec2/flowLog:FlowLog",
        "ec2/internetGateway:InternetGateway",
        "ec2/placementGroup:PlacementGroup",
        "ec2/route:Route",
        "ec2/routeTable:RouteTable",
        "ec2/routeTableAssociation:RouteTableAssociation",
        "ec2/securityGroup:SecurityGroup",
        "ec2/subnet:Subnet",
        "ec2/tag:Tag",
        "ec2/vpc:Vpc",
        "ec2/vpcEndpoint:VpcEndpoint",
        "ec2/vpcIpv4CidrBlockAssociation:VpcIpv4CidrBlockAssociation",
        "ecr/lifecyclePolicy:LifecyclePolicy",
        "ecr/pullThroughCacheRule:PullThroughCacheRule",
        "ecr/repositoryCreationTemplate:RepositoryCreationTemplate",
        "ecr/registryPolicy:RegistryPolicy",
        "eks/accessEntry:AccessEntry",
        "eks/accessPolicyAssociation:AccessPolicyAssociation",
        "eks/addon:Addon",
        "eks/podIdentityAssociation:PodIdentityAssociation",
        "guardduty/detectorFeature:DetectorFeature",
        "iam/instanceProfile:InstanceProfile",
        "iam/policy:Policy",
        "iam/role:Role",
        "iam/rolePolicy:RolePolicy",
        "iam/rolePolicyAttachment:RolePolicyAttachment",
        "kms/alias:Alias",
        "rds/parameterGroup:ParameterGroup",
        "rds/subnetGroup:SubnetGroup",
        "route53/record:Record",
        "s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration",
        "s3/bucketLogging:BucketLogging",
        "s3/bucketOwnershipControls:BucketOwnershipControls",
        "s3/bucketPolicy:BucketPolicy",
        "s3/bucketPublicAccessBlock:BucketPublicAccessBlock",
        "s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration",
        "s3/bucketVersioning:BucketVersioning",
        "scheduler/schedule:Schedule",
        "scheduler/scheduleGroup:ScheduleGroup",
        "secretsmanager/secretPolicy:SecretPolicy",
        "sns/topic:Topic",
        "sns/topicPolicy:TopicPolicy",
        "sns/topicSubscription:TopicSubscription",
        "sqs/queue:Queue",
        "sqs/queuePolicy:QueuePolicy",
        "vpc/securityGroupEgressRule:SecurityGroupEgressRule",
        "vpc/securityGroupIngressRule:SecurityGroupIngressRule",
    ]
}
"""Types that cost nothing, or cents a month at what a platform does with them: messages, schedules, one trail."""


@pytest.mark.parametrize(
    ("nights", "hours"),
    [
        (None, 168),
        # Five nights of eleven hours, and the weekend's two days.
        (NightsSpec(), 168 - 5 * 11 - 48),
        (NightsSpec(weekends=False), 168 - 7 * 11),
        (NightsSpec(down="01:00", up="06:30", weekends=False), 168 - 7 * 5.5),
        (NightsSpec(down="08:00", up="08:00", weekends=False), 168),
    ],
)
def test_a_platform_is_awake_for_the_rest_of_the_week(nights: NightsSpec | None, hours: float) -> None:
    assert awake(nights) * WEEK == pytest.approx(hours)


def scheduled(nights: NightsSpec) -> float:
    """Return the hours of a week for which the schedules leave pools open."""
    steps, awake_minutes, open_ = moments(nights), 0, False
    for minute in range(2 * 7 * 24 * 60):
        day, of_day = divmod(minute, 24 * 60)
        for step, opens in (("pools_close", False), ("pools_open", True)):
            moment = steps[step]  # type: ignore[index]
            if of_day == moment.hour * 60 + moment.minute and not (moment.weekdays_only and day % 7 > 4):
                open_ = opens
        # The first week only finds out how the second begins.
        awake_minutes += open_ and day >= 7
    return awake_minutes / 60


@pytest.mark.parametrize("weekends", [True, False])
@pytest.mark.parametrize(("down", "up"), [("20:00", "07:00"), ("01:00", "06:30"), ("18:30", "09:15")])
def test_nights_are_as_long_as_the_schedules_make_them(down: str, up: str, weekends: bool) -> None:
    nights = NightsSpec(down=down, up=up, weekends=weekends)
    assert awake(nights) * WEEK == pytest.approx(scheduled(nights))


def test_disks_of_gpu_nodes_are_paid_for_their_speed() -> None:
    pools = {
        name: {"instance_types": [each], "max_size": 2} for name, each in (("cpu", "m5.large"), ("gpu", "g6.xlarge"))
    }
    found = {use.component: use.full for use in uses(awsasked.spec(pools=pools)) if "throughput" in use.what}
    assert found == {"pool gpu": 2 * (nodeclass.GPU_THROUGHPUT - nodeclass.THROUGHPUT)}


def used(component: str, **changes: object) -> list[Use]:
    """Return what one component uses."""
    return [use for use in uses(awsasked.spec(**changes)) if use.component == component]  # type: ignore[arg-type]


@pytest.mark.parametrize(("nat", "gateways"), [("single", 1), ("per_zone", 3)])
def test_each_nat_has_a_public_address(nat: str, gateways: int) -> None:
    found = {use.items[0]: use.full for use in used("network", aws={"network": {"nat": nat}})}
    assert found == {"vpc.nat": gateways * HOURS, "vpc.public_ipv4": gateways * HOURS, "vpc.nat_gb": None}


def test_an_isolated_network_pays_for_every_endpoint_in_every_zone() -> None:
    spec = awsasked.spec({"network": {"isolated": True}})
    services = endpoints.services(awsasked.of(spec))
    assert interfaces(awsasked.of(spec)) == 3 * len(services) > 0
    assert {use.items[0] for use in uses(spec) if use.component == "network"} == {"vpc.endpoint", "vpc.endpoint_gb"}


def test_an_adopted_network_costs_nothing_of_its_own() -> None:
    existing = {
        "vpc_id": "vpc-01234567",
        "cidr": "10.0.0.0/16",
        "private_subnet_ids": [f"subnet-0000000{n}" for n in "123"],
    }
    assert used("network", aws={"network": {"existing": existing}}) == []


def test_at_night_machines_are_not_paid_and_disks_of_the_database_are() -> None:
    day = {use.items[0]: use for use in used("database", aws={"database": {"multi_az": False}})}
    night = {
        use.items[0]: use for use in used("database", aws={"database": {"multi_az": False}, "cluster": {"nights": {}}})
    }
    assert day["rds.db.t4g.medium"].idle == HOURS
    assert night["rds.db.t4g.medium"].idle == pytest.approx(HOURS * 65 / 168)
    assert night["rds.gp3"].idle == day["rds.gp3"].idle == 50
    assert night["rds.db.t4g.medium"].full == HOURS


def test_one_that_stands_by_doubles_machine_and_disk() -> None:
    alone = {use.items[0]: use.full for use in used("database", aws={"database": {"multi_az": False}})}
    both = {use.items[0]: use.full for use in used("database")}
    for item in ("rds.db.t4g.medium", "rds.gp3"):
        assert both[item] == 2 * (alone[item] or 0)


def test_a_foundation_without_platform_has_no_pools_and_a_platform_without_foundation_only_these() -> None:
    pools = {"cpu": {"instance_types": ["m7i.large"], "max_size": 2}}
    below = {use.component for use in uses(awsasked.spec(pools=pools, foundation={"only": True}))}
    above = {use.component for use in uses(awsasked.spec(pools=pools, foundation={"stack": "below"}))}
    whole = {use.component for use in uses(awsasked.spec(pools=pools))}
    assert above == {"pool cpu", "gateway"}
    assert below.isdisjoint(above)
    assert below | above == whole


@pytest.mark.parametrize("stack", awsprogram.STACKS)
@pytest.mark.parametrize(
    ("item", "type", "beside"),
    [
        ("kms.key", "aws:kms/key:Key", 0),
        ("vpc.nat", "aws:ec2/natGateway:NatGateway", 0),
        ("vpc.public_ipv4", "aws:ec2/eip:Eip", 0),
        # RDS makes its administrator's itself.
        ("secrets.secret", "aws:secretsmanager/secret:Secret", 1),
        ("eks.cluster", "aws:eks/cluster:Cluster", 0),
        ("kinesis.stream", "aws:kinesis/stream:Stream", 0),
        ("route53.zone", "aws:route53/zone:Zone", 0),
    ],
)
def test_as_many_are_counted_as_the_program_makes(stack: str, item: str, type: str, beside: int) -> None:  # noqa: A002
    made = sum(each.type == type for each in awsprogram.graph(stack)) + beside
    used = sum(use.full or 0 for use in uses(awsprogram.spec(stack)) if use.items == (item,))
    assert used / (HOURS if used >= HOURS else 1) == made


@pytest.mark.parametrize("stack", awsprogram.STACKS)
def test_whatever_the_program_makes_and_aws_asks_money_for_is_counted(stack: str) -> None:
    made = {each.type for each in awsprogram.graph(stack)}
    items = {item.partition(".")[0] for use in uses(awsprogram.spec(stack)) for item in use.items}
    for type_, item in PAID.items():
        assert type_ not in made or item in items, type_
    unjudged = {each for each in made if each.startswith("aws:")} - set(PAID) - FREE
    assert unjudged == set()
