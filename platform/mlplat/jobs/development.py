"""What the small database and object store of development need before anything uses them.

`python -m mlplat.jobs.development secrets --databases | --objects` makes, in the pod's own namespace, the secrets that
are not there: passwords begin in the cluster and are known nowhere else. `databases NAME …` makes users and databases
with what those secrets hold (a variable of each name, and `ADMIN_PASSWORD`); `buckets NAME …` makes buckets in the
object store of boto3's variables. Each may run at any time and as often as it likes, and prints what it did as JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import unquote, urlsplit

from mlplat.errors import MlplatError, RefusedError, UnreachableError, UsageError

HOST = "database.mlplat.svc"
ADMIN = "postgres"
MAINTENANCE = "postgres"
"""Database that every server has."""
APPLICATIONS = ("tracking", "features", "pipelines")
PASSWORD_BYTES = 32
KEY_BYTES = 10
CONNECT_SECONDS = 15
NAMESPACE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
THERE = ("BucketAlreadyOwnedByYou", "BucketAlreadyExists")


class Secrets(Protocol):
    """The part of a cluster that makes secrets."""

    def get(self, api_version: str, kind: str, name: str, namespace: str | None = None) -> dict[str, Any] | None:
        """Return an object; None where there is none."""
        ...

    def create(self, document: dict[str, Any]) -> dict[str, Any]:
        """Make an object. Raises `ConflictError` where there is one."""
        ...


def for_databases() -> dict[str, dict[str, str]]:
    """Return new secrets of the database: its administrator's, and an address for each application."""
    admin = {"password": secrets.token_urlsafe(PASSWORD_BYTES)}
    return {"database-admin": admin, **{f"{each}-database": {"url": _address(each)} for each in APPLICATIONS}}


def for_objects() -> dict[str, dict[str, str]]:
    """Return a new secret of the object store."""
    keys = {"access_key": secrets.token_hex(KEY_BYTES), "secret_key": secrets.token_urlsafe(PASSWORD_BYTES)}
    return {"objects": keys}


def _address(application: str) -> str:
    # Within the cluster, and to a server of development, without TLS.
    return (
        f"postgresql://{application}:{secrets.token_urlsafe(PASSWORD_BYTES)}@{HOST}:5432/{application}?sslmode=disable"
    )


def make_secrets(cluster: Secrets, namespace: str, wanted: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
    """Make the secrets that are not there, and tell of each whether it was `made`; one that is there stays as it is."""
    return {name: _make_secret(cluster, namespace, name, data) for name, data in wanted.items()}


def _make_secret(cluster: Secrets, namespace: str, name: str, data: Mapping[str, str]) -> str:
    from mlplat.cluster import ConflictError

    if cluster.get("v1", "Secret", name, namespace):
        return "unchanged"
    metadata = {"name": name, "namespace": namespace, "labels": {"app.kubernetes.io/part-of": "mlplat"}}
    try:
        cluster.create({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": dict(data)})
    except ConflictError:
        # A twin of this pod was first.
        return "unchanged"
    return "made"


def make_databases(addresses: Mapping[str, str], admin_password: str) -> dict[str, str]:
    """Make each application's user and database, and give the user the password of its address.

    Raises `UsageError` for an address that is none, `UnreachableError` where the server does not let us in.
    """
    import psycopg

    done = {}
    for name, address in addresses.items():
        found = urlsplit(address)
        if not (found.hostname and found.username and found.password):
            raise UsageError(f"the address of `{name}` names no server, user and password")
        try:
            with psycopg.connect(
                host=found.hostname,
                port=found.port or 5432,
                dbname=MAINTENANCE,
                user=ADMIN,
                password=admin_password,
                connect_timeout=CONNECT_SECONDS,
                autocommit=True,
            ) as admin:
                done[name] = _database(admin, found.path.lstrip("/"), unquote(found.username), unquote(found.password))
        except psycopg.OperationalError as error:
            raise UnreachableError(f"{found.hostname}: {str(error).strip()}") from error
    return done


def _database(admin: Any, database: str, user: str, password: str) -> str:
    from psycopg import sql

    from mlplat.jobs import roles

    roles.lock(admin)
    known = admin.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [user]).fetchone()
    if not known:
        admin.execute(sql.SQL("CREATE ROLE {} LOGIN").format(sql.Identifier(user)))
    roles.set_password(admin, user, password)
    if admin.execute("SELECT 1 FROM pg_database WHERE datname = %s", [database]).fetchone():
        return "unchanged"
    admin.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(sql.Identifier(database), sql.Identifier(user)))
    admin.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(sql.Identifier(database)))
    return "made"


def make_buckets(client: Any, names: Iterable[str]) -> dict[str, str]:
    """Make the buckets that are not there. Raises `RefusedError` or `UnreachableError`."""
    from botocore.exceptions import BotoCoreError, ClientError

    done = {}
    for name in names:
        try:
            client.create_bucket(Bucket=name)
            done[name] = "made"
        except ClientError as error:
            code = error.response["Error"]["Code"]
            if code not in THERE:
                raise RefusedError(f"the bucket `{name}`: the object store says {code}: {error}") from error
            done[name] = "unchanged"
        except BotoCoreError as error:
            raise UnreachableError(f"the object store does not answer: {error}") from error
    return done


def _run(given: argparse.Namespace) -> dict[str, str]:
    if given.what == "buckets":
        import boto3

        return make_buckets(boto3.client("s3"), given.names)
    if given.what == "databases":
        return make_databases({name: _variable(name.upper()) for name in given.names}, _variable("ADMIN_PASSWORD"))
    from mlplat.cluster import Cluster

    wanted = for_databases() if given.databases else for_objects()
    return make_secrets(Cluster.of_pod(), NAMESPACE.read_text().strip(), wanted)


def _variable(name: str) -> str:
    try:
        return os.environ[name]
    except KeyError:
        raise UsageError(f"`{name}` is not set") from None


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m mlplat.jobs.development", description=(__doc__ or "").split("\n")[0]
    )
    commands = parser.add_subparsers(dest="what", required=True)
    made = commands.add_parser("secrets", help="make secrets that are not there").add_mutually_exclusive_group(
        required=True
    )
    made.add_argument("--databases", action="store_true", help="of the database")
    made.add_argument("--objects", action="store_true", help="of the object store")
    for name in ("databases", "buckets"):
        commands.add_parser(name, help=f"make {name}").add_argument("names", nargs="+", metavar="NAME")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Run as a program: 0 done, 1 could not, 2 wrong usage."""
    try:
        done = _run(_arguments(argv))
    except MlplatError as error:
        sys.stderr.write(f"error: {error.told()}\n")
        return error.exit_code
    sys.stdout.write(json.dumps(done, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
