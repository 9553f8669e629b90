"""How resources of pulumi-aws are called in CloudFormation, where names alone do not tell."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import cfnparts as parts
from cfnparts import Inputs

Renamed = str | Callable[[Any], Inputs]


@dataclass(frozen=True)
class Mapped:
    """A type that CloudFormation has too."""

    type: str
    names: Mapping[str, Renamed] = field(default_factory=dict)
    """Inputs, by path, and the property that each sets; or what makes several of one."""
    extra: Sequence[Callable[[Inputs], Inputs]] = ()
    """What takes more than one input."""


@dataclass(frozen=True)
class Into:
    """A type that CloudFormation writes as a part of another."""

    owner: str
    """Input that names the other."""
    types: Sequence[str]
    inputs: Sequence[str]
    """Inputs that `properties` reads."""
    properties: Callable[[Inputs], Inputs]


NOWHERE: Mapping[str, str] = {
    "forceDestroy": "emptying before deleting is the provider's own doing",
    "forceDelete": "likewise",
    "skipFinalSnapshot": "CloudFormation says it by a deletion policy",
    "finalSnapshotIdentifier": "likewise",
    "deleteAutomatedBackups": "the schema calls it otherwise, and only for restores",
    "applyImmediately": "when a change is applied is the provider's to say",
    "recoveryWindowInDays": "Secrets Manager's deletion takes it, which a template does not describe",
    "updateDefaultVersion": "versions of launch templates are numbered by AWS",
}
"""Top inputs that describe nothing of the resource, whatever its type, and the reason."""

APART: Mapping[str, str] = {
    "aws:ec2/defaultSecurityGroup:DefaultSecurityGroup": "adopts a group that every VPC has; a template cannot",
    "aws:acm/certificateValidation:CertificateValidation": "waits, and makes nothing",
    "aws:ec2/tag:Tag": "tags a thing that the stack did not make, or that AWS made for it",
}
"""Types that no template can hold, and the reason. Everything else must be mapped."""

MAPPED: Mapping[str, Mapped] = {
    "aws:acm/certificate:Certificate": Mapped("AWS::CertificateManager::Certificate"),
    "aws:backup/plan:Plan": Mapped(
        "AWS::Backup::BackupPlan", dict.fromkeys(("name", "rules", "tags"), parts.nothing), [parts.backup_plan]
    ),
    "aws:backup/restoreTestingPlan:RestoreTestingPlan": Mapped(
        "AWS::Backup::RestoreTestingPlan",
        {
            "name": "RestoreTestingPlanName",
        },
    ),
    "aws:backup/restoreTestingSelection:RestoreTestingSelection": Mapped(
        "AWS::Backup::RestoreTestingSelection",
        {
            "name": "RestoreTestingSelectionName",
        },
    ),
    "aws:backup/selection:Selection": Mapped(
        "AWS::Backup::BackupSelection",
        dict.fromkeys(("name", "planId", "iamRoleArn", "resources"), parts.nothing),
        [parts.backup_selection],
    ),
    "aws:backup/vault:Vault": Mapped(
        "AWS::Backup::BackupVault",
        {
            "name": "BackupVaultName",
            "kmsKeyArn": "EncryptionKeyArn",
            "tags": lambda value: {"BackupVaultTags": value},
        },
    ),
    "aws:budgets/budget:Budget": Mapped(
        "AWS::Budgets::Budget", dict.fromkeys((*parts.BUDGET, "tags"), parts.nothing), [parts.budget]
    ),
    "aws:cloudtrail/trail:Trail": Mapped(
        "AWS::CloudTrail::Trail",
        {
            "name": "TrailName",
            "cloudWatchLogsGroupArn": "CloudWatchLogsLogGroupArn",
            "enableLogging": "IsLogging",
            "advancedEventSelectors": parts.advanced,
        },
    ),
    "aws:cloudwatch/eventRule:EventRule": Mapped("AWS::Events::Rule"),
    "aws:cloudwatch/logGroup:LogGroup": Mapped("AWS::Logs::LogGroup", {"name": "LogGroupName"}),
    "aws:cloudwatch/logStream:LogStream": Mapped("AWS::Logs::LogStream", {"name": "LogStreamName"}),
    "aws:codebuild/project:Project": Mapped(
        "AWS::CodeBuild::Project",
        {
            "buildTimeout": "TimeoutInMinutes",
            "queuedTimeout": "QueuedTimeoutInMinutes",
            "environment": parts.code_environment,
            "source": parts.code_source,
            "logsConfig.cloudwatchLogs": "CloudWatchLogs",
            "artifacts.type": "Type",
            "vpcConfig.subnets": "Subnets",
        },
    ),
    "aws:costexplorer/anomalyMonitor:AnomalyMonitor": Mapped(
        "AWS::CE::AnomalyMonitor",
        {
            "name": "MonitorName",
            "tags": lambda value: {"ResourceTags": parts.pairs(value)},
        },
    ),
    "aws:costexplorer/anomalySubscription:AnomalySubscription": Mapped(
        "AWS::CE::AnomalySubscription",
        {
            "name": "SubscriptionName",
            "subscribers": parts.anomaly_subscribers,
            "thresholdExpression": lambda value: {"ThresholdExpression": json.dumps(parts.expression(value))},
            "tags": lambda value: {"ResourceTags": parts.pairs(value)},
        },
    ),
    "aws:dynamodb/table:Table": Mapped(
        "AWS::DynamoDB::Table",
        {
            "name": "TableName",
            "hashKey": parts.nothing,
            "attributes": parts.attributes,
            "serverSideEncryption": lambda value: {
                "SSESpecification": parts.compact(
                    SSEEnabled=value["enabled"], SSEType="KMS", KMSMasterKeyId=value.get("kmsKeyArn")
                )
            },
            "pointInTimeRecovery": lambda value: {
                "PointInTimeRecoverySpecification": parts.compact(
                    PointInTimeRecoveryEnabled=value["enabled"], RecoveryPeriodInDays=value.get("recoveryPeriodInDays")
                )
            },
            "ttl": lambda value: {
                "TimeToLiveSpecification": parts.compact(
                    AttributeName=value.get("attributeName"), Enabled=value.get("enabled", True)
                )
            },
        },
        [parts.key_schema],
    ),
    "aws:ec2/eip:Eip": Mapped("AWS::EC2::EIP"),
    "aws:ec2/flowLog:FlowLog": Mapped(
        "AWS::EC2::FlowLog",
        {"vpcId": lambda value: {"ResourceId": value, "ResourceType": "VPC"}, "iamRoleArn": "DeliverLogsPermissionArn"},
    ),
    "aws:ec2/internetGateway:InternetGateway": Mapped("AWS::EC2::InternetGateway", {"vpcId": parts.nothing}),
    "aws:ec2/launchTemplate:LaunchTemplate": Mapped(
        "AWS::EC2::LaunchTemplate",
        {
            "name": "LaunchTemplateName",
            "tags": parts.nothing,
            **dict.fromkeys(parts.TEMPLATE, parts.nothing),
        },
        [parts.template, parts.template_tags],
    ),
    "aws:ec2/natGateway:NatGateway": Mapped("AWS::EC2::NatGateway"),
    "aws:ec2/placementGroup:PlacementGroup": Mapped("AWS::EC2::PlacementGroup", {"name": parts.nothing}),
    "aws:ec2/route:Route": Mapped("AWS::EC2::Route"),
    "aws:ec2/routeTable:RouteTable": Mapped("AWS::EC2::RouteTable"),
    "aws:ec2/routeTableAssociation:RouteTableAssociation": Mapped("AWS::EC2::SubnetRouteTableAssociation"),
    "aws:ec2/securityGroup:SecurityGroup": Mapped(
        "AWS::EC2::SecurityGroup",
        {
            "name": "GroupName",
            "description": "GroupDescription",
        },
    ),
    "aws:ec2/subnet:Subnet": Mapped("AWS::EC2::Subnet"),
    "aws:ec2/vpc:Vpc": Mapped("AWS::EC2::VPC"),
    "aws:ec2/vpcEndpoint:VpcEndpoint": Mapped("AWS::EC2::VPCEndpoint", {"policy": "PolicyDocument"}),
    "aws:ec2/vpcIpv4CidrBlockAssociation:VpcIpv4CidrBlockAssociation": Mapped("AWS::EC2::VPCCidrBlock"),
    "aws:ecr/pullThroughCacheRule:PullThroughCacheRule": Mapped("AWS::ECR::PullThroughCacheRule"),
    "aws:ecr/repository:Repository": Mapped(
        "AWS::ECR::Repository",
        {
            "name": "RepositoryName",
            "encryptionConfigurations": "EncryptionConfiguration",
        },
    ),
    "aws:ecr/repositoryCreationTemplate:RepositoryCreationTemplate": Mapped(
        "AWS::ECR::RepositoryCreationTemplate",
        {
            "appliedFors": "AppliedFor",
            "encryptionConfigurations": "EncryptionConfiguration",
            "resourceTags": lambda value: {"ResourceTags": parts.pairs(value)},
        },
    ),
    "aws:eks/accessEntry:AccessEntry": Mapped("AWS::EKS::AccessEntry"),
    "aws:eks/addon:Addon": Mapped(
        "AWS::EKS::Addon",
        {
            "resolveConflictsOnCreate": "ResolveConflicts",
            "resolveConflictsOnUpdate": parts.nothing,
            "podIdentityAssociations.serviceAccount": "ServiceAccount",
        },
    ),
    "aws:eks/cluster:Cluster": Mapped(
        "AWS::EKS::Cluster",
        {
            "vpcConfig": "ResourcesVpcConfig",
            "enabledClusterLogTypes": lambda value: {
                "Logging": {"ClusterLogging": {"EnabledTypes": [{"Type": each} for each in value]}}
            },
        },
    ),
    "aws:eks/nodeGroup:NodeGroup": Mapped(
        "AWS::EKS::Nodegroup",
        {
            "nodeRoleArn": "NodeRole",
            "subnetIds": "Subnets",
            "nodeGroupName": "NodegroupName",
        },
    ),
    "aws:eks/podIdentityAssociation:PodIdentityAssociation": Mapped("AWS::EKS::PodIdentityAssociation"),
    "aws:elasticache/parameterGroup:ParameterGroup": Mapped(
        "AWS::ElastiCache::ParameterGroup",
        {
            "name": parts.nothing,
            "family": "CacheParameterGroupFamily",
            "parameters": lambda value: {"Properties": {each["name"]: each["value"] for each in value}},
        },
    ),
    "aws:elasticache/replicationGroup:ReplicationGroup": Mapped(
        "AWS::ElastiCache::ReplicationGroup",
        {
            "description": "ReplicationGroupDescription",
            "nodeType": "CacheNodeType",
            "subnetGroupName": "CacheSubnetGroupName",
            "parameterGroupName": "CacheParameterGroupName",
            "maintenanceWindow": "PreferredMaintenanceWindow",
            "finalSnapshotIdentifier": parts.nothing,
        },
    ),
    "aws:elasticache/subnetGroup:SubnetGroup": Mapped(
        "AWS::ElastiCache::SubnetGroup",
        {
            "name": "CacheSubnetGroupName",
        },
    ),
    "aws:elasticache/user:User": Mapped(
        "AWS::ElastiCache::User",
        {
            "authenticationMode": lambda value: {
                "AuthenticationMode": parts.compact(Type=value["type"], Passwords=value.get("passwords"))
            },
        },
    ),
    "aws:elasticache/userGroup:UserGroup": Mapped("AWS::ElastiCache::UserGroup"),
    "aws:guardduty/detector:Detector": Mapped("AWS::GuardDuty::Detector"),
    "aws:iam/instanceProfile:InstanceProfile": Mapped(
        "AWS::IAM::InstanceProfile",
        {
            "name": "InstanceProfileName",
            "role": lambda value: {"Roles": [value]},
            "tags": parts.nothing,
        },
    ),
    "aws:iam/policy:Policy": Mapped(
        "AWS::IAM::ManagedPolicy",
        {
            "name": "ManagedPolicyName",
            "policy": "PolicyDocument",
            "tags": parts.nothing,
        },
    ),
    "aws:iam/role:Role": Mapped(
        "AWS::IAM::Role",
        {
            "name": "RoleName",
            "assumeRolePolicy": "AssumeRolePolicyDocument",
        },
    ),
    "aws:iam/rolePolicy:RolePolicy": Mapped(
        "AWS::IAM::RolePolicy",
        {
            "name": "PolicyName",
            "role": "RoleName",
            "policy": "PolicyDocument",
        },
        [lambda inputs: {} if "name" in inputs else {"PolicyName": "inline"}],
    ),
    "aws:kinesis/firehoseDeliveryStream:FirehoseDeliveryStream": Mapped(
        "AWS::KinesisFirehose::DeliveryStream",
        {
            "name": "DeliveryStreamName",
            "destination": parts.nothing,
            "extendedS3Configuration": parts.firehose,
            "kinesisSourceConfiguration": parts.firehose_source,
        },
        [
            lambda inputs: (
                {"DeliveryStreamType": "KinesisStreamAsSource"} if "kinesisSourceConfiguration" in inputs else {}
            )
        ],
    ),
    "aws:kinesis/stream:Stream": Mapped(
        "AWS::Kinesis::Stream",
        {
            "retentionPeriod": "RetentionPeriodHours",
            "encryptionType": lambda value: {"StreamEncryption": {"EncryptionType": value}},
            "kmsKeyId": lambda value: {"StreamEncryption": {"KeyId": value}},
            "streamModeDetails": "StreamModeDetails",
            "enforceConsumerDeletion": parts.nothing,
        },
    ),
    "aws:kms/alias:Alias": Mapped("AWS::KMS::Alias", {"name": "AliasName"}),
    "aws:kms/key:Key": Mapped(
        "AWS::KMS::Key",
        {
            "deletionWindowInDays": "PendingWindowInDays",
            "policy": "KeyPolicy",
        },
    ),
    "aws:rds/instance:Instance": Mapped(
        "AWS::RDS::DBInstance",
        {
            "identifier": "DBInstanceIdentifier",
            "instanceClass": "DBInstanceClass",
            "username": "MasterUsername",
            "backupWindow": "PreferredBackupWindow",
            "maintenanceWindow": "PreferredMaintenanceWindow",
            "caCertIdentifier": "CACertificateIdentifier",
            "enabledCloudwatchLogsExports": "EnableCloudwatchLogsExports",
            "iamDatabaseAuthenticationEnabled": "EnableIAMDatabaseAuthentication",
            "performanceInsightsEnabled": "EnablePerformanceInsights",
            "performanceInsightsKmsKeyId": "PerformanceInsightsKMSKeyId",
            "parameterGroupName": "DBParameterGroupName",
            "masterUserSecretKmsKeyId": lambda value: {"MasterUserSecret": {"KmsKeyId": value}},
            "manageMasterUserPassword": "ManageMasterUserPassword",
            "vpcSecurityGroupIds": "VPCSecurityGroups",
            "multiAz": "MultiAZ",
            "deleteAutomatedBackups": "DeleteAutomatedBackups",
        },
    ),
    "aws:rds/parameterGroup:ParameterGroup": Mapped(
        "AWS::RDS::DBParameterGroup",
        {
            "name": "DBParameterGroupName",
            "parameters": lambda value: {"Parameters": {each["name"]: each["value"] for each in value}},
        },
    ),
    "aws:rds/subnetGroup:SubnetGroup": Mapped(
        "AWS::RDS::DBSubnetGroup",
        {
            "name": "DBSubnetGroupName",
            "description": "DBSubnetGroupDescription",
        },
    ),
    "aws:route53/record:Record": Mapped(
        "AWS::Route53::RecordSet",
        {
            "zoneId": "HostedZoneId",
            "ttl": "TTL",
            **dict.fromkeys(("records", "allowOverwrite"), parts.nothing),
        },
        [parts.record],
    ),
    "aws:route53/zone:Zone": Mapped(
        "AWS::Route53::HostedZone",
        {
            "comment": lambda value: {"HostedZoneConfig": {"Comment": value}},
            "tags": lambda value: {"HostedZoneTags": parts.pairs(value)},
        },
    ),
    "aws:s3/bucket:Bucket": Mapped("AWS::S3::Bucket", {"bucket": "BucketName"}),
    "aws:s3/bucketPolicy:BucketPolicy": Mapped("AWS::S3::BucketPolicy", {"policy": "PolicyDocument"}),
    "aws:scheduler/schedule:Schedule": Mapped("AWS::Scheduler::Schedule", {"target.input": "Input"}),
    "aws:scheduler/scheduleGroup:ScheduleGroup": Mapped("AWS::Scheduler::ScheduleGroup"),
    "aws:secretsmanager/secret:Secret": Mapped("AWS::SecretsManager::Secret"),
    "aws:secretsmanager/secretPolicy:SecretPolicy": Mapped(
        "AWS::SecretsManager::ResourcePolicy",
        {
            "secretArn": "SecretId",
            "policy": "ResourcePolicy",
            "blockPublicPolicy": "BlockPublicPolicy",
        },
    ),
    "aws:sns/topic:Topic": Mapped("AWS::SNS::Topic", {"name": "TopicName", "kmsMasterKeyId": "KmsMasterKeyId"}),
    "aws:sns/topicPolicy:TopicPolicy": Mapped(
        "AWS::SNS::TopicPolicy",
        {
            "arn": lambda value: {"Topics": [value]},
            "policy": "PolicyDocument",
        },
    ),
    "aws:sns/topicSubscription:TopicSubscription": Mapped("AWS::SNS::Subscription", {"topic": "TopicArn"}),
    "aws:sqs/queue:Queue": Mapped(
        "AWS::SQS::Queue",
        {
            "name": "QueueName",
            "messageRetentionSeconds": "MessageRetentionPeriod",
            "sqsManagedSseEnabled": "SqsManagedSseEnabled",
        },
    ),
    "aws:sqs/queuePolicy:QueuePolicy": Mapped(
        "AWS::SQS::QueuePolicy",
        {
            "queueUrl": lambda value: {"Queues": [value]},
            "policy": "PolicyDocument",
        },
    ),
    "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule": Mapped(
        "AWS::EC2::SecurityGroupEgress",
        {
            "securityGroupId": "GroupId",
            "cidrIpv4": "CidrIp",
            **dict.fromkeys(("referencedSecurityGroupId", "tags"), parts.nothing),
        },
        [parts.egress_rule],
    ),
    "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule": Mapped(
        "AWS::EC2::SecurityGroupIngress",
        {
            "securityGroupId": "GroupId",
            "cidrIpv4": "CidrIp",
            **dict.fromkeys(("referencedSecurityGroupId", "tags"), parts.nothing),
        },
        [parts.ingress_rule],
    ),
}
"""Every type that has one of its own."""

_ROLE = ("aws:iam/role:Role",)
_BUCKET = ("aws:s3/bucket:Bucket",)

INTO: Mapping[str, Into] = {
    "aws:backup/vaultLockConfiguration:VaultLockConfiguration": Into(
        "backupVaultName",
        ("aws:backup/vault:Vault",),
        ("minRetentionDays", "maxRetentionDays", "changeableForDays"),
        parts.vault_lock,
    ),
    "aws:cloudwatch/eventTarget:EventTarget": Into(
        "rule", ("aws:cloudwatch/eventRule:EventRule",), ("targetId", "arn", "roleArn", "input"), parts.rule_target
    ),
    "aws:ecr/lifecyclePolicy:LifecyclePolicy": Into(
        "repository",
        ("aws:ecr/repository:Repository",),
        ("policy",),
        lambda inputs: {"LifecyclePolicy": {"LifecyclePolicyText": inputs["policy"]}},
    ),
    "aws:eks/accessPolicyAssociation:AccessPolicyAssociation": Into(
        "principalArn",
        ("aws:eks/accessEntry:AccessEntry",),
        ("clusterName", "policyArn", "accessScope"),
        parts.access_policy,
    ),
    "aws:guardduty/detectorFeature:DetectorFeature": Into(
        "detectorId",
        ("aws:guardduty/detector:Detector",),
        ("name", "status", "additionalConfigurations"),
        parts.detector_feature,
    ),
    "aws:iam/rolePolicyAttachment:RolePolicyAttachment": Into(
        "role", _ROLE, ("policyArn",), lambda inputs: {"ManagedPolicyArns": [inputs["policyArn"]]}
    ),
    "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration": Into(
        "bucket", _BUCKET, ("rules", "transitionDefaultMinimumObjectSize"), parts.lifecycle
    ),
    "aws:s3/bucketLogging:BucketLogging": Into(
        "bucket", _BUCKET, ("targetBucket", "targetPrefix", "targetObjectKeyFormat"), parts.bucket_logging
    ),
    "aws:s3/bucketOwnershipControls:BucketOwnershipControls": Into("bucket", _BUCKET, ("rule",), parts.ownership),
    "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock": Into(
        "bucket",
        _BUCKET,
        ("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets"),
        parts.public_access,
    ),
    "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration": Into(
        "bucket", _BUCKET, ("rules",), parts.encryption
    ),
    "aws:s3/bucketVersioning:BucketVersioning": Into("bucket", _BUCKET, ("versioningConfiguration",), parts.versioning),
}
"""Types that CloudFormation writes as a part of another."""

REFERENCES: Mapping[str, Mapping[str, str]] = {
    "aws:acm/certificate:Certificate": {"id": "Ref", "arn": "Ref"},
    "aws:codebuild/project:Project": {"id": "Arn"},
    "aws:costexplorer/anomalyMonitor:AnomalyMonitor": {"arn": "Ref", "id": "Ref"},
    "aws:ec2/eip:Eip": {"id": "AllocationId"},
    "aws:backup/vault:Vault": {"arn": "BackupVaultArn"},
    "aws:iam/policy:Policy": {"arn": "Ref", "id": "Ref"},
    "aws:kinesis/firehoseDeliveryStream:FirehoseDeliveryStream": {"id": "Arn"},
    "aws:kinesis/stream:Stream": {"id": "Arn"},
    "aws:rds/instance:Instance": {
        "arn": "DBInstanceArn",
        "id": "DbiResourceId",
        "resourceId": "DbiResourceId",
        "address": "Endpoint.Address",
        "port": "Endpoint.Port",
        "masterUserSecretArn": "MasterUserSecret.SecretArn",
    },
    "aws:route53/zone:Zone": {"zoneId": "Ref"},
    "aws:secretsmanager/secret:Secret": {"arn": "Ref", "id": "Ref"},
    "aws:sns/topic:Topic": {"arn": "Ref", "id": "Ref"},
    "aws:sqs/queue:Queue": {"url": "Ref", "id": "Ref"},
    "aws:elasticache/replicationGroup:ReplicationGroup": {"primaryEndpointAddress": "PrimaryEndPoint.Address"},
}
"""Outputs that CloudFormation calls otherwise: `Ref`, or an attribute."""
