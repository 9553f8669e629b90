"""Which calls create a type of pulumi-aws, and what moto cannot create."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import botocore

import motoparts as parts
from motoparts import Values


def _no_more(_: Values, __: Values) -> Values:
    return {}


@dataclass(frozen=True)
class Call:
    """One request; several make a resource."""

    service: str
    operation: str
    entity: str = ""
    """Word that the API puts before names that Pulumi has bare: `name` is `RoleName`."""
    names: Mapping[str, str] = field(default_factory=dict)
    outputs: Mapping[str, str] = field(default_factory=dict)
    """Output of the resource, and where the reply has it."""
    only: Sequence[str] | None = None
    """Inputs that it takes; None takes every one that has a name there."""
    when: str | None = None
    """Input without which it is not made."""
    more: Callable[[Values, Values], Values] = _no_more
    """What it takes besides, from all inputs and from the outputs so far."""

    @property
    def method(self) -> str:
        """Return the name of the client's method."""
        return botocore.xform_name(self.operation)  # type: ignore[no-any-return]


_S3 = ("bucket",)

CALLS: Mapping[str, Sequence[Call]] = {
    "aws:acm/certificate:Certificate": [
        Call("acm", "RequestCertificate", outputs={"id": "CertificateArn", "arn": "CertificateArn"}),
        Call(
            "acm",
            "DescribeCertificate",
            only=(),
            more=lambda _, outputs: {"CertificateArn": outputs["id"]},
            outputs={
                "resourceRecordName": "Certificate.DomainValidationOptions.0.ResourceRecord.Name",
                "resourceRecordValue": "Certificate.DomainValidationOptions.0.ResourceRecord.Value",
            },
        ),
    ],
    "aws:backup/plan:Plan": [
        Call(
            "backup",
            "CreateBackupPlan",
            only=(),
            more=parts.plan,
            outputs={"id": "BackupPlanId", "arn": "BackupPlanArn"},
        )
    ],
    "aws:backup/vault:Vault": [
        Call(
            "backup",
            "CreateBackupVault",
            "backupvault",
            {"kmsKeyArn": "EncryptionKeyArn"},
            only=("name", "kmsKeyArn"),
            outputs={"id": "BackupVaultName", "arn": "BackupVaultArn"},
        )
    ],
    "aws:budgets/budget:Budget": [Call("budgets", "CreateBudget", only=(), more=parts.budget)],
    "aws:cloudtrail/trail:Trail": [
        Call(
            "cloudtrail",
            "CreateTrail",
            names={
                "cloudWatchLogsGroupArn": "CloudWatchLogsLogGroupArn",
                "enableLogFileValidation": "EnableLogFileValidation",
                "tags": "TagsList",
            },
            outputs={"id": "TrailARN", "arn": "TrailARN"},
        )
    ],
    "aws:cloudwatch/eventRule:EventRule": [Call("events", "PutRule", outputs={"arn": "RuleArn"})],
    "aws:cloudwatch/eventTarget:EventTarget": [Call("events", "PutTargets", only=(), more=parts.target)],
    "aws:cloudwatch/logGroup:LogGroup": [
        Call("logs", "CreateLogGroup", "loggroup", only=("name", "kmsKeyId", "tags")),
        Call("logs", "PutRetentionPolicy", "loggroup", only=("name", "retentionInDays"), when="retentionInDays"),
        Call(
            "logs",
            "DescribeLogGroups",
            "loggroup",
            {"name": "logGroupNamePrefix"},
            only=("name",),
            outputs={"arn": "logGroups.0.logGroupArn"},
        ),
    ],
    "aws:cloudwatch/logStream:LogStream": [Call("logs", "CreateLogStream", "logstream")],
    "aws:dynamodb/table:Table": [
        Call(
            "dynamodb",
            "CreateTable",
            "table",
            only=("name", "billingMode", "tags", "deletionProtectionEnabled"),
            more=parts.table,
            outputs={"arn": "TableDescription.TableArn"},
        ),
        Call(
            "dynamodb",
            "UpdateContinuousBackups",
            only=(),
            when="pointInTimeRecovery",
            more=lambda inputs, _: {
                "TableName": inputs["name"],
                "PointInTimeRecoverySpecification": {
                    "PointInTimeRecoveryEnabled": inputs["pointInTimeRecovery"]["enabled"]
                },
            },
        ),
    ],
    "aws:ec2/eip:Eip": [
        Call("ec2", "AllocateAddress", "elastic-ip", only=("domain", "tags"), outputs={"id": "AllocationId"})
    ],
    "aws:ec2/flowLog:FlowLog": [
        Call(
            "ec2",
            "CreateFlowLogs",
            "vpc-flow-log",
            {
                "iamRoleArn": "DeliverLogsPermissionArn",
                "maxAggregationInterval": "MaxAggregationInterval",
            },
            only=(
                "trafficType",
                "logDestinationType",
                "logDestination",
                "iamRoleArn",
                "maxAggregationInterval",
                "logFormat",
                "tags",
            ),
            more=lambda inputs, _: {"ResourceIds": [inputs["vpcId"]], "ResourceType": "VPC"},
            outputs={"id": "FlowLogIds.0"},
        )
    ],
    "aws:ec2/internetGateway:InternetGateway": [
        Call(
            "ec2",
            "CreateInternetGateway",
            "internet-gateway",
            only=("tags",),
            outputs={"id": "InternetGateway.InternetGatewayId"},
        ),
        Call("ec2", "AttachInternetGateway", only=(), when="vpcId", more=parts.attached),
    ],
    "aws:ec2/launchTemplate:LaunchTemplate": [
        Call(
            "ec2",
            "CreateLaunchTemplate",
            "launch-template",
            {"name": "LaunchTemplateName"},
            only=("name", "tags"),
            more=parts.launch_template,
            outputs={"id": "LaunchTemplate.LaunchTemplateId"},
        )
    ],
    "aws:ec2/natGateway:NatGateway": [
        Call("ec2", "CreateNatGateway", "natgateway", outputs={"id": "NatGateway.NatGatewayId"})
    ],
    "aws:ec2/route:Route": [Call("ec2", "CreateRoute")],
    "aws:ec2/routeTable:RouteTable": [
        Call(
            "ec2", "CreateRouteTable", "route-table", only=("vpcId", "tags"), outputs={"id": "RouteTable.RouteTableId"}
        )
    ],
    "aws:ec2/routeTableAssociation:RouteTableAssociation": [
        Call("ec2", "AssociateRouteTable", outputs={"id": "AssociationId"})
    ],
    "aws:ec2/securityGroup:SecurityGroup": [
        Call(
            "ec2",
            "CreateSecurityGroup",
            "security-group",
            {"name": "GroupName"},
            only=("name", "description", "vpcId", "tags"),
            outputs={"id": "GroupId"},
        ),
        Call(
            "ec2",
            "AuthorizeSecurityGroupIngress",
            only=(),
            when="ingress",
            more=lambda inputs, outputs: {
                "GroupId": outputs["id"],
                "IpPermissions": parts.inline(inputs["ingress"]),
            },
        ),
    ],
    "aws:ec2/subnet:Subnet": [
        Call(
            "ec2",
            "CreateSubnet",
            "subnet",
            only=("vpcId", "cidrBlock", "availabilityZone", "tags"),
            outputs={"id": "Subnet.SubnetId", "arn": "Subnet.SubnetArn"},
        ),
        Call(
            "ec2",
            "ModifySubnetAttribute",
            only=(),
            when="mapPublicIpOnLaunch",
            more=lambda _, outputs: {
                "SubnetId": outputs["id"],
                "MapPublicIpOnLaunch": {"Value": True},
            },
        ),
    ],
    "aws:ec2/vpc:Vpc": [
        Call("ec2", "CreateVpc", "vpc", only=("cidrBlock", "tags"), outputs={"id": "Vpc.VpcId"}),
        Call("ec2", "ModifyVpcAttribute", only=(), when="enableDnsSupport", more=parts.attribute("enableDnsSupport")),
        Call(
            "ec2", "ModifyVpcAttribute", only=(), when="enableDnsHostnames", more=parts.attribute("enableDnsHostnames")
        ),
        Call(
            "ec2",
            "DescribeSecurityGroups",
            only=(),
            more=lambda _, outputs: {"Filters": [{"Name": "vpc-id", "Values": [outputs["id"]]}]},
            outputs={"defaultSecurityGroupId": "SecurityGroups.0.GroupId"},
        ),
    ],
    "aws:ec2/vpcEndpoint:VpcEndpoint": [
        Call(
            "ec2",
            "CreateVpcEndpoint",
            "vpc-endpoint",
            {"policy": "PolicyDocument"},
            only=(
                "vpcId",
                "serviceName",
                "vpcEndpointType",
                "routeTableIds",
                "subnetIds",
                "securityGroupIds",
                "privateDnsEnabled",
                "policy",
            ),
            more=parts.endpoint,
            outputs={"id": "VpcEndpoint.VpcEndpointId"},
        )
    ],
    "aws:ec2/vpcIpv4CidrBlockAssociation:VpcIpv4CidrBlockAssociation": [
        Call("ec2", "AssociateVpcCidrBlock", outputs={"id": "CidrBlockAssociation.AssociationId"})
    ],
    "aws:ecr/lifecyclePolicy:LifecyclePolicy": [
        Call(
            "ecr", "PutLifecyclePolicy", "repository", {"repository": "repositoryName", "policy": "lifecyclePolicyText"}
        )
    ],
    "aws:ecr/repository:Repository": [
        Call(
            "ecr",
            "CreateRepository",
            "repository",
            {"encryptionConfigurations": "encryptionConfiguration"},
            outputs={"arn": "repository.repositoryArn", "repositoryUrl": "repository.repositoryUri"},
        )
    ],
    "aws:eks/cluster:Cluster": [
        Call(
            "eks",
            "CreateCluster",
            only=("name", "roleArn", "version", "tags", "kubernetesNetworkConfig"),
            more=parts.cluster,
            outputs={"arn": "cluster.arn", "endpoint": "cluster.endpoint"},
        ),
        # EKS makes a group for its nodes, and moto's does not.
        Call(
            "ec2",
            "DescribeSubnets",
            only=(),
            more=lambda inputs, _: {"SubnetIds": inputs["vpcConfig"]["subnetIds"][:1]},
            outputs={"vpcId": "Subnets.0.VpcId"},
        ),
        Call(
            "ec2",
            "CreateSecurityGroup",
            only=(),
            more=lambda inputs, outputs: {
                "GroupName": f"eks-cluster-sg-{inputs['name']}",
                "Description": "EKS's own",
                "VpcId": outputs["vpcId"],
            },
            outputs={"clusterSecurityGroupId": "GroupId"},
        ),
    ],
    "aws:eks/nodeGroup:NodeGroup": [
        Call(
            "eks",
            "CreateNodegroup",
            "nodegroup",
            {"nodeGroupName": "nodegroupName", "nodeRoleArn": "nodeRole", "subnetIds": "subnets"},
            only=(
                "clusterName",
                "nodeGroupName",
                "nodeRoleArn",
                "subnetIds",
                "amiType",
                "capacityType",
                "instanceTypes",
                "scalingConfig",
                "taints",
                "labels",
                "tags",
                "version",
            ),
            outputs={"arn": "nodegroup.nodegroupArn"},
        )
    ],
    "aws:elasticache/replicationGroup:ReplicationGroup": [
        Call(
            "elasticache",
            "CreateReplicationGroup",
            names={
                "description": "ReplicationGroupDescription",
                "nodeType": "CacheNodeType",
                "subnetGroupName": "CacheSubnetGroupName",
            },
            only=(
                "replicationGroupId",
                "description",
                "nodeType",
                "engine",
                "engineVersion",
                "subnetGroupName",
                "atRestEncryptionEnabled",
                "transitEncryptionEnabled",
                "kmsKeyId",
                "tags",
                "numCacheClusters",
            ),
            outputs={"arn": "ReplicationGroup.ARN"},
        )
    ],
    "aws:elasticache/subnetGroup:SubnetGroup": [Call("elasticache", "CreateCacheSubnetGroup", "cachesubnetgroup")],
    "aws:guardduty/detector:Detector": [
        Call(
            "guardduty",
            "CreateDetector",
            only=("enable", "findingPublishingFrequency", "tags"),
            outputs={"id": "DetectorId"},
        )
    ],
    "aws:iam/instanceProfile:InstanceProfile": [
        Call(
            "iam",
            "CreateInstanceProfile",
            "instanceprofile",
            only=("name", "tags"),
            outputs={"arn": "InstanceProfile.Arn"},
        ),
        Call("iam", "AddRoleToInstanceProfile", "instanceprofile", {"role": "RoleName"}, only=("name", "role")),
    ],
    "aws:iam/policy:Policy": [
        Call(
            "iam",
            "CreatePolicy",
            "policy",
            {"policy": "PolicyDocument"},
            outputs={"id": "Policy.Arn", "arn": "Policy.Arn"},
        )
    ],
    "aws:iam/role:Role": [
        Call("iam", "CreateRole", "role", {"assumeRolePolicy": "AssumeRolePolicyDocument"}, outputs={"arn": "Role.Arn"})
    ],
    "aws:iam/rolePolicy:RolePolicy": [
        Call(
            "iam",
            "PutRolePolicy",
            names={"role": "RoleName", "policy": "PolicyDocument"},
            only=("role", "policy"),
            more=lambda inputs, _: {"PolicyName": inputs.get("name", "inline")},
        )
    ],
    "aws:iam/rolePolicyAttachment:RolePolicyAttachment": [Call("iam", "AttachRolePolicy", names={"role": "RoleName"})],
    "aws:kinesis/firehoseDeliveryStream:FirehoseDeliveryStream": [
        Call(
            "firehose",
            "CreateDeliveryStream",
            "deliverystream",
            only=("name", "tags"),
            more=parts.firehose,
            outputs={"arn": "DeliveryStreamARN"},
        )
    ],
    "aws:kinesis/stream:Stream": [
        Call("kinesis", "CreateStream", only=(), more=parts.stream),
        Call(
            "kinesis",
            "StartStreamEncryption",
            only=("encryptionType",),
            when="kmsKeyId",
            more=lambda inputs, _: {
                "StreamName": inputs["name"],
                "KeyId": inputs["kmsKeyId"],
            },
        ),
        Call(
            "kinesis",
            "IncreaseStreamRetentionPeriod",
            only=(),
            when="retentionPeriod",
            more=lambda inputs, _: {
                "StreamName": inputs["name"],
                "RetentionPeriodHours": inputs["retentionPeriod"],
            },
        ),
        Call(
            "kinesis",
            "DescribeStream",
            only=(),
            more=lambda inputs, _: {"StreamName": inputs["name"]},
            outputs={"id": "StreamDescription.StreamARN", "arn": "StreamDescription.StreamARN"},
        ),
    ],
    "aws:kms/alias:Alias": [Call("kms", "CreateAlias", "alias")],
    "aws:kms/key:Key": [
        Call(
            "kms",
            "CreateKey",
            outputs={
                "id": "KeyMetadata.KeyId",
                "keyId": "KeyMetadata.KeyId",
                "arn": "KeyMetadata.Arn",
            },
            only=("description", "policy", "tags", "keyUsage"),
        ),
        Call(
            "kms",
            "EnableKeyRotation",
            only=("rotationPeriodInDays",),
            when="enableKeyRotation",
            more=lambda _, outputs: {"KeyId": outputs["id"]},
        ),
    ],
    "aws:rds/instance:Instance": [
        Call(
            "rds",
            "CreateDBInstance",
            names={
                "identifier": "DBInstanceIdentifier",
                "instanceClass": "DBInstanceClass",
                "username": "MasterUsername",
                "parameterGroupName": "DBParameterGroupName",
                "multiAz": "MultiAZ",
                "iamDatabaseAuthenticationEnabled": "EnableIAMDatabaseAuthentication",
                "enabledCloudwatchLogsExports": "EnableCloudwatchLogsExports",
                "masterUserSecretKmsKeyId": "MasterUserSecretKmsKeyId",
                "backupWindow": "PreferredBackupWindow",
                "maintenanceWindow": "PreferredMaintenanceWindow",
                "caCertIdentifier": "CACertificateIdentifier",
                "performanceInsightsEnabled": "EnablePerformanceInsights",
                "performanceInsightsKmsKeyId": "PerformanceInsightsKMSKeyId",
            },
            outputs={
                "arn": "DBInstance.DBInstanceArn",
                "resourceId": "DBInstance.DbiResourceId",
                "masterUserSecretArn": "DBInstance.MasterUserSecret.SecretArn",
            },
        )
    ],
    "aws:rds/parameterGroup:ParameterGroup": [
        Call(
            "rds",
            "CreateDBParameterGroup",
            "dbparametergroup",
            {"name": "DBParameterGroupName", "family": "DBParameterGroupFamily"},
            only=("name", "family", "description", "tags"),
        )
    ],
    "aws:rds/subnetGroup:SubnetGroup": [
        Call(
            "rds",
            "CreateDBSubnetGroup",
            "dbsubnetgroup",
            {"name": "DBSubnetGroupName", "description": "DBSubnetGroupDescription"},
        )
    ],
    "aws:route53/record:Record": [Call("route53", "ChangeResourceRecordSets", only=(), more=parts.record)],
    "aws:route53/zone:Zone": [
        Call(
            "route53",
            "CreateHostedZone",
            only=("name",),
            more=lambda inputs, _: {"CallerReference": inputs["name"]},
            outputs={"id": "HostedZone.Id", "zoneId": "HostedZone.Id"},
        )
    ],
    "aws:s3/bucket:Bucket": [
        Call(
            "s3",
            "CreateBucket",
            only=("bucket", "objectLockEnabled"),
            more=lambda inputs, _: ({"CreateBucketConfiguration": {"LocationConstraint": inputs["region"]}}),
        ),
        Call(
            "s3",
            "PutBucketTagging",
            only=_S3,
            when="tags",
            more=lambda inputs, _: {"Tagging": {"TagSet": parts.pairs(inputs["tags"])}},
        ),
    ],
    "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration": [
        Call("s3", "PutBucketLifecycleConfiguration", only=_S3, more=parts.lifecycle)
    ],
    "aws:s3/bucketOwnershipControls:BucketOwnershipControls": [
        Call(
            "s3",
            "PutBucketOwnershipControls",
            only=_S3,
            more=lambda inputs, _: {
                "OwnershipControls": {"Rules": [{"ObjectOwnership": inputs["rule"]["objectOwnership"]}]}
            },
        )
    ],
    "aws:s3/bucketPolicy:BucketPolicy": [Call("s3", "PutBucketPolicy", only=("bucket", "policy"))],
    "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock": [
        Call("s3", "PutPublicAccessBlock", only=_S3, more=parts.public_access)
    ],
    "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration": [
        Call("s3", "PutBucketEncryption", only=_S3, more=parts.encryption)
    ],
    "aws:s3/bucketVersioning:BucketVersioning": [
        Call(
            "s3",
            "PutBucketVersioning",
            only=_S3,
            more=lambda inputs, _: {"VersioningConfiguration": {"Status": inputs["versioningConfiguration"]["status"]}},
        )
    ],
    "aws:scheduler/schedule:Schedule": [
        Call(
            "scheduler",
            "CreateSchedule",
            only=(
                "name",
                "groupName",
                "scheduleExpression",
                "scheduleExpressionTimezone",
                "state",
            ),
            more=parts.schedule,
            outputs={"arn": "ScheduleArn"},
        )
    ],
    "aws:scheduler/scheduleGroup:ScheduleGroup": [
        Call("scheduler", "CreateScheduleGroup", outputs={"arn": "ScheduleGroupArn"})
    ],
    "aws:secretsmanager/secret:Secret": [
        Call(
            "secretsmanager",
            "CreateSecret",
            only=("name", "description", "kmsKeyId", "tags"),
            outputs={"id": "ARN", "arn": "ARN"},
        )
    ],
    "aws:secretsmanager/secretPolicy:SecretPolicy": [
        Call(
            "secretsmanager",
            "PutResourcePolicy",
            names={"secretArn": "SecretId", "policy": "ResourcePolicy"},
            only=("secretArn", "policy"),
        )
    ],
    "aws:sns/topic:Topic": [
        Call("sns", "CreateTopic", only=(), more=parts.topic, outputs={"id": "TopicArn", "arn": "TopicArn"})
    ],
    "aws:sns/topicPolicy:TopicPolicy": [
        Call(
            "sns",
            "SetTopicAttributes",
            only=(),
            more=lambda inputs, _: {
                "TopicArn": inputs["arn"],
                "AttributeName": "Policy",
                "AttributeValue": inputs["policy"],
            },
        )
    ],
    "aws:sns/topicSubscription:TopicSubscription": [Call("sns", "Subscribe", only=(), more=parts.subscriber)],
    "aws:sqs/queue:Queue": [
        Call("sqs", "CreateQueue", only=(), more=parts.queue, outputs={"id": "QueueUrl", "url": "QueueUrl"}),
        Call(
            "sqs",
            "GetQueueAttributes",
            only=(),
            more=lambda _, outputs: {"QueueUrl": outputs["id"], "AttributeNames": ["QueueArn"]},
            outputs={"arn": "Attributes.QueueArn"},
        ),
    ],
    "aws:sqs/queuePolicy:QueuePolicy": [
        Call(
            "sqs",
            "SetQueueAttributes",
            only=(),
            more=lambda inputs, _: {
                "QueueUrl": inputs["queueUrl"],
                "Attributes": {"Policy": inputs["policy"]},
            },
        )
    ],
    "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule": [
        Call("ec2", "AuthorizeSecurityGroupEgress", only=(), more=lambda inputs, _: parts.rule(inputs, "egress"))
    ],
    "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule": [
        Call("ec2", "AuthorizeSecurityGroupIngress", only=(), more=lambda inputs, _: parts.rule(inputs, "ingress"))
    ],
}
"""The calls that make each type."""

ADOPTED: Mapping[str, str] = {"aws:route53/record:Record": "zoneId"}
"""Input that names what a resource belongs to, where that may be somebody else's."""

WITHOUT: Mapping[str, str] = {
    "aws:acm/certificateValidation:CertificateValidation": "waits, and makes nothing",
    "aws:backup/restoreTestingPlan:RestoreTestingPlan": "moto has no tests of restoring",
    "aws:backup/restoreTestingSelection:RestoreTestingSelection": "likewise",
    "aws:backup/selection:Selection": "moto has no selections",
    "aws:backup/vaultLockConfiguration:VaultLockConfiguration": "moto keeps the lock without its days",
    "aws:codebuild/project:Project": "moto knows CodeBuild's older fields only",
    "aws:costexplorer/anomalyMonitor:AnomalyMonitor": "moto has no anomaly detection",
    "aws:costexplorer/anomalySubscription:AnomalySubscription": "likewise",
    "aws:ec2/defaultSecurityGroup:DefaultSecurityGroup": "adopts, and makes nothing",
    "aws:ec2/placementGroup:PlacementGroup": "moto has no placement groups",
    "aws:ec2/tag:Tag": "tags what AWS made by itself, which moto does not make",
    "aws:ecr/pullThroughCacheRule:PullThroughCacheRule": "moto has no pull-through cache",
    "aws:ecr/repositoryCreationTemplate:RepositoryCreationTemplate": "likewise",
    "aws:eks/accessEntry:AccessEntry": "moto has 17 of EKS's 70 calls; MiniStack has these",
    "aws:eks/accessPolicyAssociation:AccessPolicyAssociation": "likewise",
    "aws:eks/addon:Addon": "likewise",
    "aws:eks/podIdentityAssociation:PodIdentityAssociation": "likewise",
    "aws:elasticache/parameterGroup:ParameterGroup": "moto has no groups of ElastiCache's parameters",
    "aws:elasticache/user:User": "moto refuses users without a password, such as those of IAM",
    "aws:elasticache/userGroup:UserGroup": "moto has no groups of users",
    "aws:guardduty/detectorFeature:DetectorFeature": "moto keeps no features",
    "aws:s3/bucketLogging:BucketLogging": "moto wants the target's policy to name exactly that prefix, as one text",
}
"""Types that moto has no call for, and the reason."""
