"""The rights of whoever brings a stack up: enough for everything that is made, and for nothing of anybody else's."""

from __future__ import annotations

import fnmatch
import functools
import json
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

import awsprogram
import variants
from mlplat.spec.aws import AwsSpec
from mlplat.spec.platform import EngineSpec
from mlplat.targets.aws import deployer, iam
from mlplat.targets.aws.site import TAG, Site

STACKS = [*awsprogram.STACKS, "prod-foundation"]
SERIOUS = {"MALFORMED", "UNKNOWN_ACTION", "UNKNOWN_PREFIX", "UNKNOWN_PRINCIPAL", "INVALID_ARN", "DUPLICATE_SID"}
NAMES = ("name", "bucket", "identifier", "repository", "ecrRepositoryPrefix", "prefix")
HEADS = {
    "aws:iam/role:Role": ("iam:CreateRole", "role/"),
    "aws:iam/policy:Policy": ("iam:CreatePolicy", "policy/"),
    "aws:s3/bucket:Bucket": ("s3:CreateBucket", ""),
    "aws:sqs/queue:Queue": ("sqs:CreateQueue", ""),
    "aws:sns/topic:Topic": ("sns:CreateTopic", ""),
    "aws:kms/alias:Alias": ("kms:CreateAlias", ""),
    "aws:eks/cluster:Cluster": ("eks:DescribeCluster", "cluster/"),
    "aws:rds/instance:Instance": ("rds:CreateDBInstance", "db:"),
    "aws:rds/parameterGroup:ParameterGroup": ("rds:CreateDBParameterGroup", "pg:"),
    "aws:rds/subnetGroup:SubnetGroup": ("rds:CreateDBSubnetGroup", "subgrp:"),
    "aws:dynamodb/table:Table": ("dynamodb:CreateTable", "table/"),
    "aws:ecr/repository:Repository": ("ecr:CreateRepository", "repository/"),
    "aws:secretsmanager/secret:Secret": ("secretsmanager:CreateSecret", "secret:"),
    "aws:cloudwatch/logGroup:LogGroup": ("logs:CreateLogGroup", "log-group:"),
    "aws:cloudwatch/eventRule:EventRule": ("events:PutRule", "rule/"),
    "aws:cloudtrail/trail:Trail": ("cloudtrail:CreateTrail", "trail/"),
    "aws:budgets/budget:Budget": ("budgets:ModifyBudget", "budget/"),
    "aws:codebuild/project:Project": ("codebuild:CreateProject", "project/"),
    "aws:backup/vault:Vault": ("backup:CreateBackupVault", "backup-vault:"),
    "aws:backup/restoreTestingPlan:RestoreTestingPlan": ("backup:CreateRestoreTestingPlan", "restore-testing-plan:"),
    "aws:kinesis/stream:Stream": ("kinesis:CreateStream", "stream/"),
    "aws:kinesis/firehoseDeliveryStream:FirehoseDeliveryStream": ("firehose:CreateDeliveryStream", "deliverystream/"),
    "aws:scheduler/scheduleGroup:ScheduleGroup": ("scheduler:CreateScheduleGroup", "schedule-group/"),
    "aws:ec2/placementGroup:PlacementGroup": ("ec2:CreatePlacementGroup", "placement-group/"),
}
"""Types that have names of ours: the action that makes one, and what its ARN has before the name."""


def site(stack: str, **aws: Any) -> Site:
    spec = awsprogram.spec("prod" if stack in awsprogram.TWO else stack)
    assert spec.aws
    return Site(spec.name, stack, awsprogram.DEPLOYMENT, spec.aws.model_copy(update=aws), spec.owner)


@functools.cache
def types(stack: str) -> frozenset[str]:
    return frozenset(each.type for each in awsprogram.graph(stack) if each.type.startswith("aws:"))


@functools.cache
def statements(stack: str) -> tuple[dict[str, Any], ...]:
    return tuple(each for document in deployer.documents(site(stack), types(stack)) for each in document["Statement"])


def issues(text: str) -> set[str]:
    """Return the kinds of what parliament finds in a policy."""
    with warnings.catch_warnings():
        # On its import it leaves a file open.
        warnings.simplefilter("ignore", ResourceWarning)
        from parliament import analyze_policy_string
    return {each.issue for each in analyze_policy_string(text).findings}


def allows(stack: str, action: str, resource: str) -> bool:
    """Tell whether some statement names an action and a resource, whatever its condition."""
    return any(
        any(fnmatch.fnmatchcase(action, each) for each in one["Action"])
        and any(fnmatch.fnmatchcase(resource, each) for each in one["Resource"])
        for one in statements(stack)
    )


@pytest.mark.parametrize("stack", STACKS)
def test_every_type_that_a_stack_makes_has_its_rights(stack: str) -> None:
    assert types(stack) <= deployer.kinds()


@pytest.mark.parametrize("variant", variants.VARIANTS)
def test_and_every_type_that_a_switch_of_the_spec_makes(variant: str) -> None:
    assert {each.type for each in variants.graph(variant) if each.type.startswith("aws:")} <= deployer.kinds()


def test_no_line_of_the_table_is_for_something_that_is_never_made() -> None:
    adopted = variants.changed("prod", {"aws.domain": {"name": "ml.example.com", "zone_id": "Z0123456789ABC"}})
    made = {each.type for each in awsprogram.of(adopted, "prod")}
    made |= {each.type for name in variants.VARIANTS for each in variants.graph(name)}
    assert deployer.kinds() - made - types("dev") - types("prod") == set()


@pytest.mark.parametrize("stack", awsprogram.STACKS)
def test_every_name_that_is_given_falls_under_the_rights_to_make_it(stack: str) -> None:
    found = 0
    for made in awsprogram.graph(stack):
        if made.type not in HEADS:
            continue
        action, head = HEADS[made.type]
        name = next(made.inputs[key] for key in NAMES if key in made.inputs)
        service = action.partition(":")[0]
        place = site(stack).arn(
            service, f"{head}{name}", region=service not in ("iam", "budgets", "s3"), account=service != "s3"
        )
        assert allows(stack, action, place), f"{made.key}: {action} on {place}"
        found += 1
    assert found > 40


@pytest.mark.parametrize("stack", awsprogram.STACKS)
def test_another_deployment_of_the_same_platform_is_out_of_reach(stack: str) -> None:
    other = Site("mlplat", stack, "fedcba9876543210", site(stack).aws)
    for action, place in {
        "s3:DeleteObject": f"arn:aws:s3:::{other.name('data')}/x",
        "s3:PutBucketPolicy": f"arn:aws:s3:::{other.name('data')}",
        "iam:PutRolePolicy": other.arn("iam", f"role/{other.name('tracking')}", region=False),
        "iam:PassRole": other.arn("iam", f"role/{other.name('tracking')}", region=False),
        "eks:DeleteCluster": other.arn("eks", f"cluster/{other.base}"),
        "rds:DeleteDBInstance": other.arn("rds", f"db:{other.name('database')}"),
        "secretsmanager:DeleteSecret": other.arn("secretsmanager", f"secret:{other.path('x')}"),
    }.items():
        assert not allows(stack, action, place), action


@pytest.mark.parametrize("stack", awsprogram.STACKS)
def test_what_aws_numbers_is_deleted_by_our_tag_alone(stack: str) -> None:
    for action in (
        "ec2:DeleteVpc",
        "ec2:DeleteSubnet",
        "ec2:DeleteSecurityGroup",
        "ec2:DeleteTags",
        "kms:ScheduleKeyDeletion",
    ):
        named = [each for each in statements(stack) if action in each["Action"]]
        assert named, action
        for each in named:
            assert each["Condition"]["StringEquals"] == {f"aws:ResourceTag/{TAG}": awsprogram.DEPLOYMENT}, action


@pytest.mark.parametrize("stack", awsprogram.STACKS)
def test_nothing_is_allowed_everywhere_but_what_aws_cannot_narrow(stack: str) -> None:
    for each in statements(stack):
        assert not [action for action in each["Action"] if action in ("*", "*:*") or action.endswith(":*")]
        if "*" in each["Resource"]:
            assert all(iam.reason(action) for action in each["Action"]), each["Sid"]


@pytest.mark.parametrize("stack", awsprogram.STACKS)
def test_a_role_is_handed_to_services_that_the_platform_uses_and_to_no_other(stack: str) -> None:
    (passes,) = [each for each in statements(stack) if "iam:PassRole" in each["Action"]]
    assert passes["Action"] == ["iam:PassRole"]
    allowed = set(passes["Condition"]["StringEquals"]["iam:PassedToService"])
    trusted = {service for document in _trusts(stack) for service in _services(document)}
    assert trusted <= allowed


@pytest.mark.parametrize("stack", awsprogram.STACKS)
def test_roles_get_policies_that_they_have_and_no_administrators(stack: str) -> None:
    (attach,) = [each for each in statements(stack) if "iam:AttachRolePolicy" in each["Action"]]
    allowed = attach["Condition"]["ArnLike"]["iam:PolicyARN"]
    kind = "aws:iam/rolePolicyAttachment:RolePolicyAttachment"
    given = {arn for each in awsprogram.graph(stack).of(kind) if "${" not in (arn := each.inputs["policyArn"])}
    assert given
    assert all(any(fnmatch.fnmatchcase(arn, each) for each in allowed) for arn in given)
    assert not [each for each in allowed if fnmatch.fnmatchcase("arn:aws:iam::aws:policy/AdministratorAccess", each)]


@pytest.mark.parametrize("stack", awsprogram.STACKS)
def test_parliament_finds_nothing_serious_and_every_policy_is_short_enough(stack: str) -> None:
    documents = deployer.documents(site(stack), types(stack))
    assert len(documents) <= 10
    for document in documents:
        text = json.dumps(document, separators=(",", ":"))
        assert len(text) <= deployer.LIMIT
        assert not issues(text) & SERIOUS


@pytest.mark.parametrize("stack", awsprogram.STACKS)
def test_statements_are_named_once(stack: str) -> None:
    for document in deployer.documents(site(stack), types(stack)):
        names = [each["Sid"] for each in document["Statement"]]
        assert len(names) == len(set(names))


def test_fewer_types_need_fewer_rights() -> None:
    few = json.dumps(deployer.documents(site("prod"), ["aws:s3/bucket:Bucket"]))
    assert "rds:" not in few
    assert "s3:CreateBucket" in few
    assert len(json.dumps(deployer.documents(site("prod")))) > len(few)


def test_a_type_without_a_line_is_no_silence() -> None:
    with pytest.raises(KeyError):
        deployer.documents(site("dev"), ["aws:sagemaker/model:Model"])


def test_a_boundary_is_asked_of_every_role() -> None:
    boundary = "arn:aws:iam::111122223333:policy/limit"
    spec = site("dev").aws.identities.model_copy(update={"boundary": boundary})
    made = deployer.statements(site("dev", identities=spec), sorted(types("dev")))
    (roles,) = [each for each in made if "iam:CreateRole" in each.actions]
    assert roles.conditions == {"StringEquals": {"iam:PermissionsBoundary": boundary}}


def test_somebody_elses_network_is_used_by_its_ids_and_not_by_our_tag() -> None:
    network = site("dev").aws.network.model_validate_json(
        json.dumps(
            {
                "zones": ["a", "b"],
                "existing": {
                    "vpc_id": "vpc-0123456789abcdef0",
                    "cidr": "10.0.0.0/16",
                    "private_subnet_ids": ["subnet-0123456789abcdef0", "subnet-0123456789abcdef1"],
                },
            }
        )
    )
    made = deployer.statements(site("dev", network=network), ["aws:ec2/securityGroup:SecurityGroup"])
    vpcs = [arn for each in made for arn in each.resources if ":vpc/" in str(arn)]
    assert vpcs == ["arn:aws:ec2:eu-west-1:111122223333:vpc/vpc-0123456789abcdef0"]


def test_the_state_is_reached_and_its_key_is_used_by_its_alias() -> None:
    engine = EngineSpec(backend="s3://acme-state/x?region=eu-west-1", secrets="awskms://alias/acme?region=eu-west-1")
    made = {each.sid: each for each in deployer.state(site("dev"), engine)}
    assert made["States"].resources == ["arn:aws:s3:::acme-state/*"]
    assert made["StateKey"].conditions == {"ForAnyValue:StringEquals": {"kms:ResourceAliases": "alias/acme"}}
    assert list(deployer.state(site("dev"), EngineSpec(backend="file:///srv/state"))) == []


def test_before_there_is_an_id_its_signs_are_wildcards() -> None:
    unnamed = Site("mlplat", "dev", deployer.UNNAMED, site("dev").aws)
    text = json.dumps(deployer.documents(unnamed, types("dev")))
    assert "mlplat-dev-??????" in text
    assert 'StringEquals": {"aws:RequestTag' not in text


@pytest.mark.parametrize("platform", ["a", "a-platform-with-a-rather-long-name-of-many-signs"])
@pytest.mark.parametrize("limit", [40, 63, 64, 100, 255])
def test_a_name_that_was_cut_is_still_ours(platform: str, limit: int) -> None:
    own = Site(platform, "production", awsprogram.DEPLOYMENT, AwsSpec(account="1" * 12, region="eu-west-1"))
    assert fnmatch.fnmatchcase(own.name("serving", "a" * 60, limit=limit), f"{deployer.named(own)}*")


def test_the_table_is_what_its_script_makes(capsys: pytest.CaptureFixture[str]) -> None:
    import runpy

    from commands import ROOT

    issues("{}")
    made = runpy.run_path(str(ROOT / "scripts" / "permissions.py"))
    assert made["TARGET"].read_text() == made["made"]()
    # An action that is narrowed to nothing although AWS could is said by the script.
    assert capsys.readouterr().err == ""


def _trusts(stack: str) -> Iterator[Mapping[str, Any]]:
    for each in awsprogram.graph(stack).of("aws:iam/role:Role"):
        yield json.loads(each.inputs["assumeRolePolicy"])


def _services(document: Mapping[str, Any]) -> list[str]:
    found: list[str] = []
    for each in document["Statement"]:
        told = each["Principal"].get("Service", [])
        found += [told] if isinstance(told, str) else told
    return found
