"""What boto3 nests otherwise than pulumi-aws: one function a request, from all inputs and the outputs so far."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

Values = dict[str, Any]


def pairs(tags: Mapping[str, str] | None) -> list[Values]:
    return [{"Key": name, "Value": value} for name, value in (tags or {}).items()]


def keys(inputs: Values) -> list[Values]:
    kinds = (("hashKey", "HASH"), ("rangeKey", "RANGE"))
    return [{"AttributeName": inputs[name], "KeyType": kind} for name, kind in kinds if inputs.get(name)]


def table(inputs: Values, _: Values) -> Values:
    encryption = inputs.get("serverSideEncryption") or {}
    return {
        "KeySchema": keys(inputs),
        "AttributeDefinitions": [
            {"AttributeName": each["name"], "AttributeType": each["type"]} for each in inputs["attributes"]
        ],
        **(
            {"SSESpecification": {"Enabled": True, "SSEType": "KMS", "KMSMasterKeyId": encryption["kmsKeyArn"]}}
            if encryption.get("kmsKeyArn")
            else {}
        ),
    }


def rule(inputs: Values, side: str) -> Values:
    made: Values = {"IpProtocol": str(inputs["ipProtocol"])}
    for name, member in (("fromPort", "FromPort"), ("toPort", "ToPort")):
        if name in inputs:
            made[member] = inputs[name]
    if "cidrIpv4" in inputs:
        made["IpRanges"] = [{"CidrIp": inputs["cidrIpv4"]}]
    if "cidrIpv6" in inputs:
        made["Ipv6Ranges"] = [{"CidrIpv6": inputs["cidrIpv6"]}]
    if "referencedSecurityGroupId" in inputs:
        made["UserIdGroupPairs"] = [{"GroupId": inputs["referencedSecurityGroupId"]}]
    if "prefixListId" in inputs:
        made["PrefixListIds"] = [{"PrefixListId": inputs["prefixListId"]}]
    return {"GroupId": inputs["securityGroupId"], "IpPermissions": [made]}


def inline(rules: list[Values]) -> list[Values]:
    return [
        {
            "IpProtocol": str(each["protocol"]),
            "FromPort": each["fromPort"],
            "ToPort": each["toPort"],
            "IpRanges": [{"CidrIp": cidr} for cidr in each.get("cidrBlocks", [])],
            "UserIdGroupPairs": [{"GroupId": group} for group in each.get("securityGroups", [])],
        }
        for each in rules
    ]


def encryption(inputs: Values, _: Values) -> Values:
    def one(rule: Values) -> Values:
        default = rule["applyServerSideEncryptionByDefault"]
        key = default.get("kmsMasterKeyId")
        by = {"SSEAlgorithm": default["sseAlgorithm"], **({"KMSMasterKeyID": key} if key else {})}
        bucket_key = bool(rule.get("bucketKeyEnabled"))
        return {"ApplyServerSideEncryptionByDefault": by, "BucketKeyEnabled": bucket_key}

    return {"ServerSideEncryptionConfiguration": {"Rules": [one(each) for each in inputs["rules"]]}}


def lifecycle(inputs: Values, _: Values) -> Values:
    def one(rule: Values) -> Values:
        made: Values = {"ID": rule["id"], "Status": rule["status"]}
        made["Filter"] = {"Prefix": (rule.get("filter") or {}).get("prefix", "")}
        if days := (rule.get("expiration") or {}).get("days"):
            made["Expiration"] = {"Days": days}
        if days := (rule.get("noncurrentVersionExpiration") or {}).get("noncurrentDays"):
            made["NoncurrentVersionExpiration"] = {"NoncurrentDays": days}
        if days := (rule.get("abortIncompleteMultipartUpload") or {}).get("daysAfterInitiation"):
            made["AbortIncompleteMultipartUpload"] = {"DaysAfterInitiation": days}
        moves = [{"Days": each["days"], "StorageClass": each["storageClass"]} for each in rule.get("transitions", [])]
        return {**made, **({"Transitions": moves} if moves else {})}

    return {"LifecycleConfiguration": {"Rules": [one(each) for each in inputs["rules"]]}}


def public_access(inputs: Values, _: Values) -> Values:
    names = ("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets")
    return {
        "PublicAccessBlockConfiguration": {f"{name[0].upper()}{name[1:]}": inputs.get(name, False) for name in names}
    }


def queue(inputs: Values, _: Values) -> Values:
    names = {
        "messageRetentionSeconds": "MessageRetentionPeriod",
        "visibilityTimeoutSeconds": "VisibilityTimeout",
        "kmsMasterKeyId": "KmsMasterKeyId",
        "sqsManagedSseEnabled": "SqsManagedSseEnabled",
        "kmsDataKeyReusePeriodSeconds": "KmsDataKeyReusePeriodSeconds",
    }
    attributes = {member: str(inputs[name]).lower() for name, member in names.items() if name in inputs}
    return {
        "QueueName": inputs["name"],
        "Attributes": {
            **attributes,
            **({"KmsMasterKeyId": inputs["kmsMasterKeyId"]} if "KmsMasterKeyId" in attributes else {}),
        },
        "tags": inputs.get("tags", {}),
    }


def topic(inputs: Values, _: Values) -> Values:
    key = inputs.get("kmsMasterKeyId")
    return {
        "Name": inputs["name"],
        "Attributes": {"KmsMasterKeyId": key} if key else {},
        "Tags": pairs(inputs.get("tags")),
    }


def attribute(name: str) -> Callable[[Values, Values], Values]:
    member = f"{name[0].upper()}{name[1:]}"
    return lambda inputs, outputs: {"VpcId": outputs["id"], member: {"Value": inputs[name]}}


def attached(inputs: Values, outputs: Values) -> Values:
    return {"InternetGatewayId": outputs["id"], "VpcId": inputs["vpcId"]}


def cluster(inputs: Values, _: Values) -> Values:
    return {
        "resourcesVpcConfig": {
            name: value
            for name, value in inputs["vpcConfig"].items()
            if name
            in {"subnetIds", "securityGroupIds", "endpointPublicAccess", "endpointPrivateAccess", "publicAccessCidrs"}
        },
        "logging": {"clusterLogging": [{"types": inputs.get("enabledClusterLogTypes", []), "enabled": True}]},
        **({"encryptionConfig": [inputs["encryptionConfig"]]} if "encryptionConfig" in inputs else {}),
    }


def launch_template(inputs: Values, _: Values) -> Values:
    options = {f"{name[0].upper()}{name[1:]}": value for name, value in inputs.get("metadataOptions", {}).items()}
    return {"LaunchTemplateData": {"MetadataOptions": options}}


def endpoint(inputs: Values, _: Values) -> Values:
    return {"TagSpecifications": [{"ResourceType": "vpc-endpoint", "Tags": pairs(inputs.get("tags"))}]}


def record(inputs: Values, _: Values) -> Values:
    change = {
        "Name": inputs["name"],
        "Type": inputs["type"],
        "TTL": inputs.get("ttl", 300),
        "ResourceRecords": [{"Value": each} for each in inputs.get("records", [])],
    }
    return {
        "HostedZoneId": inputs["zoneId"],
        "ChangeBatch": {"Changes": [{"Action": "UPSERT", "ResourceRecordSet": change}]},
    }


def firehose(inputs: Values, _: Values) -> Values:
    to, source = inputs["extendedS3Configuration"], inputs.get("kinesisSourceConfiguration")
    made: Values = {
        "DeliveryStreamType": "KinesisStreamAsSource" if source else "DirectPut",
        "ExtendedS3DestinationConfiguration": {
            "BucketARN": to["bucketArn"],
            "RoleARN": to["roleArn"],
            "Prefix": to.get("prefix", ""),
            "BufferingHints": {"IntervalInSeconds": to.get("bufferingInterval", 300)},
        },
    }
    if source:
        made["KinesisStreamSourceConfiguration"] = {
            "KinesisStreamARN": source["kinesisStreamArn"],
            "RoleARN": source["roleArn"],
        }
    return made


def stream(inputs: Values, _: Values) -> Values:
    mode = (inputs.get("streamModeDetails") or {}).get("streamMode", "PROVISIONED")
    return {
        "StreamName": inputs["name"],
        "StreamModeDetails": {"StreamMode": mode},
        **({"ShardCount": inputs["shardCount"]} if inputs.get("shardCount") else {}),
    }


def plan(inputs: Values, _: Values) -> Values:
    rules = [
        {
            "RuleName": each["ruleName"],
            "TargetBackupVaultName": each["targetVaultName"],
            "ScheduleExpression": each.get("schedule", ""),
            "Lifecycle": {"DeleteAfterDays": (each.get("lifecycle") or {}).get("deleteAfter", 1)},
        }
        for each in inputs["rules"]
    ]
    return {
        "BackupPlan": {"BackupPlanName": inputs["name"], "Rules": rules},
        "BackupPlanTags": inputs.get("tags", {}),
    }


def schedule(inputs: Values, _: Values) -> Values:
    target = inputs["target"]
    return {
        "Target": {"Arn": target["arn"], "RoleArn": target["roleArn"], "Input": target.get("input", "{}")},
        "FlexibleTimeWindow": {"Mode": inputs["flexibleTimeWindow"]["mode"]},
    }


def budget(inputs: Values, _: Values) -> Values:
    return {
        "AccountId": inputs["accountId"],
        "Budget": {
            "BudgetName": inputs["name"],
            "BudgetType": inputs["budgetType"],
            "TimeUnit": inputs["timeUnit"],
            "BudgetLimit": {"Amount": str(inputs["limitAmount"]), "Unit": inputs["limitUnit"]},
        },
    }


def subscriber(inputs: Values, _: Values) -> Values:
    return {"TopicArn": inputs["topic"], "Protocol": inputs["protocol"], "Endpoint": inputs["endpoint"]}


def target(inputs: Values, _: Values) -> Values:
    return {
        "Rule": inputs["rule"],
        "Targets": [{"Id": inputs.get("targetId", "target"), "Arn": inputs["arn"]}],
    }
