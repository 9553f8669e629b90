"""Deleting what a deployment's controllers left: kind by kind, with retries for what still hangs on another."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from mlplat.errors import MlplatError, RefusedError
from mlplat.targets.aws.leftovers import SWEPT, Found, cluster
from mlplat.targets.aws.session import client, telling

if TYPE_CHECKING:
    import boto3

    from mlplat.targets.aws.site import Site

Say = Callable[[str], None]
PAUSE_SECONDS = 10.0
AGAIN = frozenset({"DependencyViolation", "VolumeInUse", "InvalidParameterValue", "ResourceInUse", "DeleteConflict"})
"""What AWS says of a thing that something else still uses: gone minutes after that is."""
GONE = ("NotFound", "NoSuchEntity", "InvalidInstanceID.Malformed")


def refuse_standing(session: boto3.Session, site: Site) -> None:
    """Raise `RefusedError` while the deployment's cluster stands: what it made is in use then."""
    from botocore.exceptions import ClientError

    with telling("whether the cluster stands"):
        try:
            client(session, "eks").describe_cluster(name=cluster(site))
        except ClientError as error:
            if error.response["Error"]["Code"] != "ResourceNotFoundException":
                raise
            return
    raise RefusedError(
        f"the cluster {cluster(site)} still stands, and uses what it made",
        hint=f"`mlplat down -s {site.stack}` ends it",
    )


def sweep(
    session: boto3.Session, found: Sequence[Found], say: Say, *, timeout: float, pause: float = PAUSE_SECONDS
) -> list[Found]:
    """Delete what may be swept, in its order; return what could not go within `timeout` seconds. Raises `MlplatError`.

    What hangs on something else is tried again until then, so the order need not be perfect.
    """
    until = time.monotonic() + timeout
    left = sorted((each for each in found if each.fate == "sweep"), key=lambda each: SWEPT.index(each.kind))
    while left:
        left = [each for each in left if not _try(session, each, say)]
        if not left or time.monotonic() > until:
            break
        threading.Event().wait(pause)
    return left


def _try(session: boto3.Session, found: Found, say: Say) -> bool:
    """Delete one thing; tell whether it is gone or going. False is for one that something still uses."""
    from botocore.exceptions import ClientError

    with telling(f"to delete {found.name}"):
        try:
            HOW[found.kind](session, found)
        except ClientError as error:
            code = error.response["Error"]["Code"]
            if any(text in code for text in GONE):
                return True
            if code in AGAIN:
                return False
            raise
    say(f"deleted {found.kind} {found.name}")
    return True


def _instance(session: boto3.Session, found: Found) -> None:
    ec2 = client(session, "ec2")
    ec2.terminate_instances(InstanceIds=[found.name])
    # Disks and groups are in use until it is gone.
    ec2.get_waiter("instance_terminated").wait(InstanceIds=[found.name], WaiterConfig={"Delay": 5, "MaxAttempts": 120})


def _spot(session: boto3.Session, found: Found) -> None:
    client(session, "ec2").cancel_spot_instance_requests(SpotInstanceRequestIds=[found.name])


def _load_balancer(session: boto3.Session, found: Found) -> None:
    elb = client(session, "elbv2")
    off = [{"Key": "deletion_protection.enabled", "Value": "false"}]
    elb.modify_load_balancer_attributes(LoadBalancerArn=found.arn, Attributes=off)
    elb.delete_load_balancer(LoadBalancerArn=found.arn)


def _security_group(session: boto3.Session, found: Found) -> None:
    ec2 = client(session, "ec2")
    (group,) = ec2.describe_security_groups(GroupIds=[found.name])["SecurityGroups"]
    # Two groups that name each other would wait for each other for ever.
    for rules, revoke in (
        (group["IpPermissions"], ec2.revoke_security_group_ingress),
        (group["IpPermissionsEgress"], ec2.revoke_security_group_egress),
    ):
        if rules:
            revoke(GroupId=found.name, IpPermissions=rules)
    ec2.delete_security_group(GroupId=found.name)


def _instance_profile(session: boto3.Session, found: Found) -> None:
    iam = client(session, "iam")
    profile = iam.get_instance_profile(InstanceProfileName=found.name)["InstanceProfile"]
    for role in profile["Roles"]:
        iam.remove_role_from_instance_profile(InstanceProfileName=found.name, RoleName=role["RoleName"])
    iam.delete_instance_profile(InstanceProfileName=found.name)


def _call(service: str, operation: str, argument: str, field: str = "name") -> Callable[[boto3.Session, Found], None]:
    def call(session: boto3.Session, found: Found) -> None:
        ask: Any = getattr(client(session, service), operation)
        ask(**{argument: getattr(found, field)})

    return call


HOW: dict[str, Callable[[boto3.Session, Found], None]] = {
    "ec2:instance": _instance,
    "ec2:spot-instances-request": _spot,
    "elasticloadbalancing:loadbalancer": _load_balancer,
    "elasticloadbalancing:targetgroup": _call("elbv2", "delete_target_group", "TargetGroupArn", "arn"),
    "ec2:network-interface": _call("ec2", "delete_network_interface", "NetworkInterfaceId"),
    "ec2:security-group": _security_group,
    "ec2:volume": _call("ec2", "delete_volume", "VolumeId"),
    "ec2:launch-template": _call("ec2", "delete_launch_template", "LaunchTemplateId"),
    "iam:instance-profile": _instance_profile,
    "logs:log-group": _call("logs", "delete_log_group", "logGroupName"),
}
"""How each kind that may be swept is deleted."""


def failed(left: Sequence[Found], timeout: float) -> MlplatError:
    """Return what is wrong with what did not go."""
    shown = ", ".join(f"{each.kind} {each.name}" for each in left)
    return MlplatError(
        f"something still uses it after {timeout:.0f} s: {shown}", hint="end what uses it, then run the command again"
    )
