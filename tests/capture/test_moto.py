"""Requests are whole and lead somewhere: what a stack declares is made through boto3, and reads back as declared."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

import awsstacks
import motoaccount
from documents import listed
from motoaccount import Account
from motocalls import CALLS, WITHOUT

KEPT = {"MOTO_EC2_LOAD_DEFAULT_AMIS": "false", "AWS_EC2_METADATA_DISABLED": "true"}
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing", "AWS_DEFAULT_REGION": "eu-west-1"}


@pytest.fixture(scope="module", params=awsstacks.STACKS)
def account(request: pytest.FixtureRequest) -> Iterator[Account]:
    """Return an account of moto's in which one stack was made."""
    import moto

    with pytest.MonkeyPatch.context() as patched:
        for name, value in (KEPT | CREDENTIALS).items():
            patched.setenv(name, value)
        patched.delenv("AWS_PROFILE", raising=False)
        # The policies that AWS itself keeps are there too, so that a role with one that does not exist is refused.
        with moto.mock_aws(config={"iam": {"load_aws_managed_policies": True}}):
            yield motoaccount.account(awsstacks.graph(request.param))


def _plain(value: Any) -> Any:
    return json.loads(value) if isinstance(value, str) else value


def test_everything_is_made_that_moto_can_make(account: Account) -> None:
    assert {each.type for each in account.left} - {*WITHOUT} == set()


def test_every_type_is_either_made_or_has_a_reason() -> None:
    made = {each.type for stack in awsstacks.STACKS for each in awsstacks.graph(stack) if each.type.startswith("aws:")}
    assert ({*CALLS} | {*WITHOUT}) - made == set()
    assert {*CALLS} & {*WITHOUT} == set()


def test_buckets_are_encrypted_versioned_and_closed(account: Account) -> None:
    s3 = account.client("s3")
    for bucket in account.graph.of("aws:s3/bucket:Bucket"):
        name = bucket.inputs["bucket"]
        rule = s3.get_bucket_encryption(Bucket=name)["ServerSideEncryptionConfiguration"]["Rules"][0]
        found = rule["ApplyServerSideEncryptionByDefault"]
        if bucket.name == "logs":
            assert found["SSEAlgorithm"] == "AES256"
        else:
            assert (found["SSEAlgorithm"], rule["BucketKeyEnabled"]) == ("aws:kms", True)
            assert found["KMSMasterKeyID"] == account.made["aws:kms/key:Key::data"]["arn"]
        assert s3.get_bucket_versioning(Bucket=name)["Status"] == "Enabled"
        closed = s3.get_public_access_block(Bucket=name)["PublicAccessBlockConfiguration"]
        assert all(closed.values())
        assert len(closed) == 4
        statements = json.loads(s3.get_bucket_policy(Bucket=name)["Policy"])["Statement"]
        assert any("aws:SecureTransport" in json.dumps(each) and each["Effect"] == "Deny" for each in statements)
        assert s3.get_bucket_lifecycle_configuration(Bucket=name)["Rules"]


def test_keys_turn_and_have_the_policy_that_was_written(account: Account) -> None:
    kms = account.client("kms")
    for key in account.graph.of("aws:kms/key:Key"):
        identity = account.id(key.key)
        assert kms.get_key_rotation_status(KeyId=identity)["KeyRotationEnabled"]
        written = account.resolved(json.loads(key.inputs["policy"]))
        assert json.loads(kms.get_key_policy(KeyId=identity, PolicyName="default")["Policy"]) == written
    aliases = {each["AliasName"]: each.get("TargetKeyId") for each in kms.list_aliases()["Aliases"]}
    for alias in account.graph.of("aws:kms/alias:Alias"):
        assert aliases[alias.inputs["name"]] == account.resolved(alias.inputs["targetKeyId"])


def test_roles_are_trusted_and_allowed_as_declared(account: Account) -> None:
    iam = account.client("iam")
    for role in account.graph.of("aws:iam/role:Role"):
        found = iam.get_role(RoleName=role.inputs["name"])["Role"]
        written = account.resolved(json.loads(role.inputs["assumeRolePolicy"]))
        assert _plain(found["AssumeRolePolicyDocument"]) == written
    for attached in account.graph.of("aws:iam/rolePolicyAttachment:RolePolicyAttachment"):
        role = account.resolved(attached.inputs["role"])
        found = iam.list_attached_role_policies(RoleName=role)["AttachedPolicies"]
        assert account.resolved(attached.inputs["policyArn"]) in {each["PolicyArn"] for each in found}


def test_every_role_may_do_something(account: Account) -> None:
    """A role without a policy is a workload that fails on its first call, or a role that nobody needs."""
    iam = account.client("iam")
    bare = [
        role.name
        for role in account.graph.of("aws:iam/role:Role")
        if not iam.list_attached_role_policies(RoleName=role.inputs["name"])["AttachedPolicies"]
        and not iam.list_role_policies(RoleName=role.inputs["name"])["PolicyNames"]
    ]
    # The cluster knows this one by its access entry; in the account it may do nothing, on purpose.
    assert bare == ["admin"]


def test_queues_and_topics_are_encrypted_and_admit_whom_they_say(account: Account) -> None:
    sqs, sns = account.client("sqs"), account.client("sns")
    for queue in account.graph.of("aws:sqs/queue:Queue"):
        url = account.id(queue.key)
        found = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
        assert found.get("SqsManagedSseEnabled") == "true" or found.get("KmsMasterKeyId")
        assert json.loads(found["Policy"])["Statement"]
        assert found["MessageRetentionPeriod"] == str(queue.inputs["messageRetentionSeconds"])
    for topic in account.graph.of("aws:sns/topic:Topic"):
        found = sns.get_topic_attributes(TopicArn=account.id(topic.key))["Attributes"]
        assert found["KmsMasterKeyId"] == account.resolved(topic.inputs["kmsMasterKeyId"])
        statements = json.loads(found["Policy"])["Statement"]
        admitted = {who for each in statements for who in listed(dict(each["Principal"]).get("Service"))}
        assert "budgets.amazonaws.com" in admitted


def test_tables_images_and_secrets_are_encrypted_with_our_key(account: Account) -> None:
    key = account.made["aws:kms/key:Key::data"]["arn"]
    for table in account.graph.of("aws:dynamodb/table:Table"):
        found = account.client("dynamodb").describe_table(TableName=table.inputs["name"])["Table"]
        assert found["SSEDescription"]["KMSMasterKeyArn"] == key
        assert found["BillingModeSummary"]["BillingMode"] == "PAY_PER_REQUEST"
    for repository in account.graph.of("aws:ecr/repository:Repository"):
        names = [repository.inputs["name"]]
        found = account.client("ecr").describe_repositories(repositoryNames=names)["repositories"][0]
        assert found["encryptionConfiguration"] == {"encryptionType": "KMS", "kmsKey": key}
        assert found["imageTagMutability"].startswith("IMMUTABLE")
        assert found["imageScanningConfiguration"]["scanOnPush"]
    for secret in account.graph.of("aws:secretsmanager/secret:Secret"):
        found = account.client("secretsmanager").describe_secret(SecretId=account.id(secret.key))
        assert found["KmsKeyId"] == account.resolved(secret.inputs["kmsKeyId"])
        # The stack makes names; who uses one writes its value, which then is in no state.
        assert not found.get("VersionIdsToStages")


def test_the_database_is_closed_and_keeps_its_password_to_itself(account: Account) -> None:
    declared = account.graph.one("aws:rds/instance:Instance")
    found = account.client("rds").describe_db_instances(DBInstanceIdentifier=declared.inputs["identifier"])
    database = found["DBInstances"][0]
    assert database["StorageEncrypted"]
    assert not database["PubliclyAccessible"]
    assert database["DeletionProtection"] == declared.inputs["deletionProtection"]
    assert "rds!" in database["MasterUserSecret"]["SecretArn"]


def test_private_subnets_leave_by_their_own_zones_nat(account: Account) -> None:
    ec2 = account.client("ec2")
    gateways = {each["NatGatewayId"]: each["SubnetId"] for each in ec2.describe_nat_gateways()["NatGateways"]}
    assert len(gateways) == len(account.graph.of("aws:ec2/natGateway:NatGateway"))
    zones = {each["SubnetId"]: each["AvailabilityZone"] for each in ec2.describe_subnets()["Subnets"]}
    for table in ec2.describe_route_tables()["RouteTables"]:
        exits = {zones[gateways[route["NatGatewayId"]]] for route in table["Routes"] if "NatGatewayId" in route}
        inside = {zones[each["SubnetId"]] for each in table["Associations"] if "SubnetId" in each}
        if len(gateways) > 1 and exits:
            assert exits == inside


def test_only_public_subnets_reach_the_internet_gateway(account: Account) -> None:
    ec2 = account.client("ec2")
    tagged = {
        each["SubnetId"]
        for each in ec2.describe_subnets()["Subnets"]
        if any(tag["Key"] == "kubernetes.io/role/elb" for tag in each.get("Tags", []))
    }
    reached = {
        each["SubnetId"]
        for table in ec2.describe_route_tables()["RouteTables"]
        if any(route.get("GatewayId", "").startswith("igw-") for route in table["Routes"])
        for each in table["Associations"]
        if "SubnetId" in each
    }
    assert reached == tagged
