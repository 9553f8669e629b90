"""Where a deployment's leftovers are looked for: the tag first, then what no tag tells.

The tagging API does not know IAM, and goes on naming some things for hours after they are gone, so what it says of EC2,
keys and clusters is asked for again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from mlplat.targets.aws.leftovers import Found, cluster, is_named, kind_of, name_of
from mlplat.targets.aws.session import client, telling
from mlplat.targets.aws.site import TAG, Site

if TYPE_CHECKING:
    import boto3

GLOBAL = "us-east-1"
"""Region in which the tagging API knows what is in none, such as zones of Route 53."""
OWNED = ("kubernetes.io/cluster/", "eks:eks-cluster-name", "elbv2.k8s.aws/cluster", "karpenter.sh/", "ebs.csi.aws.com/")
"""Tags, or what they begin with, of what a cluster's controllers make."""
OVER = ("terminated", "shutting-down", "deleted", "deleting", "closed", "cancelled", "PendingDeletion", "DELETING")
"""States of what is as good as gone."""
BATCH = 20
"""Load balancers whose tags can be asked for at once."""


def what_is_tagged(session: boto3.Session, site: Site) -> Iterator[Found]:
    """Return whatever has the deployment's tag."""
    for region in dict.fromkeys((site.region, GLOBAL if site.aws.partition == "aws" else site.region)):
        asking = client(session, "resourcegroupstaggingapi", region=region)
        pages = asking.get_paginator("get_resources").paginate(TagFilters=[{"Key": TAG, "Values": [site.deployment]}])
        for page in pages:
            for each in page["ResourceTagMappingList"]:
                arn, tags = each["ResourceARN"], {tag["Key"]: tag["Value"] for tag in each.get("Tags", [])}
                yield Found(kind_of(arn), arn, name_of(arn), of_cluster=_of_cluster(tags), note=_note(tags))


def instances(session: boto3.Session, site: Site) -> Iterator[Found]:
    """Return the machines that Karpenter made."""
    for page in _ec2(session, "describe_instances", _owned(site, "eks:eks-cluster-name", "karpenter.sh/cluster")):
        for reservation in page["Reservations"]:
            for each in reservation["Instances"]:
                if each["State"]["Name"] not in OVER:
                    yield _ec2_found(site, "instance", each["InstanceId"], each["LaunchTime"])


def spot_requests(session: boto3.Session, site: Site) -> Iterator[Found]:
    """Return requests for machines that would still be answered."""
    for page in _ec2(session, "describe_spot_instance_requests", _owned(site, "eks:eks-cluster-name")):
        for each in page["SpotInstanceRequests"]:
            if each["State"] in ("open", "active"):
                yield _ec2_found(site, "spot-instances-request", each["SpotInstanceRequestId"], each.get("CreateTime"))


def volumes(session: boto3.Session, site: Site) -> Iterator[Found]:
    """Return the disks of pods."""
    for page in _ec2(session, "describe_volumes", _owned(site, "KubernetesCluster", "eks:cluster-name")):
        for each in page["Volumes"]:
            yield _ec2_found(site, "volume", each["VolumeId"], each["CreateTime"], _note(_tags(each)))


def security_groups(session: boto3.Session, site: Site) -> Iterator[Found]:
    """Return the groups of load balancers, and EKS' own."""
    keys = ("elbv2.k8s.aws/cluster", "aws:eks:cluster-name")
    for page in _ec2(session, "describe_security_groups", _owned(site, *keys)):
        for each in page["SecurityGroups"]:
            yield _ec2_found(site, "security-group", each["GroupId"], None, each["GroupName"])


def network_interfaces(session: boto3.Session, site: Site) -> Iterator[Found]:
    """Return the network interfaces that pods' network left behind."""
    keys = ("cluster.k8s.amazonaws.com/name", "eks:cluster-name")
    for page in _ec2(session, "describe_network_interfaces", _owned(site, *keys)):
        for each in page["NetworkInterfaces"]:
            yield _ec2_found(site, "network-interface", each["NetworkInterfaceId"], None, each["Status"])


def launch_templates(session: boto3.Session, site: Site) -> Iterator[Found]:
    """Return Karpenter's launch templates, and those of node groups."""
    keys = ("karpenter.k8s.aws/cluster", "eks:eks-cluster-name", "eks:cluster-name")
    for page in _ec2(session, "describe_launch_templates", _owned(site, *keys)):
        for each in page["LaunchTemplates"]:
            yield _ec2_found(site, "launch-template", each["LaunchTemplateId"], each["CreateTime"])


def load_balancers(session: boto3.Session, site: Site) -> Iterator[Found]:
    """Return the load balancers that a controller made for the cluster."""
    asking = client(session, "elbv2")
    pages = asking.get_paginator("describe_load_balancers").paginate()
    found = {each["LoadBalancerArn"]: each.get("CreatedTime") for page in pages for each in page["LoadBalancers"]}
    yield from _balanced(asking, site, found)


def target_groups(session: boto3.Session, site: Site) -> Iterator[Found]:
    """Return the target groups of those load balancers."""
    asking = client(session, "elbv2")
    pages = asking.get_paginator("describe_target_groups").paginate()
    yield from _balanced(
        asking, site, {each["TargetGroupArn"]: None for page in pages for each in page["TargetGroups"]}
    )


def log_groups(session: boto3.Session, site: Site) -> Iterator[Found]:
    """Return the logs that services of AWS wrote for the deployment's things, with and without a tag."""
    for page in client(session, "logs").get_paginator("describe_log_groups").paginate():
        for each in page["logGroups"]:
            if is_named(site, each["logGroupName"]):
                arn = site.arn("logs", f"log-group:{each['logGroupName']}")
                yield Found("logs:log-group", arn, each["logGroupName"], _time(each.get("creationTime")))


def roles(session: boto3.Session, site: Site) -> Iterator[Found]:
    """Return the roles whose names are the deployment's."""
    for page in client(session, "iam").get_paginator("list_roles").paginate():
        for each in page["Roles"]:
            if is_named(site, each["RoleName"]):
                yield Found("iam:role", each["Arn"], each["RoleName"], each["CreateDate"])


def policies(session: boto3.Session, site: Site) -> Iterator[Found]:
    """Return the policies whose names are the deployment's."""
    for page in client(session, "iam").get_paginator("list_policies").paginate(Scope="Local"):
        for each in page["Policies"]:
            if is_named(site, each["PolicyName"]):
                yield Found("iam:policy", each["Arn"], each["PolicyName"], each["CreateDate"])


def instance_profiles(session: boto3.Session, site: Site) -> Iterator[Found]:
    """Return the profiles by which Karpenter's machines had their role."""
    for page in client(session, "iam").get_paginator("list_instance_profiles").paginate():
        for each in page["InstanceProfiles"]:
            held = [role["RoleName"] for role in each["Roles"]]
            if any(is_named(site, name) for name in (each["InstanceProfileName"], *held)):
                name = each["InstanceProfileName"]
                yield Found("iam:instance-profile", each["Arn"], name, each["CreateDate"], of_cluster=True)


def tables(session: boto3.Session, site: Site) -> Iterator[Found]:
    """Return the tables that the feature store made by itself."""
    for page in client(session, "dynamodb").get_paginator("list_tables").paginate():
        for name in page["TableNames"]:
            if is_named(site, name):
                yield Found("dynamodb:table", site.arn("dynamodb", f"table/{name}"), name)


Source = Callable[["boto3.Session", Site], Iterator[Found]]
ALL: tuple[Source, ...] = (
    what_is_tagged,
    instances,
    spot_requests,
    volumes,
    security_groups,
    network_interfaces,
    launch_templates,
    load_balancers,
    target_groups,
    log_groups,
    roles,
    policies,
    instance_profiles,
    tables,
)


def alive(session: boto3.Session, found: Sequence[Found]) -> list[Found]:
    """Return what is really there: neither gone, nor on its way out."""
    return [each for each in found if each.fate == "unknown" or not _is_over(session, each)]


ASKS: Mapping[str, tuple[str, str, str]] = {
    "ec2:instance": ("ec2", "describe_instances", "InstanceIds"),
    "ec2:natgateway": ("ec2", "describe_nat_gateways", "NatGatewayIds"),
    "ec2:vpc-endpoint": ("ec2", "describe_vpc_endpoints", "VpcEndpointIds"),
    "ec2:volume": ("ec2", "describe_volumes", "VolumeIds"),
    "ec2:network-interface": ("ec2", "describe_network_interfaces", "NetworkInterfaceIds"),
    "ec2:security-group": ("ec2", "describe_security_groups", "GroupIds"),
    "ec2:subnet": ("ec2", "describe_subnets", "SubnetIds"),
    "ec2:vpc": ("ec2", "describe_vpcs", "VpcIds"),
    "ec2:launch-template": ("ec2", "describe_launch_templates", "LaunchTemplateIds"),
    "ec2:spot-instances-request": ("ec2", "describe_spot_instance_requests", "SpotInstanceRequestIds"),
    "kms:key": ("kms", "describe_key", "KeyId"),
    "secretsmanager:secret": ("secretsmanager", "describe_secret", "SecretId"),
    "eks:cluster": ("eks", "describe_cluster", "name"),
    "s3:bucket": ("s3", "head_bucket", "Bucket"),
}
"""How a kind is asked whether it is there: service, operation, and the argument that names it."""


def _is_over(session: boto3.Session, found: Found) -> bool:
    from botocore.exceptions import ClientError

    if found.kind not in ASKS:
        return False
    service, operation, argument = ASKS[found.kind]
    name = found.arn if service == "secretsmanager" else found.name
    value: Any = [name] if argument.endswith("Ids") else name
    try:
        with telling(f"whether {found.name} is there"):
            try:
                told = getattr(client(session, service), operation)(**{argument: value})
            except ClientError as error:
                code = error.response["Error"]["Code"]
                if "NotFound" in code or code in ("404", "NoSuchBucket"):
                    return True
                raise
    except Exception:  # noqa: BLE001 - whoever may not look has it listed rather than forgotten
        return False
    return bool(told.get("DeletedDate")) or bool(_states(told) & set(OVER))


def _states(told: Any) -> set[str]:
    """Return what an answer says under any key that names a state."""
    found: set[str] = set()
    if isinstance(told, Mapping):
        for key, value in told.items():
            if key in ("State", "KeyState", "status") and isinstance(value, str):
                found.add(value)
            elif key == "State" and isinstance(value, Mapping):
                found.add(str(value.get("Name")))
            elif key != "ResponseMetadata":
                found |= _states(value)
    elif isinstance(told, list):
        for each in told:
            found |= _states(each)
    return found


def _owned(site: Site, *keys: str) -> list[tuple[str, str]]:
    """Return the tags, key and value, by which a thing is of a site's cluster."""
    name = cluster(site)
    return [(f"kubernetes.io/cluster/{name}", "owned"), *((key, name) for key in keys)]


def _ec2(session: boto3.Session, operation: str, tags: Iterable[tuple[str, str]]) -> Iterator[Any]:
    # Filters are joined by "and", so each tag is a question of its own.
    asking = client(session, "ec2")
    for key, value in tags:
        filters = [{"Name": f"tag:{key}", "Values": [value]}]
        yield from asking.get_paginator(operation).paginate(Filters=filters)


def _ec2_found(site: Site, kind: str, name: str, created: datetime | None, note: str | None = None) -> Found:
    arn = site.arn("ec2", f"{kind}/{name}")
    return Found(f"ec2:{kind}", arn, name, created, of_cluster=True, note=note)


def _balanced(asking: Any, site: Site, found: Mapping[str, datetime | None]) -> Iterator[Found]:
    arns = list(found)
    for start in range(0, len(arns), BATCH):
        for each in asking.describe_tags(ResourceArns=arns[start : start + BATCH])["TagDescriptions"]:
            tags, arn = _tags(each), each["ResourceArn"]
            if tags.get("elbv2.k8s.aws/cluster") == cluster(site) or tags.get(TAG) == site.deployment:
                yield Found(kind_of(arn), arn, name_of(arn), found[arn], of_cluster=True, note=_note(tags))


def _tags(found: Mapping[str, Any]) -> dict[str, str]:
    return {each["Key"]: each["Value"] for each in found.get("Tags") or []}


def _of_cluster(tags: Mapping[str, str]) -> bool:
    return any(key.startswith(OWNED) for key in tags)


def _note(tags: Mapping[str, str]) -> str | None:
    space, claim = tags.get("kubernetes.io/created-for/pvc/namespace"), tags.get("kubernetes.io/created-for/pvc/name")
    service = tags.get("service.k8s.aws/stack")
    if claim:
        return f"was the disk {space}/{claim}"
    return f"was the way in of {service}" if service else None


def _time(milliseconds: int | None) -> datetime | None:
    return datetime.fromtimestamp(milliseconds / 1000, UTC) if milliseconds else None
