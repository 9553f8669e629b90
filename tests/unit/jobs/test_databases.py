"""The setup job against a real PostgreSQL whose master is no superuser, and Secrets Manager as moto answers it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from urllib.parse import unquote, urlsplit

import boto3
import moto
import psycopg
import pytest

import postgres
from mlplat.errors import MlplatError, UnreachableError, UsageError
from mlplat.jobs import databases, roles
from mlplat.jobs.databases import Server, Setup, main, run
from mlplat.jobs.vault import Vault

MASTER = "master"


@pytest.fixture(scope="module")
def server() -> Iterator[postgres.Postgres]:
    with postgres.required() as found:
        yield found


@pytest.fixture
def vault(monkeypatch: pytest.MonkeyPatch) -> Iterator[Vault]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    with moto.mock_aws():
        boto3.client("secretsmanager").create_secret(
            Name=MASTER, SecretString=json.dumps({"username": postgres.MASTER, "password": postgres.PASSWORD})
        )
        yield Vault()


@pytest.fixture
def name(request: pytest.FixtureRequest, vault: Vault) -> str:
    """Return an application of the test's own, with an empty secret of the same name, as the program makes it."""
    found = f"app{abs(hash(request.node.name)) % 10**9}"
    boto3.client("secretsmanager").create_secret(Name=found)
    return found


def at(server: postgres.Postgres) -> Server:
    return Server("127.0.0.1", server.port)


def setup(server: postgres.Postgres, vault: Vault, name: str, *, rotate: bool = False) -> str:
    return run(at(server), MASTER, {name: name}, vault, rotate=[name] if rotate else [])[name]


def held(vault: Vault, name: str) -> dict[str, str]:
    found = vault.read(name)
    assert found is not None
    return found


def test_an_application_signs_in_with_its_secret_s_url_and_makes_what_it_needs(
    server: postgres.Postgres, vault: Vault, name: str
) -> None:
    assert setup(server, vault, name) == "made"
    with psycopg.connect(held(vault, name)["url"]) as own:
        own.execute("CREATE TABLE runs (id int)")
        assert own.execute("SELECT tableowner FROM pg_tables WHERE tablename = 'runs'").fetchone() == (name,)


def test_a_second_run_changes_nothing(server: postgres.Postgres, vault: Vault, name: str) -> None:
    setup(server, vault, name)
    before = held(vault, name)
    assert setup(server, vault, name) == "unchanged"
    assert held(vault, name) == before


def test_a_rotation_leaves_whoever_has_the_former_password_at_work_and_shares_the_tables(
    server: postgres.Postgres, vault: Vault, name: str
) -> None:
    setup(server, vault, name)
    former = held(vault, name)["url"]
    with psycopg.connect(former) as own:
        own.execute("CREATE TABLE runs (id int)")
    assert setup(server, vault, name, rotate=True) == "rotated"
    fresh = held(vault, name)["url"]
    assert fresh != former
    with psycopg.connect(fresh) as own:
        own.execute("ALTER TABLE runs ADD COLUMN more int")
    with psycopg.connect(former) as own:
        own.execute("DROP TABLE runs")


def test_the_rotation_after_the_next_ends_the_former_password(
    server: postgres.Postgres, vault: Vault, name: str
) -> None:
    setup(server, vault, name)
    former = held(vault, name)["url"]
    setup(server, vault, name, rotate=True)
    setup(server, vault, name, rotate=True)
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(former)
    psycopg.connect(held(vault, name)["url"]).close()


def test_a_rotation_that_ends_before_the_secret_is_written_breaks_nobody(
    server: postgres.Postgres, vault: Vault, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    setup(server, vault, name)
    before = held(vault, name)
    with monkeypatch.context() as patch:
        patch.setattr(Vault, "write", lambda *_: pytest.fail("killed"))
        with pytest.raises(pytest.fail.Exception):
            setup(server, vault, name, rotate=True)
    psycopg.connect(before["url"]).close()
    assert setup(server, vault, name, rotate=True) == "rotated"


def test_a_secret_that_no_longer_opens_the_database_is_mended(
    server: postgres.Postgres, vault: Vault, name: str
) -> None:
    setup(server, vault, name)
    vault.write(name, {**held(vault, name), "password": "of a snapshot's time"})
    assert setup(server, vault, name) == "mended"
    psycopg.connect(held(vault, name)["url"]).close()


def test_a_secret_that_names_another_server_is_mended(server: postgres.Postgres, vault: Vault, name: str) -> None:
    setup(server, vault, name)
    vault.write(name, {**held(vault, name), "host": "the.former.one"})
    assert setup(server, vault, name) == "mended"
    assert held(vault, name)["host"] == "127.0.0.1"


def test_one_application_does_not_enter_another_s_database(server: postgres.Postgres, vault: Vault, name: str) -> None:
    other = f"{name}_other"
    boto3.client("secretsmanager").create_secret(Name=other)
    run(at(server), MASTER, {name: name, other: other}, vault)
    address = held(vault, name)["url"].replace(f"/{name}?", f"/{other}?")
    with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
        psycopg.connect(address)


def test_an_application_can_neither_make_databases_nor_roles(
    server: postgres.Postgres, vault: Vault, name: str
) -> None:
    setup(server, vault, name)
    with psycopg.connect(held(vault, name)["url"], autocommit=True) as own:
        for statement in ("CREATE DATABASE more", "CREATE ROLE more", "SET ROLE mlplat"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                own.execute(statement)


def test_no_password_is_in_the_server_s_log_of_statements(server: postgres.Postgres, vault: Vault, name: str) -> None:
    setup(server, vault, name)
    setup(server, vault, name, rotate=True)
    log = server.log()
    assert f'ALTER ROLE "{name}_b" PASSWORD' in log
    assert "SCRAM-SHA-256$" in log
    assert held(vault, name)["password"] not in log


def test_a_database_that_somebody_else_made_becomes_the_application_s(
    server: postgres.Postgres, vault: Vault, name: str
) -> None:
    with at(server).connect("postgres", postgres.MASTER, postgres.PASSWORD) as admin:
        admin.execute(f'CREATE DATABASE "{name}"'.encode())
    assert setup(server, vault, name) == "made"
    with psycopg.connect(held(vault, name)["url"]) as own:
        own.execute("CREATE TABLE runs (id int)")


def test_the_url_is_read_back_as_what_the_secret_says(server: postgres.Postgres) -> None:
    login = Server("db.example", 5432).login("tracking", "tracking_a", "p@ss/w:rd %41?")
    parts = urlsplit(login["url"])
    assert unquote(parts.password or "") == login["password"]
    assert (parts.hostname, parts.port, parts.path) == ("db.example", 5432, "/tracking")


def test_the_server_must_vouch_for_itself_where_a_file_of_authorities_is_given(
    server: postgres.Postgres, vault: Vault, name: str
) -> None:
    trusted = Server("localhost", server.port, str(server.certificate))
    assert run(trusted, MASTER, {name: name}, vault) == {name: "made"}
    with pytest.raises(psycopg.OperationalError, match="certificate"):
        Server("127.0.0.1", server.port, str(server.certificate)).connect(
            "postgres", postgres.MASTER, postgres.PASSWORD
        )


def test_a_password_that_is_turned_while_the_job_starts_is_read_again(server: postgres.Postgres, vault: Vault) -> None:
    right = held(vault, MASTER)
    vault.write(MASTER, {**right, "password": "the former"})
    waits: list[float] = []

    def turned(seconds: float) -> None:
        waits.append(seconds)
        vault.write(MASTER, right)

    with Setup(at(server), MASTER, vault, pause=turned):
        assert waits == [databases.PAUSE_SECONDS]


def test_a_server_that_does_not_answer_is_said_with_its_address(vault: Vault, free_port: int) -> None:
    attempt = Setup(Server("127.0.0.1", free_port), MASTER, vault, pause=lambda _: None)
    with pytest.raises(UnreachableError, match=f"127.0.0.1:{free_port}"):
        attempt.__enter__()


def test_a_second_run_waits_for_the_first(server: postgres.Postgres, vault: Vault) -> None:
    with (
        Setup(at(server), MASTER, vault),
        at(server).connect("postgres", postgres.MASTER, postgres.PASSWORD) as other,
    ):
        asked = other.execute("SELECT pg_try_advisory_lock(%s)", [roles.LOCK]).fetchone()
    assert asked == (False,)


@pytest.mark.parametrize("name", ["postgres", "pg_monitor", "Tracking", "a-b", "a" * 61, "", "a;DROP"])
def test_a_name_that_postgresql_or_rds_keeps_for_itself_is_refused(vault: Vault, name: str) -> None:
    with pytest.raises(UsageError):
        run(Server("127.0.0.1"), MASTER, {name: name}, vault)


def test_a_rotation_of_an_unknown_application_is_refused(vault: Vault) -> None:
    with pytest.raises(UsageError, match="nothere"):
        run(Server("127.0.0.1"), MASTER, {"tracking": "tracking"}, vault, rotate=["nothere"])


def test_a_master_s_secret_that_is_empty_or_missing_is_said(vault: Vault) -> None:
    with pytest.raises(MlplatError, match="holds no `username`"):
        run(Server("127.0.0.1"), "nothere", {"tracking": "tracking"}, vault)


def test_a_secret_that_is_not_there_is_said_and_not_made(server: postgres.Postgres, vault: Vault) -> None:
    with pytest.raises(MlplatError, match="there is no such secret"):
        run(at(server), MASTER, {"missing_app": "missing_app"}, vault)


def test_the_program_prints_what_it_did_and_no_password(
    server: postgres.Postgres, vault: Vault, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = ["--master", MASTER, "--host", "127.0.0.1", "--port", str(server.port), "--application", f"{name}={name}"]
    assert main(argv) == 0
    out = capsys.readouterr()
    assert json.loads(out.out) == {name: "made"}
    assert held(vault, name)["password"] not in out.out + out.err


def test_the_program_leaves_with_2_on_wrong_usage(vault: Vault, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--master", MASTER, "--host", "127.0.0.1", "--application", "tracking"]) == 2
    assert "NAME=SECRET" in capsys.readouterr().err


def test_a_check_tries_what_the_secrets_hold_and_changes_nothing(
    server: postgres.Postgres, vault: Vault, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = ["--check", "--host", "127.0.0.1", "--port", str(server.port), "--application", f"{name}={name}"]
    assert main(argv) == 1
    assert json.loads(capsys.readouterr().out) == {name: False}
    setup(server, vault, name)
    # As of an instance that was restored beside the one that the secret names.
    vault.write(name, {**held(vault, name), "host": "the.real.one"})
    before = held(vault, name)
    assert main(argv) == 0
    assert json.loads(capsys.readouterr().out) == {name: True}
    assert held(vault, name) == before


def test_a_check_and_a_setup_exclude_each_other(vault: Vault) -> None:
    with pytest.raises(SystemExit) as left:
        main(["--check", "--master", MASTER, "--host", "127.0.0.1", "--application", "a=a"])
    assert left.value.code == 2
