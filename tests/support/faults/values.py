"""Values that AWS does not take: cfn-lint finds them by AWS's own schemas."""

from __future__ import annotations

from faults.base import Fault, lint

NODES = "eks.NodeGroup"
FIRST = "policy.Statement.0"

VALUES: list[Fault] = [
    lint("access by a mode that is none", "eks.Cluster", {"accessConfig.authenticationMode": "CONFIG"}),
    lint("support misspelt", "eks.Cluster", {"upgradePolicy.supportType": "STANDART"}),
    lint("image misspelt", NODES, {"amiType": "AL2023"}),
    lint("way of paying misspelt", NODES, {"capacityType": "ON-DEMAND"}),
    lint("conflict resolved by nobody", "eks.Addon", {"resolveConflictsOnCreate": "KEEP"}),
    lint("range of 33 bits", "ec2.Subnet/private-a", {"cidrBlock": "10.64.0.0/33"}),
    lint("endpoint of a misspelt kind", "ec2.VpcEndpoint", {"vpcEndpointType": "Gatway"}),
    lint("flow of half the traffic misspelt", "ec2.FlowLog", {"trafficType": "BOTH"}),
    lint("token wanted, in other words", "ec2.LaunchTemplate", {"metadataOptions.httpTokens": "needed"}),
    lint("key gone in three days", "kms.Key/data", {"deletionWindowInDays": 3}),
    lint("key turned every ten days", "kms.Key/logs", {"rotationPeriodInDays": 10}),
    lint("bucket in capitals", "s3.Bucket/data", {"bucket": "MLPlat-Data"}),
    lint("storage class misspelt", "s3.BucketLifecycleConfiguration/artifacts", {"rules.0.status": "On"}),
    lint("repository in capitals", "ecr.Repository", {"name": "MLPlat/Tracking"}),
    lint("tags that may move, misspelt", "ecr.Repository/serving", {"imageTagMutability": "IMUTABLE"}),
    lint("size of database that there is not", "rds.Instance", {"instanceClass": "db.m7g.huge"}),
    lint("table without its key's attribute", "dynamodb.Table", {"hashKey": "identity"}),
    lint("logs kept for 100 days", "cloudwatch.LogGroup/trail", {"retentionInDays": 100}),
    lint("queue kept for half a minute", "sqs.Queue", {"messageRetentionSeconds": 30}),
    lint("role with a name too long", "iam.Role/node", {"name": "n" * 65}),
    lint("session of 100 seconds", "iam.Role/controller", {"maxSessionDuration": 100}),
    lint("effect in small letters", "iam.RolePolicy/tracking", {f"{FIRST}.Effect": "allow"}),
    lint("stream of a mode misspelt", "kinesis.Stream", {"streamModeDetails.streamMode": "ONDEMAND"}),
    lint("anomalies by a dimension misspelt", "costexplorer.AnomalyMonitor", {"monitorType": "DIMENSION"}),
    lint("runner of two days", "codebuild.Project", {"buildTimeout": 2880}),
]
"""Of each, whether AWS would take it is in its schema: enum, range, pattern."""
