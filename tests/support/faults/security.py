"""Weak settings: checkov finds them."""

from __future__ import annotations

from faults.base import GONE, Fault, check

SECURITY: list[Fault] = [
    check("API open to everybody", "eks.Cluster", {"vpcConfig.publicAccessCidrs": ["0.0.0.0/0"]}, "CKV_AWS_38"),
    check("tokens not required", "ec2.LaunchTemplate", {"metadataOptions.httpTokens": "optional"}, "CKV_AWS_79"),
    check("key never turned", "kms.Key/database", {"enableKeyRotation": False}, "CKV_AWS_7"),
    check(
        "bucket without versions",
        "s3.BucketVersioning/data",
        {"versioningConfiguration.status": "Suspended"},
        "CKV_AWS_21",
    ),
    check(
        "bucket open to public policies",
        "s3.BucketPublicAccessBlock/artifacts",
        {"blockPublicPolicy": False},
        "CKV_AWS_54",
    ),
    check(
        "bucket open to public lists", "s3.BucketPublicAccessBlock/features", {"blockPublicAcls": False}, "CKV_AWS_53"
    ),
    check("tags that may move", "ecr.Repository/controller", {"imageTagMutability": "MUTABLE"}, "CKV_AWS_51"),
    check(
        "images not scanned", "ecr.Repository/tracking", {"imageScanningConfiguration.scanOnPush": False}, "CKV_AWS_163"
    ),
    check("database in the open", "rds.Instance", {"publiclyAccessible": True}, "CKV_AWS_17"),
    check("table without a key", "dynamodb.Table", {"serverSideEncryption": GONE}, "CKV_AWS_119"),
    check("trail of one region", "cloudtrail.Trail", {"isMultiRegionTrail": False}, "CKV_AWS_67"),
    check("logs without a key", "cloudwatch.LogGroup/trail", {"kmsKeyId": GONE}, "CKV_AWS_158"),
    check("topic without a key", "sns.Topic", {"kmsMasterKeyId": GONE}, "CKV_AWS_26"),
    check("secret without a key", "secretsmanager.Secret/database-tracking", {"kmsKeyId": GONE}, "CKV_AWS_149"),
    check("stream without a key", "kinesis.Stream", {"encryptionType": "NONE"}, "CKV_AWS_43"),
    check("copies without a key", "backup.Vault", {"kmsKeyArn": GONE}, "CKV_AWS_166"),
    check("runner as root of its machine", "codebuild.Project", {"environment.privilegedMode": True}, "CKV_AWS_316"),
]
