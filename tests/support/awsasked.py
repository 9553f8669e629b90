"""An account that the checks of `mlplat doctor` ask: moto's, and by the service what a test makes it answer."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from mlplat.spec.aws import AwsSpec
from mlplat.spec.platform import PlatformSpec

ACCOUNT = "123456789012"
"""Account of whoever asks moto."""
Answer = tuple[str, Mapping[str, Any] | str]
"""An operation in snake case, and its answer, or the code of the error that it raises."""
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing", "AWS_SESSION_TOKEN": "testing"}
ELSEWHERE = ("AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE")
"""Variables by which somebody's own credentials would be found."""


class Session:
    """A session that answers for some services what it was told, and asks moto for the rest.

    What it was told is checked against AWS's own description of each answer.
    """

    def __init__(self, told: Mapping[str, Sequence[Answer]] | None = None, region: str = "eu-west-1") -> None:
        self.region = region
        self._stubbed = {service: self._stub(service, answers) for service, answers in (told or {}).items()}

    def client(self, name: str, *, region_name: str | None = None, config: Any = None) -> Any:
        """Return a service's client, as boto3's session does."""
        if name in self._stubbed:
            return self._stubbed[name]
        return _client(name, region_name or self.region)

    def _stub(self, service: str, answers: Sequence[Answer]) -> Any:
        client = boto3.client(service, region_name=self.region, **_keys())
        stubber = Stubber(client)
        for operation, answer in answers:
            if isinstance(answer, str):
                stubber.add_client_error(operation, service_error_code=answer, service_message="refused by the test.")
            else:
                stubber.add_response(operation, dict(answer))
        stubber.activate()
        return client


@functools.cache
def _client(name: str, region: str) -> Any:
    """Return a client of moto's; making one takes longer than what it is asked here."""
    return boto3.client(name, region_name=region, **_keys())


@functools.cache
def shared() -> Any:
    """Return one session of moto's account for all tests: each reads AWS's descriptions of its services anew."""
    return boto3.Session(region_name="eu-west-1", **_keys())


def enter(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the credentials of moto's account, and nobody else's."""
    for name in ELSEWHERE:
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, "/dev/null")
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    # Its 1,300 images take seconds, and nothing here asks for one.
    monkeypatch.setenv("MOTO_EC2_LOAD_DEFAULT_AMIS", "false")


def _keys() -> dict[str, str]:
    return {"aws_access_key_id": "testing", "aws_secret_access_key": "testing"}


def spec(aws: Mapping[str, Any] | None = None, **more: Any) -> PlatformSpec:
    """Return a platform in moto's account, as small as one can be, with changes."""
    written = {"account": ACCOUNT, "region": "eu-west-1", **(aws or {})}
    return PlatformSpec.model_validate({"target": "aws", "engine": {}, "aws": written, **more})


def of(platform: PlatformSpec) -> AwsSpec:
    """Return what a platform says of its account."""
    assert platform.aws is not None
    return platform.aws
