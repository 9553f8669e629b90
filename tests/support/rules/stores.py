"""Rules on the database, the online store, the stream and their backups."""

from __future__ import annotations

import json
import re

from capture import Graph, Made
from rules.base import Found, at, aws, first, named, place, refs, rule

RESERVED_USERS = {"admin", "postgres", "rdsadmin", "root"}


@rule
def database_is_safe(graph: Graph) -> Found:
    """A database has no password that anybody wrote, is encrypted, private, and gone only by intent."""
    here = place(graph)
    for each in aws(graph, "rds.Instance"):
        wanted = {"manageMasterUserPassword": True, "storageEncrypted": True, "publiclyAccessible": False}
        if not here.is_dev:
            wanted |= {"deletionProtection": True, "skipFinalSnapshot": False, "multiAz": True}
        for path, value in wanted.items():
            if each.inputs.get(path, False) is not value:
                yield each.key, f"`{path}` is {each.inputs.get(path)!r}, not {value!r}"
        if each.inputs.get("password"):
            yield each.key, "has a password beside a managed one"
        if each.inputs.get("username") in RESERVED_USERS:
            yield each.key, f"user {each.inputs.get('username')!r} is reserved"
        if not here.is_dev and not each.inputs.get("finalSnapshotIdentifier"):
            yield each.key, "names no last snapshot"
        if each.inputs.get("engineLifecycleSupport") != "open-source-rds-extended-support-disabled":
            yield each.key, "bills extended support when its version ends"
        yield from _sized(each)


def _sized(each: Made) -> Found:
    size, most = each.inputs.get("allocatedStorage") or 0, each.inputs.get("maxAllocatedStorage") or 0
    if not 20 <= size < most:
        yield each.key, f"disk of {size} GiB may not grow to {most}"
    if each.inputs.get("storageType") not in ("gp3", "io2"):
        yield each.key, f"storage {each.inputs.get('storageType')!r} is none that RDS has"
    if not 1 <= (each.inputs.get("backupRetentionPeriod") or 0) <= 35:
        yield each.key, "cannot return to a second of its past"


WINDOW = re.compile(r"(?:(mon|tue|wed|thu|fri|sat|sun):)?(\d\d):(\d\d)-(?:\1:)?(\d\d):(\d\d)")


@rule
def windows_do_not_meet(graph: Graph) -> Found:
    """A daily backup and the weekly maintenance may not overlap, and each takes half an hour at least."""
    for each in aws(graph, "rds.Instance"):
        spans = []
        for path in ("backupWindow", "maintenanceWindow"):
            found = WINDOW.fullmatch(str(each.inputs.get(path)).lower())
            if not found:
                yield each.key, f"`{path}` {each.inputs.get(path)!r} is no window within a day"
                continue
            hour, minute, to_hour, to_minute = map(int, found.groups()[1:])
            spans.append((hour * 60 + minute, to_hour * 60 + to_minute))
            if spans[-1][1] - spans[-1][0] < 30:
                yield each.key, f"`{path}` is shorter than half an hour"
        if len(spans) == 2 and max(spans[0][0], spans[1][0]) < min(spans[0][1], spans[1][1]):
            yield each.key, "is backed up while it is maintained"


@rule
def database_speaks_encrypted(graph: Graph) -> Found:
    """PostgreSQL refuses whoever does not encrypt, by a parameter group that the database uses."""
    groups = {each.key: each for each in aws(graph, "rds.ParameterGroup")}
    for each in aws(graph, "rds.Instance"):
        used = [groups[key] for key in named(graph, each.inputs.get("parameterGroupName"), "rds.ParameterGroup")]
        given = {
            found.get("name"): str(found.get("value")) for made in used for found in made.inputs.get("parameters", [])
        }
        if given.get("rds.force_ssl") != "1":
            yield each.key, "answers without encryption"
        family = [made.inputs.get("family") for made in used]
        version = str(each.inputs.get("engineVersion", "")).partition(".")[0]
        if used and family != [f"postgres{version}"]:
            yield each.key, f"of version {version} has parameters of {family}"


@rule
def tables_come_back(graph: Graph) -> Found:
    """Outside `dev` a table returns to any second, and is not deleted by a slip."""
    here = place(graph)
    for each in aws(graph, "dynamodb.Table"):
        if here.is_dev:
            continue
        if at(each.inputs, "pointInTimeRecovery.enabled") is not True:
            yield each.key, "cannot return to a second of its past"
        if each.inputs.get("deletionProtectionEnabled") is not True:
            yield each.key, "can be deleted"


@rule
def online_store_is_locked(graph: Graph) -> Found:
    """Valkey encrypts the way and what it keeps, and asks who is there."""
    for each in aws(graph, "elasticache.ReplicationGroup"):
        for switch in ("transitEncryptionEnabled", "atRestEncryptionEnabled"):
            if str(each.inputs.get(switch)).lower() != "true":
                yield each.key, f"`{switch}` is off"
        if not each.inputs.get("userGroupIds"):
            yield each.key, "asks nobody who they are"
        if each.inputs.get("engine") not in ("valkey", "redis"):
            yield each.key, f"engine {each.inputs.get('engine')!r} is none"


@rule
def streams_arrive(graph: Graph) -> Found:
    """Firehose reads our stream and writes to our bucket, what it cannot write too."""
    buckets = {each.key for each in aws(graph, "s3.Bucket")}
    for each in aws(graph, "kinesis.FirehoseDeliveryStream"):
        target = each.inputs.get("extendedS3Configuration") or {}
        named = str(at(target, "bucketArn"))
        if not refs(at(target, "bucketArn")) & buckets and not re.match(r"arn:aws[\w-]*:s3:::", named):
            yield each.key, "writes to no bucket of ours"
        if not target.get("errorOutputPrefix"):
            yield each.key, "loses what it cannot write among the rest"
        if not refs(target.get("kmsKeyArn")):
            yield each.key, "encrypts with no key of ours"


@rule
def backups_cover_the_data(graph: Graph) -> Found:
    """Outside `dev` a vault's plan selects the database and the buckets that nothing else could make again."""
    vault = first(graph, "backup.Vault")
    if vault is None:
        if not place(graph).is_dev:
            yield "backup.Vault", "there are no backups"
        return
    chosen = {key for each in aws(graph, "backup.Selection") for key in refs(each.inputs)}
    text = json.dumps([each.inputs for each in aws(graph, "backup.Selection")])
    for each in aws(graph, "rds.Instance"):
        if each.key not in chosen and str(each.inputs.get("identifier")) not in text:
            yield each.key, "is in no backup"
    for each in aws(graph, "s3.Bucket"):
        name = str(each.inputs.get("bucket"))
        if each.name.endswith(("data", "artifacts")) and each.key not in chosen and name not in text:
            yield each.key, "is in no backup"


@rule
def backups_end(graph: Graph) -> Found:
    """A copy ends, and not before the ninety days that AWS keeps what has become cold."""
    for each in aws(graph, "backup.Plan"):
        for written in each.inputs.get("rules", []):
            cold, end = at(written, "lifecycle.coldStorageAfter"), at(written, "lifecycle.deleteAfter")
            if cold and end and end < cold + 90:
                yield each.key, f"moves copies to cold storage after {cold} days, and deletes them before 90 more"
            if not end:
                yield each.key, "keeps copies for ever"
