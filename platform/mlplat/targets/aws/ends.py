"""What AWS itself must be asked before a stack can be ended: its cluster is drained, its own locks are taken back."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from mlplat.targets.aws import drain, token
from mlplat.targets.aws.session import client, telling

if TYPE_CHECKING:
    import boto3

    from mlplat.targets.aws.site import Site

Say = Callable[[str], None]
CLUSTER, DATABASE = "aws:eks/cluster:Cluster", "aws:rds/instance:Instance"
REFERENCE = "pulumi:pulumi:StackReference"


def cluster_of(resources: Sequence[Mapping[str, Any]]) -> str | None:
    """Return the name of the cluster that a stack has made, or that the stack below it has; None without one."""
    for each in resources:
        outputs = each.get("outputs") or {}
        if each["type"] == CLUSTER:
            return str(outputs.get("name") or each.get("id"))
        if each["type"] == REFERENCE and (found := ((outputs.get("outputs") or {}).get("foundation") or {})):
            return str(found.get("cluster") or "") or None
    return None


@contextlib.contextmanager
def reached(session: boto3.Session, site: Site, name: str) -> Iterator[drain.Cluster | None]:
    """Open the API of a cluster, as its administrator; None where the cluster is gone. Raises `MlplatError`."""
    found = _described(session, name)
    if found is None or "endpoint" not in found:
        yield None
        return
    role = None if site.aws.cluster.admins else site.arn("iam", f"role/{_admin_role(name, site)}", region=False)

    def bearer() -> str:
        return token.get(name, site.region, account=site.account, role=role).text

    with drain.Cluster(found["endpoint"], bearer, authority=found["certificateAuthority"]["data"]) as cluster:
        yield cluster


def unlock(session: boto3.Session, locked: Sequence[tuple[str, str]], say: Say) -> None:
    """Take back AWS's own refusal to delete a cluster or a database. One that is gone already is passed over."""
    from botocore.exceptions import ClientError

    for kind, name in locked:
        with telling(f"to let {name} be deleted"):
            try:
                _unlock(session, kind, name)
            except ClientError as error:
                if error.response["Error"]["Code"] not in ("ResourceNotFoundException", "DBInstanceNotFound"):
                    raise
                continue
        say(f"{kind.rpartition(':')[2].lower()} {name}: may be deleted now")


def _unlock(session: boto3.Session, kind: str, name: str) -> None:
    if kind == CLUSTER:
        eks = client(session, "eks")
        eks.update_cluster_config(name=name, deletionProtection=False)
        # A cluster that is being changed is not deleted.
        eks.get_waiter("cluster_active").wait(name=name, WaiterConfig={"Delay": 10, "MaxAttempts": 60})
    elif kind == DATABASE:
        client(session, "rds").modify_db_instance(
            DBInstanceIdentifier=name, DeletionProtection=False, ApplyImmediately=True
        )


def _described(session: boto3.Session, name: str) -> dict[str, Any] | None:
    from botocore.exceptions import ClientError

    with telling("what the cluster is"):
        try:
            found: dict[str, Any] = client(session, "eks").describe_cluster(name=name)["cluster"]
        except ClientError as error:
            if error.response["Error"]["Code"] == "ResourceNotFoundException":
                return None
            raise
    return found


def _admin_role(cluster: str, site: Site) -> str:
    from mlplat.targets.aws.cluster import admin_role_name, cluster_name

    # A stack that stands on another one's cluster has a site of its own, and the role is named like the cluster.
    return admin_role_name(site) if cluster_name(site) == cluster else f"{cluster}-cluster-admin"
