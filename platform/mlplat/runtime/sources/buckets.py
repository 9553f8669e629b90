"""Objects of a bucket: each is brought once, and again when its name, size or ETag is another."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from pathlib import Path
from typing import Any

from mlplat.errors import UnreachableError, UsageError
from mlplat.runtime.sources.files import SUFFIXES, Unit, keep_only, place_of


def fetch(address: str, fetched: Path) -> list[Unit]:
    """Return the CSV and Parquet objects below `s3://bucket/prefix`, in the order of their names.

    Credentials, region and endpoint are the environment's (`AWS_…`, `AWS_ENDPOINT_URL_S3`). Raises `UsageError` where
    there is nothing, and `UnreachableError` where the store says no or says nothing.
    """
    import boto3
    from botocore.exceptions import BotoCoreError, ClientError

    bucket, _, prefix = address.removeprefix("s3://").partition("/")
    folder = place_of(fetched, address)
    try:
        client = boto3.client("s3")
        units = [_brought(client, bucket, each, folder) for each in _listed(client, bucket, prefix)]
    except (BotoCoreError, ClientError) as error:
        hint = "see that the bucket's name, `AWS_PROFILE` or the credentials, and `AWS_ENDPOINT_URL_S3` are right"
        raise UnreachableError(f"{address}: {error}", hint=hint) from error
    if not units:
        raise UsageError(f"{address}: holds no CSV or Parquet file", hint="`data.source` of mlplat.yaml names it")
    keep_only(folder, {unit.path.name for unit in units})
    return units


def _listed(client: Any, bucket: str, prefix: str) -> list[dict[str, Any]]:
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    found = [each for page in pages for each in page.get("Contents", [])]
    # A prefix is a folder, or a whole name: `rows` does not mean `rows-of-somebody-else`.
    inside = [each for each in found if each["Key"] == prefix or each["Key"].startswith(_folder(prefix))]
    return [each for each in inside if each["Key"].lower().endswith(SUFFIXES) and each["Size"]]


def _folder(prefix: str) -> str:
    return prefix if not prefix or prefix.endswith("/") else f"{prefix}/"


def _brought(client: Any, bucket: str, found: dict[str, Any], folder: Path) -> Unit:
    key, size, etag = found["Key"], found["Size"], found["ETag"].strip('"')
    known = hashlib.sha256(f"{key}\0{size}\0{etag}".encode()).hexdigest()[:32]
    path = folder / f"{known}{Path(key).suffix.lower()}"
    if not path.exists():
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".", delete=False) as file:
            # Exactly what was listed: an object that is replaced meanwhile is an error, and not half of each.
            shutil.copyfileobj(client.get_object(Bucket=bucket, Key=key, IfMatch=found["ETag"])["Body"], file)
        Path(file.name).replace(path)
    return Unit(f"s3://{bucket}/{key}", path, size, etag)
