"""What AWS would have answered for an output that a capture knows as a token only: shaped as AWS shapes it.

Linters check formats; a literal of the wrong shape is noise in which a real finding is lost. Every answer follows from
the resource's key alone, so that two runs agree.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from typing import Any

from capture import TOKEN, Graph, Made

PROVIDER = "pulumi:providers:aws"
ACCOUNT, REGION = "111122223333", "eu-west-1"
"""Where a graph stands whose provider does not say."""

Render = Callable[[str, str], Any]
"""What stands for the output of a resource, given its key and the output's name."""

PREFIXES: Mapping[str, str] = {
    "aws:ec2/vpc:Vpc": "vpc",
    "aws:ec2/subnet:Subnet": "subnet",
    "aws:ec2/securityGroup:SecurityGroup": "sg",
    "aws:ec2/defaultSecurityGroup:DefaultSecurityGroup": "sg",
    "aws:ec2/routeTable:RouteTable": "rtb",
    "aws:ec2/natGateway:NatGateway": "nat",
    "aws:ec2/internetGateway:InternetGateway": "igw",
    "aws:ec2/eip:Eip": "eipalloc",
    "aws:ec2/launchTemplate:LaunchTemplate": "lt",
    "aws:ec2/vpcEndpoint:VpcEndpoint": "vpce",
}
"""What the ids of EC2's things begin with; 17 hexadecimal signs follow."""
SERVICES: Mapping[str, tuple[str, str]] = {
    "aws:iam/role:Role": ("iam", "role/{name}"),
    "aws:iam/policy:Policy": ("iam", "policy/{name}"),
    "aws:iam/instanceProfile:InstanceProfile": ("iam", "instance-profile/{name}"),
    "aws:kms/key:Key": ("kms", "key/{uuid}"),
    "aws:s3/bucket:Bucket": ("s3", "{name}"),
    "aws:cloudwatch/logGroup:LogGroup": ("logs", "log-group:{name}"),
    "aws:cloudwatch/logStream:LogStream": ("logs", "log-group:{name}:log-stream:{name}"),
    "aws:cloudwatch/eventRule:EventRule": ("events", "rule/{name}"),
    "aws:cloudtrail/trail:Trail": ("cloudtrail", "trail/{name}"),
    "aws:sqs/queue:Queue": ("sqs", "{name}"),
    "aws:sns/topic:Topic": ("sns", "{name}"),
    "aws:eks/cluster:Cluster": ("eks", "cluster/{name}"),
    "aws:ecr/repository:Repository": ("ecr", "repository/{name}"),
    "aws:rds/instance:Instance": ("rds", "db:{name}"),
    "aws:dynamodb/table:Table": ("dynamodb", "table/{name}"),
    "aws:kinesis/stream:Stream": ("kinesis", "stream/{name}"),
    "aws:kinesis/firehoseDeliveryStream:FirehoseDeliveryStream": ("firehose", "deliverystream/{name}"),
    "aws:secretsmanager/secret:Secret": ("secretsmanager", "secret:{name}-AbCdEf"),
    "aws:backup/vault:Vault": ("backup", "backup-vault:{name}"),
    "aws:backup/plan:Plan": ("backup", "backup-plan:{uuid}"),
    "aws:codebuild/project:Project": ("codebuild", "project/{name}"),
    "aws:acm/certificate:Certificate": ("acm", "certificate/{uuid}"),
    "aws:acm/certificateValidation:CertificateValidation": ("acm", "certificate/{uuid}"),
    "aws:elasticache/replicationGroup:ReplicationGroup": ("elasticache", "replicationgroup:{name}"),
    "aws:elasticache/user:User": ("elasticache", "user:{name}"),
    "aws:elasticache/userGroup:UserGroup": ("elasticache", "usergroup:{name}"),
    "aws:costexplorer/anomalyMonitor:AnomalyMonitor": ("ce", "anomalymonitor/{uuid}"),
    "aws:scheduler/scheduleGroup:ScheduleGroup": ("scheduler", "schedule-group/{name}"),
    "aws:guardduty/detector:Detector": ("guardduty", "detector/{hex}"),
}
"""The service and the resource in an ARN, by type."""
WITHOUT_REGION = {"iam", "s3", "ce"}
NAMES = ("name", "bucket", "identifier", "replicationGroupId", "userId", "userGroupId", "clusterName")
"""Inputs by which a thing is known, the first that is there."""


def place(graph: Graph) -> tuple[str, str]:
    """Return the account and the region that a graph's provider names."""
    for each in graph.of(PROVIDER):
        accounts = re.findall(r"\d{12}", str(each.inputs.get("allowedAccountIds", "")))
        return (accounts or [ACCOUNT])[0], each.inputs.get("region") or REGION
    return ACCOUNT, REGION


def walk(value: Any, render: Render) -> Any:
    """Return a value in which every token is what `render` says; inside a longer text, as text."""
    if isinstance(value, dict):
        return {walk(key, render): walk(each, render) for key, each in value.items()}
    if isinstance(value, list):
        return [walk(each, render) for each in value]
    if not isinstance(value, str):
        return value
    if whole := TOKEN.fullmatch(value):
        return render(whole["key"], whole["property"])
    return TOKEN.sub(lambda found: str(render(found["key"], found["property"])), value)


def shaped(graph: Graph, value: Any) -> Any:
    """Return a value in which every token is a literal of AWS's own shape."""
    return walk(value, lambda key, output: literal(graph, key, output))


def literal(graph: Graph, key: str, output: str) -> Any:
    """Return what AWS would have answered for one output, or the input of that name."""
    made = find(graph, key)
    if made and made.inputs.get(output) is not None:
        return shaped(graph, made.inputs[output])
    kind, _, name = key.partition("::")
    special = SPECIAL.get(output)
    if special:
        return special(graph, key)
    if output.lower().endswith("arn"):
        return arn(graph, key)
    return _identity(graph, kind, name, key) if output == "id" else f"{name}-{_hex(key, 8)}"


def arn(graph: Graph, key: str) -> str:
    """Return the ARN of a resource."""
    account, region = place(graph)
    kind, _, _ = key.partition("::")
    service, pattern = SERVICES.get(kind, (kind.split("/")[0].removeprefix("aws:"), "thing/{name}"))
    text = pattern.format(name=physical(graph, key), uuid=uuid(key), hex=_hex(key, 32))
    where = ("" if service in WITHOUT_REGION else region, "" if service == "s3" else account)
    return f"arn:aws:{service}:{where[0]}:{where[1]}:{text}"


def physical(graph: Graph, key: str) -> str:
    """Return the name that a resource has in the account, or its logical one."""
    made = find(graph, key)
    for each in NAMES:
        if made and isinstance(named := made.inputs.get(each), str) and not TOKEN.search(named):
            return named
    return key.partition("::")[2]


def find(graph: Graph, key: str) -> Made | None:
    """Return a resource by its key; None for one that the graph does not have."""
    return next((each for each in graph if each.key == key), None)


def uuid(key: str) -> str:
    """Return a UUID that follows from a key."""
    text = _hex(key, 32)
    return "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))


def _identity(graph: Graph, kind: str, name: str, key: str) -> str:
    if kind in PREFIXES:
        return f"{PREFIXES[kind]}-{_hex(key, 17)}"
    if kind == "aws:kms/key:Key":
        return uuid(key)
    if kind in {"aws:sns/topic:Topic", "aws:iam/policy:Policy", "aws:secretsmanager/secret:Secret"}:
        return arn(graph, key)
    if kind == "aws:route53/zone:Zone":
        return f"Z{_hex(key, 20).upper()}"
    return physical(graph, key)


def _hex(key: str, length: int) -> str:
    return hashlib.sha256(key.encode()).hexdigest()[:length]


def registry(graph: Graph) -> str:
    """Return the host of the account's container images."""
    account, region = place(graph)
    return f"{account}.dkr.ecr.{region}.amazonaws.com"


def _group(_: Graph, key: str) -> str:
    return f"sg-{_hex(key, 17)}"


def _host(graph: Graph, key: str) -> str:
    return f"{physical(graph, key)}.{_hex(key, 12)}.{place(graph)[1]}.amazonaws.com"


SPECIAL: Mapping[str, Callable[[Graph, str], Any]] = {
    "clusterSecurityGroupId": _group,
    "defaultSecurityGroupId": _group,
    "defaultRouteTableId": lambda _, key: f"rtb-{_hex(key, 17)}",
    "defaultNetworkAclId": lambda _, key: f"acl-{_hex(key, 17)}",
    "zoneId": lambda _, key: f"Z{_hex(key, 20).upper()}",
    "resourceId": lambda _, key: f"db-{_hex(key, 26).upper()}",
    "address": _host,
    "primaryEndpointAddress": _host,
    "endpoint": lambda graph, key: (
        f"https://{_hex(key, 32).upper()}.gr7.{place(graph)[1]}.eks.amazonaws.com"
        if ":eks/" in key
        else _host(graph, key)
    ),
    "certificateAuthorityData": lambda _, key: "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0t",
    "port": lambda _, key: 5432,
    "url": lambda graph, key: f"https://sqs.{place(graph)[1]}.amazonaws.com/{place(graph)[0]}/{physical(graph, key)}",
    "repositoryUrl": lambda graph, key: f"{registry(graph)}/{physical(graph, key)}",
    "masterUserSecretArn": lambda graph, key: (
        f"arn:aws:secretsmanager:{place(graph)[1]}:{place(graph)[0]}:secret:rds!db-{uuid(key)}-AbCdEf"
    ),
    "nameServers": lambda _, key: [f"ns-{number}.awsdns-0{number}.org" for number in (1, 2, 3, 4)],
}
"""Outputs that several types have in the same shape."""
