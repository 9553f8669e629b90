"""Secrets Manager, as jobs use it: one JSON object a secret, or none yet."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from mlplat.errors import MlplatError, RefusedError, UnreachableError

MISSING = "ResourceNotFoundException"


class Vault:
    """The account's secrets, with whatever credentials are at hand."""

    def __init__(self, region: str | None = None) -> None:
        import boto3

        self._client = boto3.client("secretsmanager", region_name=region)

    def read(self, secret: str) -> dict[str, Any] | None:
        """Return what a secret holds; None for one that is empty, or is not there. Raises `MlplatError`."""
        with _told(secret):
            try:
                text = self._client.get_secret_value(SecretId=secret)["SecretString"]
            except self._client.exceptions.ResourceNotFoundException:
                return None
        try:
            found = json.loads(text)
        except ValueError as error:
            raise MlplatError(f"{secret}: holds no JSON") from error
        if not isinstance(found, dict):
            raise MlplatError(f"{secret}: holds no object")
        return found

    def write(self, secret: str, value: Mapping[str, Any]) -> None:
        """Write what a secret holds from now on. Raises `MlplatError`, also where there is no such secret."""
        with _told(secret):
            self._client.put_secret_value(SecretId=secret, SecretString=json.dumps(value))


@contextmanager
def _told(secret: str) -> Iterator[None]:
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except ClientError as error:
        code = error.response["Error"]["Code"]
        if code == MISSING:
            raise MlplatError(f"{secret}: there is no such secret", hint="`mlplat up` makes it") from error
        raise RefusedError(
            f"{secret}: AWS says {code}: {error.response['Error'].get('Message', '')}",
            hint="the role `databases` may read and write it: does the pod have the service account `databases`?",
        ) from error
    except BotoCoreError as error:
        raise UnreachableError(f"{secret}: Secrets Manager does not answer: {error}") from error
