# ruff: noqa: INP001 - a script, of no package
"""Write `platform/mlplat/targets/aws/data/permissions.json`: which rights the engine needs for each type it makes.

`TYPES` is what the provider calls for a type, from its own sources and the permissions that CloudFormation's handlers
declare. What an action can be narrowed to comes from AWS's service authorization reference, as parliament ships it.

    python scripts/permissions.py [--check]
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import parliament

TARGET = Path(__file__).parents[1] / "platform" / "mlplat" / "targets" / "aws" / "data" / "permissions.json"


def _s(service: str, words: str) -> list[str]:
    return [f"{service}:{word}" for word in words.split()]


TAGS = "CreateTags DeleteTags"
GROUP_RULES = _s(
    "ec2",
    "AuthorizeSecurityGroupIngress AuthorizeSecurityGroupEgress RevokeSecurityGroupIngress RevokeSecurityGroupEgress"
    " ModifySecurityGroupRules Describe*",
)
BUCKET = _s(
    "s3",
    # The provider reads all of a bucket, whatever part of it is declared.
    "ListBucket GetBucketAcl GetBucketCORS GetBucketWebsite GetBucketVersioning GetBucketLogging GetBucketPolicy"
    " GetBucketTagging GetBucketRequestPayment GetAccelerateConfiguration GetLifecycleConfiguration"
    " GetReplicationConfiguration GetEncryptionConfiguration GetBucketObjectLockConfiguration"
    " GetBucketPublicAccessBlock GetBucketOwnershipControls GetBucketLocation",
)
TYPES: Mapping[str, list[str]] = {
    "aws:acm/certificate:Certificate": _s(
        "acm",
        "RequestCertificate DescribeCertificate DeleteCertificate ListTagsForCertificate AddTagsToCertificate"
        " RemoveTagsFromCertificate UpdateCertificateOptions",
    ),
    "aws:acm/certificateValidation:CertificateValidation": _s("acm", "DescribeCertificate"),
    "aws:backup/plan:Plan": _s(
        "backup",
        "CreateBackupPlan GetBackupPlan UpdateBackupPlan DeleteBackupPlan TagResource UntagResource ListTags",
    ),
    "aws:backup/restoreTestingPlan:RestoreTestingPlan": _s(
        "backup",
        "CreateRestoreTestingPlan GetRestoreTestingPlan UpdateRestoreTestingPlan DeleteRestoreTestingPlan TagResource"
        " UntagResource ListTags",
    ),
    "aws:backup/restoreTestingSelection:RestoreTestingSelection": _s(
        "backup",
        "CreateRestoreTestingSelection GetRestoreTestingSelection UpdateRestoreTestingSelection"
        " DeleteRestoreTestingSelection",
    ),
    "aws:backup/selection:Selection": _s("backup", "CreateBackupSelection GetBackupSelection DeleteBackupSelection"),
    "aws:backup/vault:Vault": [
        *_s(
            "backup",
            "CreateBackupVault DescribeBackupVault DeleteBackupVault ListRecoveryPointsByBackupVault TagResource"
            " UntagResource ListTags",
        ),
        *_s("backup-storage", "MountCapsule"),
    ],
    "aws:backup/vaultLockConfiguration:VaultLockConfiguration": _s(
        "backup", "PutBackupVaultLockConfiguration DeleteBackupVaultLockConfiguration DescribeBackupVault"
    ),
    "aws:budgets/budget:Budget": _s("budgets", "ViewBudget ModifyBudget TagResource UntagResource ListTagsForResource"),
    "aws:cloudtrail/trail:Trail": _s(
        "cloudtrail",
        "CreateTrail DeleteTrail UpdateTrail StartLogging StopLogging GetTrailStatus GetTrail DescribeTrails"
        " PutEventSelectors GetEventSelectors PutInsightSelectors GetInsightSelectors AddTags RemoveTags ListTags",
    ),
    "aws:cloudwatch/eventRule:EventRule": _s(
        "events", "PutRule DescribeRule DeleteRule EnableRule DisableRule TagResource UntagResource ListTagsForResource"
    ),
    "aws:cloudwatch/eventTarget:EventTarget": _s("events", "PutTargets RemoveTargets ListTargetsByRule"),
    "aws:cloudwatch/logGroup:LogGroup": _s(
        "logs",
        "CreateLogGroup DeleteLogGroup DescribeLogGroups PutRetentionPolicy DeleteRetentionPolicy AssociateKmsKey"
        " DisassociateKmsKey TagResource UntagResource ListTagsForResource",
    ),
    "aws:cloudwatch/logStream:LogStream": _s("logs", "CreateLogStream DeleteLogStream DescribeLogStreams"),
    "aws:codebuild/project:Project": _s("codebuild", "CreateProject UpdateProject DeleteProject BatchGetProjects"),
    "aws:costexplorer/anomalyMonitor:AnomalyMonitor": _s(
        "ce",
        "CreateAnomalyMonitor GetAnomalyMonitors UpdateAnomalyMonitor DeleteAnomalyMonitor ListTagsForResource"
        " TagResource UntagResource",
    ),
    "aws:costexplorer/anomalySubscription:AnomalySubscription": _s(
        "ce",
        "CreateAnomalySubscription GetAnomalySubscriptions UpdateAnomalySubscription DeleteAnomalySubscription"
        " ListTagsForResource TagResource UntagResource",
    ),
    "aws:costexplorer/costAllocationTag:CostAllocationTag": _s(
        "ce", "UpdateCostAllocationTagsStatus ListCostAllocationTags"
    ),
    "aws:dynamodb/table:Table": _s(
        "dynamodb",
        "CreateTable DescribeTable UpdateTable DeleteTable DescribeTimeToLive UpdateTimeToLive"
        " DescribeContinuousBackups UpdateContinuousBackups ListTagsOfResource TagResource UntagResource",
    ),
    "aws:ec2/defaultSecurityGroup:DefaultSecurityGroup": [*GROUP_RULES, *_s("ec2", TAGS)],
    "aws:ec2/eip:Eip": _s("ec2", f"AllocateAddress ReleaseAddress DisassociateAddress Describe* {TAGS}"),
    "aws:ec2/flowLog:FlowLog": _s("ec2", f"CreateFlowLogs DeleteFlowLogs Describe* {TAGS}"),
    "aws:ec2/internetGateway:InternetGateway": _s(
        "ec2",
        f"CreateInternetGateway AttachInternetGateway DetachInternetGateway DeleteInternetGateway Describe* {TAGS}",
    ),
    "aws:ec2/launchTemplate:LaunchTemplate": [
        *_s(
            "ec2",
            "CreateLaunchTemplate CreateLaunchTemplateVersion ModifyLaunchTemplate DeleteLaunchTemplate Describe*"
            f" {TAGS}",
        ),
        # EKS starts a node group's machines with the rights of whoever asks for it.
        *_s("ec2", "RunInstances"),
    ],
    "aws:ec2/natGateway:NatGateway": _s("ec2", f"CreateNatGateway DeleteNatGateway Describe* {TAGS}"),
    "aws:ec2/placementGroup:PlacementGroup": _s("ec2", f"CreatePlacementGroup DeletePlacementGroup Describe* {TAGS}"),
    "aws:ec2/route:Route": _s("ec2", "CreateRoute ReplaceRoute DeleteRoute Describe*"),
    "aws:ec2/routeTable:RouteTable": _s("ec2", f"CreateRouteTable DeleteRouteTable Describe* {TAGS}"),
    "aws:ec2/routeTableAssociation:RouteTableAssociation": _s(
        "ec2", "AssociateRouteTable DisassociateRouteTable ReplaceRouteTableAssociation Describe*"
    ),
    "aws:ec2/securityGroup:SecurityGroup": [
        *_s("ec2", f"CreateSecurityGroup DeleteSecurityGroup {TAGS}"),
        *GROUP_RULES,
    ],
    "aws:ec2/subnet:Subnet": _s("ec2", f"CreateSubnet DeleteSubnet ModifySubnetAttribute Describe* {TAGS}"),
    "aws:ec2/tag:Tag": _s("ec2", f"Describe* {TAGS}"),
    "aws:ec2/vpc:Vpc": _s("ec2", f"CreateVpc DeleteVpc ModifyVpcAttribute Describe* {TAGS}"),
    "aws:ec2/vpcEndpoint:VpcEndpoint": _s(
        "ec2", f"CreateVpcEndpoint ModifyVpcEndpoint DeleteVpcEndpoints Describe* {TAGS}"
    ),
    "aws:ec2/vpcIpv4CidrBlockAssociation:VpcIpv4CidrBlockAssociation": _s(
        "ec2", "AssociateVpcCidrBlock DisassociateVpcCidrBlock Describe*"
    ),
    "aws:ecr/lifecyclePolicy:LifecyclePolicy": _s("ecr", "PutLifecyclePolicy GetLifecyclePolicy DeleteLifecyclePolicy"),
    "aws:ecr/pullThroughCacheRule:PullThroughCacheRule": _s(
        "ecr",
        "CreatePullThroughCacheRule DescribePullThroughCacheRules UpdatePullThroughCacheRule"
        " DeletePullThroughCacheRule",
    ),
    "aws:ecr/repository:Repository": _s(
        "ecr",
        "CreateRepository DescribeRepositories DeleteRepository PutImageScanningConfiguration PutImageTagMutability"
        " ListTagsForResource TagResource UntagResource",
    ),
    "aws:ecr/repositoryCreationTemplate:RepositoryCreationTemplate": _s(
        "ecr",
        "CreateRepositoryCreationTemplate DescribeRepositoryCreationTemplates UpdateRepositoryCreationTemplate"
        " DeleteRepositoryCreationTemplate",
    ),
    "aws:eks/accessEntry:AccessEntry": _s(
        "eks",
        "CreateAccessEntry DescribeAccessEntry UpdateAccessEntry DeleteAccessEntry TagResource UntagResource"
        " ListTagsForResource",
    ),
    "aws:eks/accessPolicyAssociation:AccessPolicyAssociation": _s(
        "eks", "AssociateAccessPolicy DisassociateAccessPolicy ListAssociatedAccessPolicies"
    ),
    "aws:eks/addon:Addon": _s(
        "eks",
        "CreateAddon DescribeAddon UpdateAddon DeleteAddon DescribeUpdate CreatePodIdentityAssociation"
        " UpdatePodIdentityAssociation DeletePodIdentityAssociation DescribePodIdentityAssociation TagResource"
        " UntagResource ListTagsForResource",
    ),
    "aws:eks/cluster:Cluster": _s(
        "eks",
        "CreateCluster DescribeCluster DeleteCluster UpdateClusterConfig UpdateClusterVersion DescribeUpdate"
        " AssociateEncryptionConfig TagResource UntagResource ListTagsForResource",
    ),
    "aws:eks/nodeGroup:NodeGroup": _s(
        "eks",
        "CreateNodegroup DescribeNodegroup DeleteNodegroup UpdateNodegroupConfig UpdateNodegroupVersion DescribeUpdate"
        " TagResource UntagResource ListTagsForResource",
    ),
    "aws:eks/podIdentityAssociation:PodIdentityAssociation": _s(
        "eks",
        "CreatePodIdentityAssociation DescribePodIdentityAssociation UpdatePodIdentityAssociation"
        " DeletePodIdentityAssociation ListPodIdentityAssociations TagResource UntagResource ListTagsForResource",
    ),
    "aws:elasticache/parameterGroup:ParameterGroup": _s(
        "elasticache",
        "CreateCacheParameterGroup DescribeCacheParameterGroups DescribeCacheParameters ModifyCacheParameterGroup"
        " ResetCacheParameterGroup DeleteCacheParameterGroup AddTagsToResource RemoveTagsFromResource"
        " ListTagsForResource",
    ),
    "aws:elasticache/replicationGroup:ReplicationGroup": [
        *_s(
            "elasticache",
            "CreateReplicationGroup DescribeReplicationGroups ModifyReplicationGroup DeleteReplicationGroup"
            " IncreaseReplicaCount DecreaseReplicaCount DescribeCacheClusters CreateSnapshot AddTagsToResource"
            " RemoveTagsFromResource ListTagsForResource",
        ),
        *_s("ec2", "Describe*"),
    ],
    "aws:elasticache/subnetGroup:SubnetGroup": _s(
        "elasticache",
        "CreateCacheSubnetGroup DescribeCacheSubnetGroups ModifyCacheSubnetGroup DeleteCacheSubnetGroup"
        " AddTagsToResource RemoveTagsFromResource ListTagsForResource",
    ),
    "aws:elasticache/user:User": _s(
        "elasticache",
        "CreateUser DescribeUsers ModifyUser DeleteUser AddTagsToResource RemoveTagsFromResource ListTagsForResource",
    ),
    "aws:elasticache/userGroup:UserGroup": _s(
        "elasticache",
        "CreateUserGroup DescribeUserGroups ModifyUserGroup DeleteUserGroup AddTagsToResource RemoveTagsFromResource"
        " ListTagsForResource",
    ),
    "aws:guardduty/detector:Detector": _s(
        "guardduty", "CreateDetector GetDetector UpdateDetector DeleteDetector TagResource UntagResource"
    ),
    "aws:guardduty/detectorFeature:DetectorFeature": _s("guardduty", "GetDetector UpdateDetector"),
    "aws:iam/instanceProfile:InstanceProfile": _s(
        "iam",
        "CreateInstanceProfile GetInstanceProfile DeleteInstanceProfile AddRoleToInstanceProfile"
        " RemoveRoleFromInstanceProfile TagInstanceProfile UntagInstanceProfile",
    ),
    "aws:iam/policy:Policy": _s(
        "iam",
        "CreatePolicy GetPolicy GetPolicyVersion ListPolicyVersions CreatePolicyVersion DeletePolicyVersion"
        " DeletePolicy TagPolicy UntagPolicy",
    ),
    "aws:iam/role:Role": _s(
        "iam",
        "CreateRole GetRole UpdateRole UpdateRoleDescription UpdateAssumeRolePolicy DeleteRole ListRolePolicies"
        " ListAttachedRolePolicies ListInstanceProfilesForRole PutRolePermissionsBoundary"
        " DeleteRolePermissionsBoundary TagRole UntagRole",
    ),
    "aws:iam/rolePolicy:RolePolicy": _s("iam", "PutRolePolicy GetRolePolicy DeleteRolePolicy"),
    "aws:iam/rolePolicyAttachment:RolePolicyAttachment": _s(
        "iam", "AttachRolePolicy DetachRolePolicy ListAttachedRolePolicies"
    ),
    "aws:kinesis/firehoseDeliveryStream:FirehoseDeliveryStream": _s(
        "firehose",
        "CreateDeliveryStream DescribeDeliveryStream UpdateDestination DeleteDeliveryStream"
        " StartDeliveryStreamEncryption StopDeliveryStreamEncryption TagDeliveryStream UntagDeliveryStream"
        " ListTagsForDeliveryStream",
    ),
    "aws:kinesis/stream:Stream": _s(
        "kinesis",
        "CreateStream DescribeStream DescribeStreamSummary DeleteStream UpdateShardCount UpdateStreamMode"
        " IncreaseStreamRetentionPeriod DecreaseStreamRetentionPeriod StartStreamEncryption StopStreamEncryption"
        " AddTagsToStream RemoveTagsFromStream ListTagsForStream",
    ),
    "aws:kms/alias:Alias": _s("kms", "CreateAlias UpdateAlias DeleteAlias ListAliases"),
    "aws:kms/key:Key": _s(
        "kms",
        "CreateKey DescribeKey GetKeyPolicy PutKeyPolicy GetKeyRotationStatus EnableKeyRotation DisableKeyRotation"
        " UpdateKeyDescription EnableKey DisableKey ScheduleKeyDeletion ListResourceTags TagResource UntagResource"
        # What the services that are given a key ask for, in the name of whoever gives it.
        " CreateGrant Decrypt GenerateDataKey GenerateDataKeyWithoutPlaintext Encrypt",
    ),
    "aws:rds/instance:Instance": [
        *_s(
            "rds",
            "CreateDBInstance DescribeDBInstances ModifyDBInstance RebootDBInstance DeleteDBInstance CreateDBSnapshot"
            " DescribeDBSnapshots AddTagsToResource RemoveTagsFromResource ListTagsForResource",
        ),
        *_s("ec2", "Describe*"),
        *_s("secretsmanager", "CreateSecret TagResource RotateSecret"),
    ],
    "aws:rds/parameterGroup:ParameterGroup": _s(
        "rds",
        "CreateDBParameterGroup DescribeDBParameterGroups DescribeDBParameters ModifyDBParameterGroup"
        " ResetDBParameterGroup DeleteDBParameterGroup AddTagsToResource RemoveTagsFromResource ListTagsForResource",
    ),
    "aws:rds/subnetGroup:SubnetGroup": _s(
        "rds",
        "CreateDBSubnetGroup DescribeDBSubnetGroups ModifyDBSubnetGroup DeleteDBSubnetGroup AddTagsToResource"
        " RemoveTagsFromResource ListTagsForResource",
    ),
    "aws:route53/record:Record": _s(
        "route53", "ChangeResourceRecordSets ListResourceRecordSets GetHostedZone GetChange"
    ),
    "aws:route53/zone:Zone": _s(
        "route53",
        "CreateHostedZone GetHostedZone UpdateHostedZoneComment DeleteHostedZone ListResourceRecordSets"
        " ChangeResourceRecordSets GetChange ChangeTagsForResource ListTagsForResource GetDNSSEC",
    ),
    "aws:s3/bucket:Bucket": [
        *BUCKET,
        *_s(
            "s3",
            # The objects' rights are for the end of a stack with its data.
            "CreateBucket DeleteBucket PutBucketTagging ListBucketVersions DeleteObject DeleteObjectVersion",
        ),
    ],
    "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration": _s(
        "s3", "GetLifecycleConfiguration PutLifecycleConfiguration"
    ),
    "aws:s3/bucketLogging:BucketLogging": _s("s3", "GetBucketLogging PutBucketLogging"),
    "aws:s3/bucketOwnershipControls:BucketOwnershipControls": _s(
        "s3", "GetBucketOwnershipControls PutBucketOwnershipControls"
    ),
    "aws:s3/bucketPolicy:BucketPolicy": _s("s3", "GetBucketPolicy PutBucketPolicy DeleteBucketPolicy"),
    "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock": _s(
        "s3", "GetBucketPublicAccessBlock PutBucketPublicAccessBlock"
    ),
    "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration": _s(
        "s3", "GetEncryptionConfiguration PutEncryptionConfiguration"
    ),
    "aws:s3/bucketVersioning:BucketVersioning": _s("s3", "GetBucketVersioning PutBucketVersioning"),
    "aws:scheduler/schedule:Schedule": _s("scheduler", "CreateSchedule GetSchedule UpdateSchedule DeleteSchedule"),
    "aws:scheduler/scheduleGroup:ScheduleGroup": _s(
        "scheduler",
        "CreateScheduleGroup GetScheduleGroup DeleteScheduleGroup TagResource UntagResource ListTagsForResource",
    ),
    "aws:secretsmanager/secret:Secret": _s(
        "secretsmanager",
        "CreateSecret DescribeSecret UpdateSecret DeleteSecret RestoreSecret GetResourcePolicy TagResource"
        " UntagResource",
    ),
    "aws:secretsmanager/secretPolicy:SecretPolicy": _s(
        "secretsmanager", "PutResourcePolicy GetResourcePolicy DeleteResourcePolicy DescribeSecret"
    ),
    "aws:sns/topic:Topic": _s(
        "sns",
        "CreateTopic GetTopicAttributes SetTopicAttributes DeleteTopic ListTagsForResource TagResource UntagResource",
    ),
    "aws:sns/topicPolicy:TopicPolicy": _s("sns", "GetTopicAttributes SetTopicAttributes"),
    "aws:sns/topicSubscription:TopicSubscription": _s(
        "sns", "Subscribe Unsubscribe GetSubscriptionAttributes SetSubscriptionAttributes"
    ),
    "aws:sqs/queue:Queue": _s(
        "sqs",
        "CreateQueue GetQueueUrl GetQueueAttributes SetQueueAttributes DeleteQueue ListQueueTags TagQueue UntagQueue",
    ),
    "aws:sqs/queuePolicy:QueuePolicy": _s("sqs", "GetQueueAttributes SetQueueAttributes"),
    "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule": [*GROUP_RULES, *_s("ec2", TAGS)],
    "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule": [*GROUP_RULES, *_s("ec2", TAGS)],
}
BESIDE = [
    # `mlplat doctor`, `mlplat down` and `mlplat aws leftovers` ask these beside what the engine does.
    *_s("ec2", "Describe*"),
    *_s("elasticloadbalancing", "Describe*"),
    *_s("tag", "GetResources"),
    *_s("servicequotas", "GetServiceQuota GetAWSDefaultServiceQuota ListServiceQuotas"),
    *_s("iam", "ListRoles ListPolicies ListInstanceProfiles"),
    *_s("dynamodb", "ListTables"),
    *_s("logs", "DescribeLogGroups"),
    *_s("eks", "DescribeCluster"),
    *_s("pricing", "GetProducts"),
]

NAMED = {
    "acm:certificate": None,
    "backup:backupPlan": None,
    "backup:backupVault": "backup-vault:{base}*",
    "backup:restoreTestingPlan": "restore-testing-plan:{under}*",
    "budgets:budget": "budget/{base}*",
    "ce:anomalymonitor": None,
    "ce:anomalysubscription": None,
    "cloudtrail:trail": "trail/{base}*",
    "codebuild:project": "project/{base}*",
    "dynamodb:table": "table/{base}*",
    "ec2:elastic-ip": None,
    "ec2:image": None,
    "ec2:instance": None,
    "ec2:internet-gateway": None,
    "ec2:launch-template": None,
    "ec2:natgateway": None,
    "ec2:network-interface": None,
    "ec2:placement-group": "placement-group/{base}*",
    "ec2:route-table": None,
    "ec2:security-group": None,
    "ec2:security-group-rule": None,
    "ec2:subnet": None,
    "ec2:volume": None,
    "ec2:vpc": None,
    "ec2:vpc-endpoint": None,
    "ec2:vpc-flow-log": None,
    "ecr:repository": ("repository/mlplat/{base}*", "repository/{base}*"),
    "eks:access-entry": "access-entry/{base}/*",
    "eks:addon": "addon/{base}/*",
    "eks:cluster": "cluster/{base}",
    "eks:nodegroup": "nodegroup/{base}/*",
    "eks:podidentityassociation": "podidentityassociation/{base}/*",
    "elasticache:cluster": "cluster:{base}*",
    "elasticache:parametergroup": "parametergroup:{base}*",
    "elasticache:replicationgroup": "replicationgroup:{base}*",
    "elasticache:snapshot": "snapshot:{base}*",
    "elasticache:subnetgroup": "subnetgroup:{base}*",
    "elasticache:user": "user:{base}*",
    "elasticache:usergroup": "usergroup:{base}*",
    "events:rule-on-default-event-bus": "rule/{base}*",
    "firehose:deliverystream": "deliverystream/{base}*",
    "guardduty:detector": None,
    "iam:instance-profile": "instance-profile/{base}*",
    "iam:policy": "policy/{base}*",
    "iam:role": "role/{base}*",
    "kinesis:stream": "stream/{base}*",
    "kms:alias": "alias/{base}*",
    "kms:key": None,
    "logs:log-group": "log-group:*{base}*",
    "logs:log-stream": "log-group:*{base}*:log-stream:*",
    "rds:db": "db:{base}*",
    "rds:og": "og:default:*",
    "rds:pg": "pg:{base}*",
    "rds:snapshot": "snapshot:{base}*",
    "rds:subgrp": "subgrp:{base}*",
    "route53:change": None,
    "route53:hostedzone": None,
    "s3:bucket": "{base}*",
    "s3:object": "{base}*/*",
    "scheduler:schedule": "schedule/{base}*/*",
    "scheduler:schedule-group": "schedule-group/{base}*",
    "secretsmanager:Secret": ("secret:mlplat/{base}/*", "secret:ecr-pullthroughcache/{base}*", "secret:rds!db-*"),
    "sns:topic": "{base}*",
    "sqs:queue": "{base}*",
}
"""What each kind of things is called; None for one that AWS numbers, which the deployment's tag narrows instead."""
MADE = ("Create", "Allocate", "Run", "Request")
"""Begin actions that make what they name, so that its tags are those of the request."""
UNTAGGED = frozenset({"ec2:image", "ec2:security-group", "ec2:security-group-rule", "ec2:network-interface"})
"""What an action may name without our tag on it: images are Amazon's; a VPC's own group and EKS's have none."""
RULES = ("AuthorizeSecurityGroup", "RevokeSecurityGroup", "ModifySecurityGroup", "RunInstances", "CreateVpcEndpoint")
"""Begin actions on security groups that may be those."""
SPECIAL: Mapping[str, list[list[str | None]]] = {
    # Tags are given where a thing is made, and changed where it is ours; else whoever tags a thing could take it.
    "ec2:CreateTags": [
        ["${Region}:${Account}:*/*", "created"],
        ["${Region}:${Account}:*/*", "resource"],
        # A VPC's own group, which nobody makes, and EKS's, by whose tag Karpenter finds it.
        ["${Region}:${Account}:security-group/*", "request"],
        ["${Region}:${Account}:security-group/*", "discovery"],
    ],
    "ec2:DeleteTags": [["${Region}:${Account}:*/*", "resource"]],
    # Of two services: the stream, and the key that encrypts it.
    **{
        f"kinesis:{verb}StreamEncryption": [
            ["${Region}:${Account}:stream/{base}*", None],
            ["kms:${Region}:${Account}:key/*", None],
        ]
        for verb in ("Start", "Stop")
    },
}
KMS_TAGGED = frozenset({"kms:key"})
"""Kinds whose actions know a tag of the resource although the reference names that with the kind alone."""


def scopes(action: str, services: Mapping[str, Any]) -> list[list[str | None]]:
    """Return what an action is narrowed to: pairs of the end of an ARN, `*` where there is none, and a condition."""
    if action in SPECIAL:
        return SPECIAL[action]
    service, name = action.split(":")
    if name.endswith("*"):
        return [["*", None]]
    told = services[service]
    privilege = next((each for each in told["privileges"] if each["privilege"] == name), None)
    if privilege is None:
        raise SystemExit(f"{action}: AWS has no such action")
    found: list[list[str | None]] = []
    arns = {each["resource"]: each["arn"] for each in told["resources"]}
    for each in privilege["resource_types"]:
        kind = f"{service}:{each['resource_type'].rstrip('*')}"
        if kind in NAMED:
            found += _scope(name, kind, each["condition_keys"], arns[kind.partition(":")[2]])
    if found:
        return found
    keys = {key for each in privilege["resource_types"] for key in each["condition_keys"]}
    if [each for each in privilege["resource_types"] if each["resource_type"].endswith("*")]:
        sys.stderr.write(f"{action}: names {[each['resource_type'] for each in privilege['resource_types']]}\n")
    return [["*", "request" if "aws:RequestTag/${TagKey}" in keys and name.startswith(MADE) else None]]


def _scope(action: str, kind: str, keys: list[str], arn: str) -> list[list[str | None]]:
    named = NAMED[kind]
    _, _, rest = arn.partition(f":{kind.partition(':')[0]}:")
    place = ":".join(rest.split(":")[:2])
    if named is not None:
        return [[f"{place}:{each}", None] for each in ([named] if isinstance(named, str) else named)]
    tail = rest.split(":", 2)[2]
    numbered = tail[: tail.index("${")] + "*" if "${" in tail else tail
    if kind in UNTAGGED and (kind != "ec2:security-group" or action.startswith(RULES)):
        condition = "request" if action.startswith(MADE) and "aws:RequestTag/${TagKey}" in keys else None
    elif action.startswith(MADE) and "aws:RequestTag/${TagKey}" in keys:
        condition = "request"
    else:
        condition = "resource" if "aws:ResourceTag/${TagKey}" in keys or kind in KMS_TAGGED else None
    return [[f"{place}:{numbered}", condition]]


def made() -> str:
    """Return the file."""
    definition = Path(parliament.__file__).parent / "iam_definition.json"
    services = {each["prefix"]: each for each in json.loads(definition.read_text())}
    actions = sorted({action for actions in [*TYPES.values(), BESIDE] for action in actions})
    value = {
        "types": {kind: sorted(set(actions)) for kind, actions in sorted(TYPES.items())},
        "beside": sorted(set(BESIDE)),
        "scopes": {action: scopes(action, services) for action in actions},
    }
    return json.dumps(value, indent=1) + "\n"


def main() -> None:
    """Write the file, or fail where it differs."""
    text = made()
    if "--check" not in sys.argv:
        TARGET.write_text(text)
    elif TARGET.read_text() != text:
        sys.exit(f"{TARGET} is not what scripts/permissions.py makes")


if __name__ == "__main__":
    main()
