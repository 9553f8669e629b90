from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import boto3
import moto
import pytest
from botocore.exceptions import ClientError
from moto.dynamodb.models import dynamodb_backends

from mlplat.jobs.tables import Wanted, main, names, run

KEY = "arn:aws:kms:eu-west-1:123456789012:key/00000000-0000-0000-0000-000000000000"
WANTED = Wanted(KEY, tags={"mlplat:deployment": "x"})


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    with moto.mock_aws():
        yield _Encrypting(boto3.client("dynamodb"))


class _Encrypting:
    """moto's DynamoDB, which takes a change of a table's key and forgets it: here it is remembered."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def update_table(self, **given: Any) -> Any:
        # The call itself still goes through boto3, which refuses a parameter that there is not.
        done = self._client.update_table(**given)
        table = dynamodb_backends["123456789012"]["eu-west-1"].tables[given["TableName"]]
        table.sse_specification = given["SSESpecification"]
        return done


def make(client: Any, name: str) -> None:
    """Make a table as Feast does."""
    client.create_table(
        TableName=name,
        KeySchema=[{"AttributeName": "entity_id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "entity_id", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )


def test_a_table_of_feast_s_gets_key_recovery_and_tags_once(client: Any) -> None:
    make(client, "p.flights.hourly")
    assert run(client, "p.", WANTED) == {"p.flights.hourly": ["tags", "recovery", "key"]}
    found = client.describe_table(TableName="p.flights.hourly")["Table"]
    assert found["SSEDescription"]["KMSMasterKeyArn"] == KEY
    backups = client.describe_continuous_backups(TableName="p.flights.hourly")["ContinuousBackupsDescription"]
    assert backups["PointInTimeRecoveryDescription"]["PointInTimeRecoveryStatus"] == "ENABLED"
    tags = client.list_tags_of_resource(ResourceArn=found["TableArn"])["Tags"]
    assert tags == [{"Key": "mlplat:deployment", "Value": "x"}]
    assert run(client, "p.", WANTED) == {"p.flights.hourly": []}


def test_other_tables_are_left_alone(client: Any) -> None:
    make(client, "other.flights.hourly")
    assert run(client, "p.", WANTED) == {}
    assert "SSEDescription" not in client.describe_table(TableName="other.flights.hourly")["Table"]


def test_all_pages_of_tables_are_looked_at(client: Any) -> None:
    for number in range(105):
        make(client, f"p.{number:03}")
    assert len(list(names(client, "p."))) == 105


def test_recovery_is_left_off_where_it_is_not_wanted(client: Any) -> None:
    make(client, "p.a")
    assert run(client, "p.", Wanted(KEY, recovery=False)) == {"p.a": ["key"]}


class _Busy:
    """A client on which one call is refused, as DynamoDB does."""

    def __init__(self, client: Any, code: str) -> None:
        self._client = client
        self._code = code

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def update_table(self, **_: Any) -> None:
        raise ClientError({"Error": {"Code": self._code, "Message": "no"}}, "UpdateTable")


@pytest.mark.parametrize("code", ["ResourceInUseException", "LimitExceededException"])
def test_a_table_that_dynamodb_still_works_on_waits_for_the_next_run(client: Any, code: str) -> None:
    make(client, "p.a")
    make(client, "p.b")
    assert run(_Busy(client, code), "p.", WANTED) == {
        "p.a": ["tags", "recovery", "later"],
        "p.b": ["tags", "recovery", "later"],
    }


def test_a_right_that_is_missing_is_not_taken_for_a_table_at_work(client: Any) -> None:
    make(client, "p.a")
    with pytest.raises(ClientError, match="AccessDenied"):
        run(_Busy(client, "AccessDeniedException"), "p.", WANTED)


def test_the_program_prints_what_it_did(client: Any, capsys: pytest.CaptureFixture[str]) -> None:
    make(client, "p.a")
    assert main(["--prefix", "p.", "--key", KEY, "--tag", "mlplat:deployment=x"]) == 0
    assert json.loads(capsys.readouterr().out) == {"p.a": ["tags", "recovery", "key"]}


def test_the_program_says_what_aws_refused(
    client: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    make(client, "p.a")
    refusing = _Busy(client, "AccessDeniedException")
    monkeypatch.setattr(boto3, "client", lambda *_, **__: refusing)
    assert main(["--prefix", "p.", "--key", KEY]) == 1
    assert "AccessDeniedException" in capsys.readouterr().err
