from __future__ import annotations

import json
from typing import Any

import pytest

import capture
from capture import Graph
from mlplat.spec.aws import AwsSpec
from mlplat.targets.aws.audit import WATCHED, Audit
from mlplat.targets.aws.site import Site
from mlplat.targets.aws.storage import DATA_KINDS, Storage

KEY = "arn:aws:kms:eu-west-1:111122223333:key/logs"
TRAIL = "aws:cloudtrail/trail:Trail"


def made(**audit: Any) -> Graph:
    written = {
        "account": "111122223333",
        "region": "eu-west-1",
        "audit": audit,
        "identities": {"boundary": "arn:aws:iam::111122223333:policy/boundary"},
    }
    spec = AwsSpec.model_validate_json(json.dumps(written))
    site = Site("mlplat", "prod", "0123456789abcdef", spec)

    def program() -> None:
        options = capture.provider()
        storage = Storage("storage", spec.storage, site=site, key_arn=KEY, opts=options)
        Audit(
            "audit",
            spec.audit,
            site=site,
            logs_bucket=storage.buckets["logs"],
            buckets=storage.buckets,
            key_arn=KEY,
            after=[storage.logs_ready],
            opts=options,
        )

    return capture.run(program)


def selectors(graph: Graph) -> dict[str, dict[str, list[str]]]:
    """Return what each selector looks at, by its name and its field."""
    return {
        each["name"]: {field["field"]: field.get("equals") or field["startsWiths"] for field in each["fieldSelectors"]}
        for each in graph.one(TRAIL).inputs["advancedEventSelectors"]
    }


def test_the_trail_sees_every_region_and_its_files_can_be_proved() -> None:
    trail = made().one(TRAIL).inputs
    for key in ("isMultiRegionTrail", "includeGlobalServiceEvents", "enableLogFileValidation", "enableLogging"):
        assert trail[key] is True
    assert trail["kmsKeyId"] == KEY
    assert trail["s3BucketName"] == "mlplat-prod-012345-logs-111122223333"
    assert trail["s3KeyPrefix"] == "trail"


def test_the_trail_comes_after_what_lets_it_write() -> None:
    """CloudTrail tries its bucket and its group when it is made, and refuses those that are not open."""
    needed = made().one(TRAIL).depends_on
    assert {"aws:s3/bucketPolicy:BucketPolicy::logs", "aws:iam/rolePolicy:RolePolicy::trail"} <= set(needed)


def test_the_name_of_the_trail_is_the_one_that_key_and_bucket_admit() -> None:
    graph = made()
    name = graph.one(TRAIL).inputs["name"]
    policy = graph.one("aws:s3/bucketPolicy:BucketPolicy", "logs").inputs["policy"]
    assert f"arn:aws:cloudtrail:eu-west-1:111122223333:trail/{name}" in policy


def test_the_trail_can_be_searched_for_as_long_as_asked() -> None:
    graph = made(log_days=30)
    group = graph.one("aws:cloudwatch/logGroup:LogGroup").inputs
    assert (group["retentionInDays"], group["kmsKeyId"]) == (30, KEY)
    trail = graph.one(TRAIL).inputs
    assert trail["cloudWatchLogsGroupArn"].endswith(":*")
    assert trail["cloudWatchLogsRoleArn"] == "${aws:iam/role:Role::trail.arn}"


def test_the_trail_s_role_writes_its_own_streams_for_its_own_trail() -> None:
    graph = made()
    role = graph.one("aws:iam/role:Role").inputs
    [trust] = json.loads(role["assumeRolePolicy"])["Statement"]
    assert trust["Condition"]["StringEquals"] == {"aws:SourceAccount": "111122223333"}
    assert trust["Condition"]["ArnLike"]["aws:SourceArn"].endswith("trail/mlplat-prod-012345-trail")
    assert role["permissionsBoundary"].endswith("policy/boundary")
    [write] = json.loads(graph.one("aws:iam/rolePolicy:RolePolicy").inputs["policy"])["Statement"]
    [streams] = write["Resource"]
    assert streams.endswith("/aws/cloudtrail/mlplat-prod-012345-trail:log-stream:111122223333_CloudTrail_*")


def test_every_call_is_recorded_and_reads_of_objects_only_where_asked() -> None:
    assert set(selectors(made())) == {"management"}
    found = selectors(made(data_events=True))
    assert found["management"] == {"eventCategory": ["Management"]}
    assert found["objects"]["resources.type"] == ["AWS::S3::Object"]


def test_only_our_data_s_objects_are_recorded() -> None:
    """A trail that records reads of the bucket that it writes to feeds itself."""
    found = selectors(made(data_events=True))["objects"]["resources.ARN"]
    assert set(found) == {f"${{aws:s3/bucket:Bucket::{kind}.arn}}/" for kind in DATA_KINDS}


def test_an_account_s_own_trail_is_adopted() -> None:
    graph = made(trail="adopt")
    assert not graph.of(TRAIL)
    assert not graph.of("aws:iam/role:Role")
    assert not graph.of("aws:cloudwatch/logGroup:LogGroup")


@pytest.mark.parametrize("guardduty", [True, False])
def test_guardduty_watches_where_asked_and_says_every_feature(guardduty: bool) -> None:
    graph = made(guardduty=guardduty)
    features = [each.inputs for each in graph.of("aws:guardduty/detectorFeature:DetectorFeature")]
    assert {each["name"]: each["status"] == "ENABLED" for each in features} == (WATCHED if guardduty else {})
    assert len(graph.of("aws:guardduty/detector:Detector")) == int(guardduty)


def test_guardduty_puts_no_agent_on_nodes_and_reads_the_cluster_s_log() -> None:
    assert WATCHED["EKS_AUDIT_LOGS"]
    assert not WATCHED["RUNTIME_MONITORING"]
