"""Give the online store's tables what the feature server does not: the platform's key, recovery and tags.

`python -m mlplat.jobs.tables --prefix PREFIX --key ARN …` looks at each table of DynamoDB whose name begins with the
prefix and changes what differs; it may run at any time. A table that is being changed is left for the next run. None is
protected from deletion: what it holds can be pushed again. It prints, as JSON, what it did to each table.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mlplat.errors import MlplatError, RefusedError, UnreachableError

BUSY = ("LimitExceededException", "ResourceInUseException")
"""What DynamoDB answers while it still works on the change before."""


@dataclass(frozen=True)
class Wanted:
    """What every table has."""

    key_arn: str
    recovery: bool = True
    tags: Mapping[str, str] = field(default_factory=dict)


def run(client: Any, prefix: str, wanted: Wanted) -> dict[str, list[str]]:
    """Change what differs, and return what was done by table; `later` where DynamoDB is still at work."""
    return {name: _table(client, name, wanted) for name in names(client, prefix)}


def names(client: Any, prefix: str) -> Iterator[str]:
    """Return the tables whose name begins with a prefix, in order."""
    for page in client.get_paginator("list_tables").paginate():
        yield from (each for each in page["TableNames"] if each.startswith(prefix))


def _table(client: Any, name: str, wanted: Wanted) -> list[str]:
    from botocore.exceptions import ClientError

    done: list[str] = []
    try:
        found = client.describe_table(TableName=name)["Table"]
        if found["TableStatus"] != "ACTIVE":
            return ["later"]
        _tag(client, found["TableArn"], wanted, done)
        _recover(client, name, wanted, done)
        _encrypt(client, found, wanted, done)
    except ClientError as error:
        if error.response["Error"]["Code"] not in BUSY:
            raise
        done.append("later")
    return done


def _tag(client: Any, arn: str, wanted: Wanted, done: list[str]) -> None:
    found = {each["Key"]: each["Value"] for each in client.list_tags_of_resource(ResourceArn=arn).get("Tags", [])}
    if missing := {key: value for key, value in wanted.tags.items() if found.get(key) != value}:
        client.tag_resource(ResourceArn=arn, Tags=[{"Key": key, "Value": value} for key, value in missing.items()])
        done.append("tags")


def _recover(client: Any, name: str, wanted: Wanted, done: list[str]) -> None:
    found = client.describe_continuous_backups(TableName=name)["ContinuousBackupsDescription"]
    status = found.get("PointInTimeRecoveryDescription", {}).get("PointInTimeRecoveryStatus")
    if wanted.recovery and status != "ENABLED":
        client.update_continuous_backups(
            TableName=name, PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": True}
        )
        done.append("recovery")


def _encrypt(client: Any, found: Mapping[str, Any], wanted: Wanted, done: list[str]) -> None:
    if found.get("SSEDescription", {}).get("KMSMasterKeyArn") != wanted.key_arn:
        specification = {"Enabled": True, "SSEType": "KMS", "KMSMasterKeyId": wanted.key_arn}
        client.update_table(TableName=found["TableName"], SSESpecification=specification)
        done.append("key")


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m mlplat.jobs.tables", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--region", help="region of the tables; otherwise AWS_REGION's")
    parser.add_argument("--prefix", required=True, help="what their names begin with")
    parser.add_argument("--key", required=True, metavar="ARN", help="key that encrypts them")
    parser.add_argument("--no-recovery", action="store_true", help="do not keep every second of 35 days")
    parser.add_argument("--tag", action="append", default=[], metavar="KEY=VALUE", help="may be repeated")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Run as a program: 0 done, 1 could not, 2 wrong usage."""
    given = _arguments(argv)
    tags = dict(each.partition("=")[::2] for each in given.tag)
    try:
        done = _run(given.region, given.prefix, Wanted(given.key, not given.no_recovery, tags))
    except MlplatError as error:
        sys.stderr.write(f"error: {error.told()}\n")
        return error.exit_code
    sys.stdout.write(json.dumps(done, indent=2) + "\n")
    return 0


def _run(region: str | None, prefix: str, wanted: Wanted) -> dict[str, list[str]]:
    import boto3
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        return run(boto3.client("dynamodb", region_name=region), prefix, wanted)
    except ClientError as error:
        raise RefusedError(f"DynamoDB says {error.response['Error']['Code']}: {error}") from error
    except BotoCoreError as error:
        raise UnreachableError(f"DynamoDB does not answer: {error}") from error


if __name__ == "__main__":
    raise SystemExit(main())
