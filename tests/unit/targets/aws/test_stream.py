from __future__ import annotations

import functools
from typing import Any

import pulumi_aws as aws
import pytest

import capture
from allowed import allowed
from awsparts import KEY, site, statements, untagged
from capture import Graph
from mlplat.targets.aws.grants import EVENTS
from mlplat.targets.aws.stream import Stream

STREAM = "aws:kinesis/stream:Stream"
DELIVERY = "aws:kinesis/firehoseDeliveryStream:FirehoseDeliveryStream"
BUCKET = "${aws:s3/bucket:Bucket::data.arn}"


def build(**settings: Any) -> Graph:
    def program() -> None:
        place = site(stream=settings)
        opts = capture.provider()
        bucket = aws.s3.Bucket("data", tags=place.tags(), opts=opts)
        Stream("stream", place.aws.stream, site=place, key_arn=KEY, bucket=bucket, logs_key_arn=KEY, opts=opts)

    return capture.run(program)


@functools.cache
def made() -> Graph:
    return build(enabled=True)


def test_nothing_is_made_unless_asked_for() -> None:
    assert {each.type for each in build() if each.custom} == {"pulumi:providers:aws", "aws:s3/bucket:Bucket"}


@pytest.mark.parametrize(("shards", "mode"), [(0, "ON_DEMAND"), (3, "PROVISIONED")])
def test_shards_are_fixed_or_aws_s_affair(shards: int, mode: str) -> None:
    stream = build(enabled=True, shards=shards).one(STREAM).inputs
    assert stream["streamModeDetails"]["streamMode"] == mode
    assert stream.get("shardCount", 0) == shards


def test_events_are_under_our_key_in_the_stream_and_in_the_bucket() -> None:
    stream = made().one(STREAM).inputs
    assert (stream["encryptionType"], stream["kmsKeyId"]) == ("KMS", KEY)
    target = made().one(DELIVERY).inputs["extendedS3Configuration"]
    assert target["kmsKeyArn"] == KEY
    assert target["bucketArn"] == BUCKET


def test_what_arrives_lies_by_its_hour_apart_from_what_failed_and_a_line_an_event() -> None:
    target = made().one(DELIVERY).inputs["extendedS3Configuration"]
    assert target["prefix"].startswith(f"{EVENTS}/date=")
    assert not target["errorOutputPrefix"].startswith(f"{EVENTS}/")
    # Firehose refuses a prefix of failures that does not say the kind.
    assert "!{firehose:error-output-type}" in target["errorOutputPrefix"]
    (processor,) = target["processingConfiguration"]["processors"]
    assert processor["type"] == "AppendDelimiterToRecord"
    assert processor["parameters"] == [{"parameterName": "Delimiter", "parameterValue": "\\n"}]


def test_its_role_reads_the_stream_and_writes_its_two_places_only() -> None:
    rights = statements(made().one("aws:iam/rolePolicy:RolePolicy"))
    for key in (f"{BUCKET}/{EVENTS}/date=1/x", f"{BUCKET}/{EVENTS}-failed/x"):
        assert allowed(rights, "s3:PutObject", key)
    assert not allowed(rights, "s3:PutObject", f"{BUCKET}/flights/x")
    assert not allowed(rights, "kinesis:PutRecord", f"${{{STREAM}::events.arn}}")
    assert allowed(rights, "kinesis:GetRecords", f"${{{STREAM}::events.arn}}")
    via = {"kms:ViaService": "kinesis.eu-west-1.amazonaws.com"}
    assert allowed(rights, "kms:Decrypt", KEY, via)
    assert not allowed(rights, "kms:Decrypt", KEY)


def test_firehose_starts_after_its_rights_and_only_for_this_account() -> None:
    delivery = made().one(DELIVERY)
    assert "aws:iam/rolePolicy:RolePolicy::events" in delivery.depends_on
    (trust,) = statements(made().one("aws:iam/role:Role"), "assumeRolePolicy")
    assert trust["Condition"] == {"StringEquals": {"aws:SourceAccount": "111122223333"}}


def test_its_log_is_kept_for_a_time_and_everything_is_tagged() -> None:
    assert made().one("aws:cloudwatch/logGroup:LogGroup").inputs["retentionInDays"] == 365
    assert untagged(made()) == []
