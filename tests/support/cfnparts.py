"""What CloudFormation nests otherwise than pulumi-aws: one function a block, from inputs to properties."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Inputs = dict[str, Any]


def nothing(_: Any) -> Inputs:
    return {}


def compact(**values: Any) -> Inputs:
    return {name: value for name, value in values.items() if value is not None}


def pairs(tags: Mapping[str, str] | None) -> list[Inputs] | None:
    return [{"Key": name, "Value": value} for name, value in tags.items()] if tags else None


def key_schema(inputs: Inputs) -> Inputs:
    keys = [("hashKey", "HASH"), ("rangeKey", "RANGE")]
    return {"KeySchema": [{"AttributeName": inputs[name], "KeyType": kind} for name, kind in keys if inputs.get(name)]}


def attributes(value: list[Inputs]) -> Inputs:
    return {"AttributeDefinitions": [{"AttributeName": each["name"], "AttributeType": each["type"]} for each in value]}


def budget(inputs: Inputs) -> Inputs:
    budget = compact(
        BudgetName=inputs.get("name"),
        BudgetType=inputs.get("budgetType"),
        TimeUnit=inputs.get("timeUnit"),
        BudgetLimit=compact(
            Amount=float(inputs["limitAmount"]) if "limitAmount" in inputs else None, Unit=inputs.get("limitUnit")
        ),
        CostFilters={each["name"]: each["values"] for each in inputs.get("costFilters", [])} or None,
    )
    return {
        "Budget": budget,
        "NotificationsWithSubscribers": [notification(each) for each in inputs.get("notifications", [])],
        **({"ResourceTags": pairs(inputs["tags"])} if inputs.get("tags") else {}),
    }


def notification(value: Inputs) -> Inputs:
    kinds = (("subscriberEmailAddresses", "EMAIL"), ("subscriberSnsTopicArns", "SNS"))
    return {
        "Notification": {
            "ComparisonOperator": value["comparisonOperator"],
            "NotificationType": value["notificationType"],
            "Threshold": value["threshold"],
            "ThresholdType": value["thresholdType"],
        },
        "Subscribers": [
            {"SubscriptionType": kind, "Address": address} for name, kind in kinds for address in value.get(name, [])
        ],
    }


BUDGET = ("name", "budgetType", "timeUnit", "limitAmount", "limitUnit", "costFilters", "notifications")


def rule_target(value: Inputs) -> Inputs:
    return {
        "Targets": [
            compact(
                Id=value.get("targetId", "target"),
                Arn=value["arn"],
                RoleArn=value.get("roleArn"),
                Input=value.get("input"),
            )
        ]
    }


def lifecycle(inputs: Inputs) -> Inputs:
    return {"LifecycleConfiguration": {"Rules": [lifecycle_rule(each) for each in inputs["rules"]]}}


def lifecycle_rule(rule: Inputs) -> Inputs:
    expiration = rule.get("expiration") or {}
    previous = rule.get("noncurrentVersionExpiration") or {}
    abort = rule.get("abortIncompleteMultipartUpload") or {}
    made = compact(
        Id=rule["id"],
        Status=rule["status"],
        Prefix=(rule.get("filter") or {}).get("prefix"),
        ExpirationInDays=expiration.get("days"),
        ExpiredObjectDeleteMarker=expiration.get("expiredObjectDeleteMarker"),
        Transitions=[transition(each, "TransitionInDays") for each in rule.get("transitions", [])] or None,
        NoncurrentVersionTransitions=[
            transition(each, "TransitionInDays") for each in rule.get("noncurrentVersionTransitions", [])
        ]
        or None,
    )
    if previous:
        made["NoncurrentVersionExpiration"] = compact(
            NoncurrentDays=previous.get("noncurrentDays"),
            NewerNoncurrentVersions=previous.get("newerNoncurrentVersions"),
        )
    if abort:
        made["AbortIncompleteMultipartUpload"] = {"DaysAfterInitiation": abort.get("daysAfterInitiation")}
    return made


def transition(value: Inputs, days: str) -> Inputs:
    return {"StorageClass": value["storageClass"], days: value.get("days", value.get("noncurrentDays"))}


def encryption(inputs: Inputs) -> Inputs:
    def one(rule: Inputs) -> Inputs:
        default = rule.get("applyServerSideEncryptionByDefault") or {}
        return compact(
            BucketKeyEnabled=rule.get("bucketKeyEnabled"),
            ServerSideEncryptionByDefault=compact(
                SSEAlgorithm=default.get("sseAlgorithm"), KMSMasterKeyID=default.get("kmsMasterKeyId")
            ),
        )

    return {"BucketEncryption": {"ServerSideEncryptionConfiguration": [one(each) for each in inputs["rules"]]}}


def bucket_logging(inputs: Inputs) -> Inputs:
    return {
        "LoggingConfiguration": compact(
            DestinationBucketName=inputs["targetBucket"],
            LogFilePrefix=inputs.get("targetPrefix"),
            TargetObjectKeyFormat=object_key(inputs.get("targetObjectKeyFormat")),
        )
    }


def object_key(value: Inputs | None) -> Inputs | None:
    if not value:
        return None
    if "partitionedPrefix" in value:
        return {"PartitionedPrefix": {"PartitionDateSource": value["partitionedPrefix"]["partitionDateSource"]}}
    return {"SimplePrefix": {}}


def public_access(inputs: Inputs) -> Inputs:
    names = ("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets")
    return {
        "PublicAccessBlockConfiguration": {
            f"{name[0].upper()}{name[1:]}": inputs[name] for name in names if name in inputs
        }
    }


def ownership(inputs: Inputs) -> Inputs:
    return {"OwnershipControls": {"Rules": [{"ObjectOwnership": inputs["rule"]["objectOwnership"]}]}}


def versioning(inputs: Inputs) -> Inputs:
    return {"VersioningConfiguration": {"Status": inputs["versioningConfiguration"]["status"]}}


def access_policy(inputs: Inputs) -> Inputs:
    scope = inputs["accessScope"]
    return {
        "AccessPolicies": [
            {
                "PolicyArn": inputs["policyArn"],
                "AccessScope": compact(Type=scope["type"], Namespaces=scope.get("namespaces")),
            }
        ]
    }


def detector_feature(inputs: Inputs) -> Inputs:
    more = [{"Name": each["name"], "Status": each["status"]} for each in inputs.get("additionalConfigurations", [])]
    feature = {"Name": inputs["name"], "Status": inputs["status"]}
    return {"Features": [{**feature, **({"AdditionalConfiguration": more} if more else {})}]}


def ingress_rule(inputs: Inputs) -> Inputs:
    group = inputs.get("referencedSecurityGroupId")
    return {"SourceSecurityGroupId": group} if group else {}


def egress_rule(inputs: Inputs) -> Inputs:
    group = inputs.get("referencedSecurityGroupId")
    return {"DestinationSecurityGroupId": group} if group else {}


def code_environment(value: Inputs) -> Inputs:
    variables = [
        compact(Name=each["name"], Value=each["value"], Type=each.get("type"))
        for each in value.get("environmentVariables", [])
    ]
    return {
        "Environment": compact(
            ComputeType=value.get("computeType"),
            Image=value.get("image"),
            Type=value.get("type"),
            PrivilegedMode=value.get("privilegedMode"),
            ImagePullCredentialsType=value.get("imagePullCredentialsType"),
            EnvironmentVariables=variables or None,
        )
    }


def code_source(value: Inputs) -> Inputs:
    return {
        "Source": compact(
            Type=value.get("type"),
            Location=value.get("location"),
            BuildSpec=value.get("buildspec"),
            GitCloneDepth=value.get("gitCloneDepth"),
            ReportBuildStatus=value.get("reportBuildStatus"),
        )
    }


def backup_rule(value: Inputs) -> Inputs:
    lifecycle = value.get("lifecycle") or {}
    return compact(
        RuleName=value["ruleName"],
        TargetBackupVault=value["targetVaultName"],
        ScheduleExpression=value.get("schedule"),
        ScheduleExpressionTimezone=value.get("scheduleExpressionTimezone"),
        StartWindowMinutes=value.get("startWindow"),
        CompletionWindowMinutes=value.get("completionWindow"),
        EnableContinuousBackup=value.get("enableContinuousBackup"),
        Lifecycle=compact(
            DeleteAfterDays=lifecycle.get("deleteAfter"),
            MoveToColdStorageAfterDays=lifecycle.get("coldStorageAfter"),
            OptInToArchiveForSupportedResources=lifecycle.get("optInToArchiveForSupportedResources"),
        )
        or None,
        RecoveryPointTags=value.get("recoveryPointTags"),
    )


def backup_plan(inputs: Inputs) -> Inputs:
    return {
        "BackupPlan": compact(
            BackupPlanName=inputs["name"],
            BackupPlanRule=[backup_rule(each) for each in inputs["rules"]],
        ),
        **({"BackupPlanTags": inputs["tags"]} if "tags" in inputs else {}),
    }


def backup_selection(inputs: Inputs) -> Inputs:
    return {
        "BackupPlanId": inputs["planId"],
        "BackupSelection": compact(
            SelectionName=inputs["name"],
            IamRoleArn=inputs["iamRoleArn"],
            Resources=inputs.get("resources"),
        ),
    }


def vault_lock(inputs: Inputs) -> Inputs:
    return {
        "LockConfiguration": compact(
            MinRetentionDays=inputs.get("minRetentionDays"),
            MaxRetentionDays=inputs.get("maxRetentionDays"),
            ChangeableForDays=inputs.get("changeableForDays"),
        )
    }


def anomaly_subscribers(value: list[Inputs]) -> Inputs:
    return {"Subscribers": [{"Type": each["type"], "Address": each["address"]} for each in value]}


def expression(value: Inputs) -> Any:
    """Return Cost Explorer's own JSON of an expression as the provider nests it."""
    names = {"ands": "And", "ors": "Or", "not": "Not", "costCategory": "CostCategories"}
    made: Inputs = {}
    for name, each in value.items():
        if name in {"ands", "ors"}:
            made[names[name]] = [expression(one) for one in each]
        elif name == "not":
            made["Not"] = expression(each)
        elif name == "dimension":
            made["Dimensions"] = matched(each)
        else:
            made[names.get(name, "Tags")] = matched(each)
    return made


def matched(value: Inputs) -> Inputs:
    return compact(Key=value.get("key"), Values=value.get("values"), MatchOptions=value.get("matchOptions"))


TEMPLATE = {
    "blockDeviceMappings": "BlockDeviceMappings",
    "metadataOptions": "MetadataOptions",
    "tagSpecifications": "TagSpecifications",
    "monitoring": "Monitoring",
}


def template(inputs: Inputs) -> Inputs:
    data = {renamed: capitalized(inputs[name]) for name, renamed in TEMPLATE.items() if inputs.get(name) is not None}
    for each in data.get("TagSpecifications", []):
        each["Tags"] = pairs(each["Tags"])
    return {"LaunchTemplateData": data}


def capitalized(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            f"{name[0].upper()}{name[1:]}": each if name == "tags" else capitalized(each)
            for name, each in value.items()
        }
    if isinstance(value, list):
        return [capitalized(each) for each in value]
    return value


def template_tags(inputs: Inputs) -> Inputs:
    tags = pairs(inputs.get("tags"))
    return {"TagSpecifications": [{"ResourceType": "launch-template", "Tags": tags}]} if tags else {}


def firehose(value: Inputs) -> Inputs:
    logs = value.get("cloudwatchLoggingOptions") or {}
    partitions = value.get("dynamicPartitioningConfiguration")
    return {
        "ExtendedS3DestinationConfiguration": compact(
            BucketARN=value["bucketArn"],
            RoleARN=value["roleArn"],
            Prefix=value.get("prefix"),
            ErrorOutputPrefix=value.get("errorOutputPrefix"),
            CompressionFormat=value.get("compressionFormat"),
            CustomTimeZone=value.get("customTimeZone"),
            FileExtension=value.get("fileExtension"),
            BufferingHints=compact(
                IntervalInSeconds=value.get("bufferingInterval"), SizeInMBs=value.get("bufferingSize")
            ),
            EncryptionConfiguration={"KMSEncryptionConfig": {"AWSKMSKeyARN": value["kmsKeyArn"]}}
            if value.get("kmsKeyArn")
            else None,
            CloudWatchLoggingOptions=compact(
                Enabled=logs.get("enabled"),
                LogGroupName=logs.get("logGroupName"),
                LogStreamName=logs.get("logStreamName"),
            )
            or None,
            DynamicPartitioningConfiguration={"Enabled": partitions["enabled"]} if partitions else None,
            S3BackupMode=value.get("s3BackupMode"),
        )
    }


def firehose_source(value: Inputs) -> Inputs:
    return {
        "KinesisStreamSourceConfiguration": {"KinesisStreamARN": value["kinesisStreamArn"], "RoleARN": value["roleArn"]}
    }


def trail_selector(value: Inputs) -> Inputs:
    return {
        "Name": value.get("name"),
        "FieldSelectors": [capitalized(each) for each in value["fieldSelectors"]],
    }


def advanced(value: list[Inputs]) -> Inputs:
    plural = {"Equals": "Equals", "NotStartsWiths": "NotStartsWith", "StartsWiths": "StartsWith"}
    selectors = []
    for each in value:
        made = trail_selector(each)
        made["FieldSelectors"] = [
            {plural.get(name, name): found for name, found in one.items()} for one in made["FieldSelectors"]
        ]
        selectors.append(compact(**made))
    return {"AdvancedEventSelectors": selectors}


def record(inputs: Inputs) -> Inputs:
    return {"ResourceRecords": inputs["records"]} if "records" in inputs else {}
