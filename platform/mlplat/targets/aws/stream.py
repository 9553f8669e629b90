"""Ingestion of events: Kinesis takes them, Firehose writes them into the data bucket, by the hour in which they came.

What arrives lies under `mlplat.events/`, as lines of JSON, compressed; what Firehose could not write, under
`mlplat.events-failed/`. Off by default: it is paid by the hour.
"""

from __future__ import annotations

import pulumi
import pulumi_aws as aws

from mlplat.spec.aws.data import StreamSpec
from mlplat.targets.aws.component import Component
from mlplat.targets.aws.grants import EVENTS, below, via
from mlplat.targets.aws.iam import Statement, document, trusted
from mlplat.targets.aws.logs import retention
from mlplat.targets.aws.site import Site

BUFFER_MEBIBYTES = 64
PREFIX = f"{EVENTS}/date=!{{timestamp:yyyy-MM-dd}}/hour=!{{timestamp:HH}}/"
FAILED = f"{EVENTS}-failed/!{{firehose:error-output-type}}/date=!{{timestamp:yyyy-MM-dd}}/"


class Stream(Component):
    """A stream and its way into the bucket; nothing where the spec does not ask for one."""

    def __init__(
        self,
        name: str,
        spec: StreamSpec,
        *,
        site: Site,
        key_arn: pulumi.Input[str],
        bucket: aws.s3.Bucket,
        logs_key_arn: pulumi.Input[str] | None = None,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("Stream", name, site, opts)
        self.spec = spec
        self.key_arn = key_arn
        self.bucket = bucket
        self.stream: aws.kinesis.Stream | None = None
        if spec.enabled:
            self.stream = self._stream()
            self._delivery(self.stream, logs_key_arn)
        self.register_outputs({"stream": self.stream.name if self.stream else None})

    def _stream(self) -> aws.kinesis.Stream:
        fixed = self.spec.shards > 0
        return aws.kinesis.Stream(
            "events",
            name=self.site.name("events"),
            stream_mode_details={"stream_mode": "PROVISIONED" if fixed else "ON_DEMAND"},
            shard_count=self.spec.shards if fixed else None,
            retention_period=self.spec.retention_hours,
            encryption_type="KMS",
            kms_key_id=self.key_arn,
            # Otherwise whoever registered as a reader keeps it from being deleted.
            enforce_consumer_deletion=True,
            tags=self.named("events"),
            opts=self.child(),
        )

    def _delivery(
        self, stream: aws.kinesis.Stream, logs_key_arn: pulumi.Input[str] | None
    ) -> aws.kinesis.FirehoseDeliveryStream:
        name = self.site.name("events", limit=64)
        group = aws.cloudwatch.LogGroup(
            "events",
            name=f"/aws/kinesisfirehose/{name}",
            retention_in_days=retention(self.site.aws.audit.log_days),
            kms_key_id=logs_key_arn,
            tags=self.named("events"),
            opts=self.child(),
        )
        log = aws.cloudwatch.LogStream("events", name="delivery", log_group_name=group.name, opts=self.child())
        role, rights = self._role(stream, group)
        return aws.kinesis.FirehoseDeliveryStream(
            "events",
            name=name,
            destination="extended_s3",
            kinesis_source_configuration={"kinesis_stream_arn": stream.arn, "role_arn": role.arn},
            extended_s3_configuration=self._destination(role, group, log),
            tags=self.named("events"),
            # AWS tries the role at once.
            opts=self.child(depends_on=[rights]),
        )

    def _destination(
        self, role: aws.iam.Role, group: aws.cloudwatch.LogGroup, log: aws.cloudwatch.LogStream
    ) -> aws.kinesis.FirehoseDeliveryStreamExtendedS3ConfigurationArgsDict:
        # Producers rarely end an event with a new line, and without one no reader tells two events apart.
        lines: aws.kinesis.FirehoseDeliveryStreamExtendedS3ConfigurationProcessingConfigurationProcessorArgsDict = {
            "type": "AppendDelimiterToRecord",
            "parameters": [{"parameter_name": "Delimiter", "parameter_value": "\\n"}],
        }
        return {
            "role_arn": role.arn,
            "bucket_arn": self.bucket.arn,
            "prefix": PREFIX,
            "error_output_prefix": FAILED,
            "buffering_interval": self.spec.buffer_seconds,
            "buffering_size": BUFFER_MEBIBYTES,
            "compression_format": "GZIP",
            "kms_key_arn": self.key_arn,
            "processing_configuration": {"enabled": True, "processors": [lines]},
            "cloudwatch_logging_options": {
                "enabled": True,
                "log_group_name": group.name,
                "log_stream_name": log.name,
            },
        }

    def _role(
        self, stream: aws.kinesis.Stream, group: aws.cloudwatch.LogGroup
    ) -> tuple[aws.iam.Role, aws.iam.RolePolicy]:
        role = aws.iam.Role(
            "events",
            name=self.site.name("events", limit=64),
            description="Firehose reads the stream and writes into the data bucket with it",
            assume_role_policy=trusted("firehose.amazonaws.com", account=self.site.account),
            permissions_boundary=self.site.aws.identities.boundary,
            tags=self.named("events"),
            opts=self.child(),
        )
        policy = aws.iam.RolePolicy(
            "events",
            name="rights",
            role=role.name,
            policy=document(*self._statements(stream, group)),
            opts=self.child(),
        )
        return role, policy

    def _statements(self, stream: aws.kinesis.Stream, group: aws.cloudwatch.LogGroup) -> list[Statement]:
        read = ("DescribeStream", "GetRecords", "GetShardIterator", "ListShards")
        write = ("AbortMultipartUpload", "GetObject", "PutObject")
        arn = self.bucket.arn
        services = via(self.site, "kinesis", "s3")
        return [
            Statement("Read", [f"kinesis:{each}" for each in read], [stream.arn]),
            Statement(
                "Bucket",
                ["s3:GetBucketLocation", "s3:ListBucket", "s3:ListBucketMultipartUploads"],
                [arn],
            ),
            Statement(
                "Write", [f"s3:{each}" for each in write], [below(arn, f"{EVENTS}/*"), below(arn, f"{EVENTS}-failed/*")]
            ),
            Statement(
                "Key",
                ["kms:Decrypt", "kms:GenerateDataKey"],
                [pulumi.Output.from_input(self.key_arn)],
                {"StringEquals": {"kms:ViaService": services}},
            ),
            Statement("Log", ["logs:PutLogEvents"], [pulumi.Output.format("{0}:log-stream:*", group.arn)]),
        ]
