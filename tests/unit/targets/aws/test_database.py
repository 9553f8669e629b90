from __future__ import annotations

import functools
from typing import Any

import pytest

import capture
from awsparts import CLIENT, KEY, network, site, statements, untagged
from capture import Graph, Made
from mlplat.errors import SpecError
from mlplat.targets.aws.database import APPLICATIONS, LOGS, PORT, Database, parameters

INSTANCE = "aws:rds/instance:Instance"
LOGS_KEY = KEY.replace("0000-", "1111-")


def build(**settings: Any) -> Graph:
    def program() -> None:
        place = site(**settings)
        Database(
            "database",
            place.aws.database,
            site=place,
            network=network(),
            key_arn=KEY,
            client_security_group_id=CLIENT,
            logs_key_arn=LOGS_KEY,
            opts=capture.provider(),
        )

    return capture.run(program)


@functools.cache
def protected() -> Graph:
    return build()


@functools.cache
def cheap() -> Graph:
    return build(
        protected=False,
        database={"deletion_protection": False, "multi_az": False, "version": "16.4", "snapshot": "rds:before"},
    )


def instance(graph: Graph) -> Made:
    return graph.one(INSTANCE)


def test_no_password_is_given_and_the_one_that_rds_makes_is_under_our_key() -> None:
    made = instance(protected()).inputs
    assert made["manageMasterUserPassword"] is True
    assert not [name for name in made if name.lower().startswith("password")]
    assert made["masterUserSecretKmsKeyId"] == made["kmsKeyId"] == made["performanceInsightsKmsKeyId"] == KEY


def test_applications_secrets_are_empty_and_can_be_made_again_at_once() -> None:
    graph = protected()
    assert not graph.of("aws:secretsmanager/secretVersion:SecretVersion")
    secrets = graph.of("aws:secretsmanager/secret:Secret")
    assert {each.name for each in secrets} == {f"database-{name}" for name in APPLICATIONS}
    for each in secrets:
        assert each.inputs["recoveryWindowInDays"] == 0
        assert each.inputs["kmsKeyId"] == KEY
        assert each.inputs["name"].startswith("mlplat/mlplat-dev-012345/database/")


def test_secrets_refuse_other_accounts_and_whoever_does_not_encrypt() -> None:
    policies = protected().of("aws:secretsmanager/secretPolicy:SecretPolicy")
    assert len(policies) == len(APPLICATIONS)
    for each in policies:
        assert each.inputs["blockPublicPolicy"] is True
        found = {one["Sid"]: one for one in statements(each)}
        assert {one["Effect"] for one in found.values()} == {"Deny"}
        assert found["OwnAccountOnly"]["Condition"] == {"StringNotEquals": {"aws:PrincipalAccount": "111122223333"}}


def test_only_the_cluster_reaches_it_and_only_on_its_port() -> None:
    graph = protected()
    group = graph.one("aws:ec2/securityGroup:SecurityGroup").inputs
    assert not {"ingress", "egress"} & group.keys()
    rule = graph.one("aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule").inputs
    assert rule["referencedSecurityGroupId"] == CLIENT
    assert (rule["fromPort"], rule["toPort"], rule["ipProtocol"]) == (PORT, PORT, "tcp")
    assert not {"cidrIpv4", "cidrIpv6", "prefixListId"} & rule.keys()
    assert instance(graph).inputs["publiclyAccessible"] is False


def test_its_subnets_are_private_ones_of_two_zones() -> None:
    assert protected().one("aws:rds/subnetGroup:SubnetGroup").inputs["subnetIds"] == network().private_subnet_ids


def test_a_protected_one_leaves_a_snapshot_and_is_not_left_behind_itself() -> None:
    made = instance(protected())
    assert made.protect
    assert not made.retain_on_delete
    assert made.inputs["deletionProtection"] is True
    assert made.inputs["skipFinalSnapshot"] is False
    assert made.inputs["finalSnapshotIdentifier"] == "mlplat-dev-012345-database-final"
    assert made.inputs["deleteAutomatedBackups"] is False


def test_one_for_trying_things_goes_without_a_trace() -> None:
    made = instance(cheap())
    assert not made.protect
    assert made.inputs["skipFinalSnapshot"] is True
    assert "finalSnapshotIdentifier" not in made.inputs
    assert made.inputs["deleteAutomatedBackups"] is True


def test_a_snapshot_is_begun_with_once_and_never_replaces_what_is_there() -> None:
    made = instance(cheap())
    assert made.inputs["snapshotIdentifier"] == "rds:before"
    assert made.ignore_changes == ("snapshotIdentifier",)


@pytest.mark.parametrize("name", ["-x", "a b", "1"])
def test_a_snapshot_that_cannot_be_one_is_refused(name: str) -> None:
    with pytest.raises(SpecError, match="snapshot"):
        site(database={"snapshot": name})


def test_its_parameters_are_of_its_major_version_and_named_after_it() -> None:
    for graph, family in ((protected(), "postgres17"), (cheap(), "postgres16")):
        group = graph.one("aws:rds/parameterGroup:ParameterGroup").inputs
        assert group["family"] == family
        assert group["name"].endswith(family)
        assert instance(graph).inputs["parameterGroupName"] == group["name"]


def test_everybody_must_use_tls_and_the_log_says_enough() -> None:
    group = protected().one("aws:rds/parameterGroup:ParameterGroup").inputs["parameters"]
    found = {each["name"]: each["value"] for each in group}
    assert found == parameters()
    assert found["rds.force_ssl"] == "1"
    # `all` and `mod` would write the values of rows, which are people's.
    assert found["log_statement"] == "ddl"


def test_its_logs_are_there_before_it_under_our_key_and_for_a_time_that_cloudwatch_knows() -> None:
    graph = build(cluster={"log_days": 100})
    made = instance(graph)
    assert made.inputs["enabledCloudwatchLogsExports"] == list(LOGS)
    groups = graph.of("aws:cloudwatch/logGroup:LogGroup")
    assert {each.inputs["name"] for each in groups} == {
        f"/aws/rds/instance/{made.inputs['identifier']}/{log}" for log in LOGS
    }
    for each in groups:
        assert each.key in made.depends_on
        assert each.inputs["kmsKeyId"] == LOGS_KEY
        assert each.inputs["retentionInDays"] == 120


def test_a_version_out_of_support_is_never_paid_for_and_windows_do_not_meet() -> None:
    made = instance(protected()).inputs
    assert made["engineLifecycleSupport"] == "open-source-rds-extended-support-disabled"
    assert made["applyImmediately"] is False
    # A backup and maintenance in one window are refused by RDS.
    assert made["backupWindow"].split("-")[1] < made["maintenanceWindow"].split("-")[0].split(":", 1)[1]


def test_monitoring_is_taken_on_this_account_s_behalf_only() -> None:
    (trust,) = statements(protected().one("aws:iam/role:Role"), "assumeRolePolicy")
    assert trust["Principal"] == {"Service": "monitoring.rds.amazonaws.com"}
    assert trust["Condition"] == {"StringEquals": {"aws:SourceAccount": "111122223333"}}


def test_everything_is_tagged() -> None:
    assert untagged(protected()) == []
