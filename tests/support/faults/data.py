"""Faults of what holds data: encryption, recovery, who reaches it. Each field is legal by itself."""

from __future__ import annotations

from faults.base import GONE, Fault, more, rule

ANY = {"Sid": "Any", "Effect": "Allow", "Principal": "*", "Action": ["s3:GetObject"], "Resource": ["arn:aws:s3:::b/*"]}

DATA: list[Fault] = [
    rule(
        "everything_is_encrypted",
        "database's secret with AWS's key",
        "rds.Instance",
        {"masterUserSecretKmsKeyId": GONE},
    ),
    rule("everything_is_encrypted", "cluster's secrets in the clear", "eks.Cluster", {"encryptionConfig": GONE}),
    rule("everything_is_encrypted", "images with AWS's key", "ecr.Repository", {"encryptionConfigurations": GONE}),
    rule(
        "everything_is_encrypted",
        "somebody else's key",
        "cloudtrail.Trail",
        {"kmsKeyId": "arn:aws:kms:eu-west-1:111111111111:key/00000000-0000-0000-0000-000000000000"},
    ),
    rule("keys_are_turned", "key without a name", "kms.Alias/data", gone=True),
    rule("keys_admit_who_uses_them", "logs that cannot write", "kms.Key/logs", {"policy.Statement": []}),
    rule("buckets_are_whole", "bucket open unless closed", "s3.BucketPublicAccessBlock/artifacts", gone=True),
    rule("buckets_are_whole", "bucket without versions", "s3.BucketVersioning/data", gone=True),
    rule("buckets_are_closed", "public lists", "s3.BucketPublicAccessBlock/data", {"ignorePublicAcls": False}),
    rule(
        "buckets_refuse_strangers",
        "bucket without encryption on the way",
        "s3.BucketPolicy/data",
        {"policy.Statement": []},
    ),
    rule("buckets_refuse_strangers", "bucket for everybody", "s3.BucketPolicy/data", {"policy.Statement": more(ANY)}),
    rule(
        "buckets_cost_what_they_must",
        "KMS asked for every object",
        "s3.BucketServerSideEncryptionConfiguration/data",
        {"rules.0.bucketKeyEnabled": False},
    ),
    rule("database_is_safe", "password written", "rds.Instance", {"password": "correct-horse-battery"}),
    rule("database_is_safe", "reserved user", "rds.Instance", {"username": "admin"}),
    rule("database_is_safe", "storage that there is not", "rds.Instance", {"storageType": "gp9"}),
    rule("database_is_safe", "disk of one GiB", "rds.Instance", {"allocatedStorage": 1}),
    rule("database_is_safe", "no last snapshot", "rds.Instance", {"skipFinalSnapshot": True}),
    rule("database_is_safe", "paying for what nobody mends", "rds.Instance", {"engineLifecycleSupport": GONE}),
    rule("database_is_safe", "database in one zone only", "rds.Instance", {"multiAz": False}),
    rule("database_speaks_encrypted", "plain connections", "rds.ParameterGroup", {"parameters": []}),
    rule("database_speaks_encrypted", "parameters of another version", "rds.ParameterGroup", {"family": "postgres16"}),
    rule("tables_come_back", "table without a past", "dynamodb.Table", {"pointInTimeRecovery.enabled": False}),
    rule(
        "windows_do_not_meet",
        "maintained while backed up",
        "rds.Instance",
        {"maintenanceWindow": "sun:01:30-sun:03:00"},
    ),
    rule("windows_do_not_meet", "window of ten minutes", "rds.Instance", {"backupWindow": "01:00-01:10"}),
    rule(
        "keys_can_be_administered",
        "key lost to everybody",
        "kms.Key/data",
        {"policy.Statement.0.Action": ["kms:Decrypt"]},
    ),
    rule(
        "online_store_is_locked",
        "features in the clear",
        "elasticache.ReplicationGroup",
        {"transitEncryptionEnabled": False},
        stack="valkey",
    ),
    rule(
        "online_store_is_locked",
        "features for everybody",
        "elasticache.ReplicationGroup",
        {"userGroupIds": GONE},
        stack="valkey",
    ),
    rule("logs_end", "logs for ever", "cloudwatch.LogGroup/trail", {"retentionInDays": GONE}),
    rule("images_stay_as_they_are", "every image for ever", "ecr.LifecyclePolicy", gone=True),
    rule(
        "caches_name_their_credentials",
        "registry that asks who is there",
        "ecr.PullThroughCacheRule",
        {"upstreamRegistryUrl": "ghcr.io"},
    ),
    rule("backups_cover_the_data", "database in no backup", "backup.Selection", gone=True),
    rule("backups_end", "copies for ever", "backup.Plan", {"rules.0.lifecycle": {}}),
    rule(
        "backups_end",
        "cold, and gone too soon",
        "backup.Plan",
        {"rules.0.lifecycle": {"coldStorageAfter": 30, "deleteAfter": 60}},
    ),
    rule(
        "streams_arrive",
        "failures among the rest",
        "kinesis.FirehoseDeliveryStream",
        {"extendedS3Configuration.errorOutputPrefix": GONE},
    ),
]
