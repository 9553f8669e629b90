"""What development's database and object store need first: on a real PostgreSQL, on moto's S3, on secrets in memory."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import boto3
import moto
import psycopg
import pytest

import postgres
from mlplat.cluster import ConflictError
from mlplat.errors import RefusedError, UnreachableError, UsageError
from mlplat.jobs import development


class Memory:
    """Secrets of one namespace."""

    def __init__(self, *, hidden: bool = False) -> None:
        self.held: dict[str, dict[str, Any]] = {}
        self.hidden = hidden
        """Whether somebody makes each secret between the look and the making."""

    def get(self, api_version: str, kind: str, name: str, namespace: str | None = None) -> dict[str, Any] | None:
        assert (api_version, kind, namespace) == ("v1", "Secret", "here")
        return self.held.get(name)

    def create(self, document: dict[str, Any]) -> dict[str, Any]:
        if self.hidden:
            raise ConflictError("is there already")
        self.held[document["metadata"]["name"]] = document
        return document


def test_a_secret_that_is_there_is_never_written_over() -> None:
    memory = Memory()
    wanted = {**development.for_databases(), **development.for_objects()}
    assert set(development.make_secrets(memory, "here", wanted).values()) == {"made"}
    first = json.dumps(memory.held)
    again = {**development.for_databases(), **development.for_objects()}
    assert set(development.make_secrets(memory, "here", again).values()) == {"unchanged"}
    assert json.dumps(memory.held) == first


def test_a_twin_that_was_first_is_no_failure() -> None:
    assert development.make_secrets(Memory(hidden=True), "here", development.for_objects()) == {"objects": "unchanged"}


def test_no_two_passwords_are_alike_and_none_needs_encoding_in_an_address() -> None:
    made = [development.for_databases() for _ in range(3)]
    found = [urlsplit(each[f"{name}-database"]["url"]).password for each in made for name in development.APPLICATIONS]
    found += [each["database-admin"]["password"] for each in made]
    assert len({*found}) == len(found)
    assert all(each and each.replace("-", "").replace("_", "").isalnum() and len(each) >= 40 for each in found)


@pytest.fixture(scope="module")
def server() -> Iterator[postgres.Postgres]:
    with postgres.required() as found:
        yield found


def addresses(server: postgres.Postgres, *names: str) -> dict[str, str]:
    return {each: f"postgresql://{each}:pass%2F{each}@127.0.0.1:{server.port}/{each}?sslmode=disable" for each in names}


@pytest.fixture
def admin(monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(development, "ADMIN", postgres.SUPERUSER)
    return postgres.PASSWORD


def test_each_application_owns_a_database_that_no_other_enters(server: postgres.Postgres, admin: str) -> None:
    wanted = addresses(server, "one", "two")
    assert development.make_databases(wanted, admin) == {"one": "made", "two": "made"}
    with psycopg.connect(wanted["one"]) as own:
        own.execute("CREATE TABLE t (a int)")
    with pytest.raises(psycopg.OperationalError, match="permission denied"):
        psycopg.connect(wanted["one"].replace("/one?", "/two?"))


def test_a_second_run_mends_a_password_and_leaves_the_rest(server: postgres.Postgres, admin: str) -> None:
    wanted = addresses(server, "mended")
    development.make_databases(wanted, admin)
    other = {"mended": wanted["mended"].replace("pass%2F", "other")}
    assert development.make_databases(other, admin) == {"mended": "unchanged"}
    psycopg.connect(other["mended"]).close()


def test_the_servers_log_holds_no_password(server: postgres.Postgres, admin: str) -> None:
    development.make_databases(addresses(server, "quiet"), admin)
    assert "pass/quiet" not in server.log()


def test_a_wrong_administrator_is_told_of(server: postgres.Postgres, admin: str) -> None:
    with pytest.raises(UnreachableError, match=r"127\.0\.0\.1: .*password authentication failed"):
        development.make_databases(addresses(server, "x"), f"not {admin}")


def test_an_address_that_is_none_is_told_of() -> None:
    with pytest.raises(UsageError, match="the address of `x` names no server"):
        development.make_databases({"x": "sqlite:///x"}, "")


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    with moto.mock_aws():
        yield boto3.client("s3")


def test_buckets_are_made_once(store: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert development.main(["buckets", "data", "artifacts"]) == 0
    assert json.loads(capsys.readouterr().out) == {"data": "made", "artifacts": "made"}
    assert development.main(["buckets", "data"]) == 0
    assert {each["Name"] for each in store.list_buckets()["Buckets"]} == {"data", "artifacts"}


def test_a_bucket_that_is_refused_is_named(store: Any) -> None:
    with pytest.raises(RefusedError, match="the bucket `No`: the object store says InvalidBucketName"):
        development.make_buckets(store, ["No"])


def test_a_variable_that_is_missing_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("TRACKING", raising=False)
    assert development.main(["databases", "tracking"]) == 2
    assert capsys.readouterr().err == "error: `TRACKING` is not set\n"
